//! A blob while it arrives: bytes come in at any position, readers follow at their own pace.
//!
//! Owns the staging file, the set of present bytes, and the readers that wait. Promises that a byte is in the file
//! before anybody is told, that readers are woken for their own byte only, and that all hear the same ending.
//! Never decides whether content is right: `Staged::verify` does. A dropped `write` still completes.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::Error;
use crate::store::content::blob::Extent;
use crate::store::content::disk::OpenFile;
use crate::store::content::frontier::Frontier;
use crate::store::content::pieces::Pieces;
use crate::store::content::readers::{Demand, Waiting};
use crate::tasks::Tasks;

/// A blob that arrives. Shared by the streams that fetch it and the readers that follow.
pub struct Arriving {
    pub(super) file: Arc<OpenFile>,
    pub(super) tasks: Tasks,
    pub(super) frontier: Frontier,
    state: Mutex<State>,
    /// A reader waits for bytes that are not here.
    pub(crate) demand: Notify,
    /// Bytes came, or a claim was given up.
    pub(crate) moved: Notify,
    pub(super) unsynced: AtomicU64,
    /// One write-back at a time.
    pub(super) syncing: Arc<Semaphore>,
    pub(super) damaged: AtomicBool,
    next_reader: AtomicU64,
    /// Who reads it now.
    pub(super) readers: AtomicUsize,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pieces: Pieces,
    pub(super) length: Option<u64>,
    pub(super) ending: Option<Ending>,
    /// Spans that are being written now.
    pub(super) writing: Vec<Range<u64>>,
    /// Spans that side streams are fetching.
    claims: Vec<Range<u64>>,
    /// Where the main stream is.
    pub(super) main_at: u64,
    pub(super) waiting: Waiting,
}

/// How an arrival ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All bytes are here and match the digest.
    Proven,
    /// No more bytes will come from this arrival, or those that came are wrong.
    Cut,
    /// The store could not go on. What is present may be read; the rest has to come from elsewhere.
    Unkept,
}

/// What the main stream should fetch next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// From here on.
    From(u64),
    /// Side streams fetch all that is missing.
    Claimed,
    /// Nothing is missing.
    None,
}

impl Arriving {
    pub(crate) fn new(file: OpenFile, algorithm: Algorithm, pieces: Pieces, length: Option<u64>, tasks: Tasks) -> Self {
        let state = State {
            pieces,
            length,
            ..State::default()
        };
        Self {
            file: Arc::new(file),
            tasks,
            frontier: Frontier::new(algorithm),
            state: Mutex::new(state),
            demand: Notify::new(),
            moved: Notify::new(),
            unsynced: AtomicU64::new(0),
            syncing: Arc::new(Semaphore::new(1)),
            damaged: AtomicBool::new(false),
            next_reader: AtomicU64::new(0),
            readers: AtomicUsize::new(0),
        }
    }

    /// The blob's length in bytes, once it is known.
    pub fn length(&self) -> Option<u64> {
        self.state().length
    }

    /// Says how long the blob is; readers may go to the end from now on.
    pub(crate) fn set_length(&self, length: u64) {
        self.state().length = Some(length);
    }

    /// Bytes present, and where the first run of them ends.
    pub(crate) fn present(&self) -> (u64, u64) {
        let state = self.state();
        (state.pieces.total(), state.pieces.run_end(0))
    }

    /// How many bytes the file takes for what is present.
    pub(crate) fn on_disk(&self) -> u64 {
        self.state().pieces.on_disk()
    }

    pub(crate) fn pieces(&self) -> (Pieces, Option<u64>) {
        let state = self.state();
        (state.pieces.clone(), state.length)
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        self.state().ending
    }

    /// Whether anybody reads it now.
    pub(crate) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn file(&self) -> &Arc<OpenFile> {
        &self.file
    }

    /// Whether a sync is under way.
    pub(crate) fn is_syncing(&self) -> bool {
        self.syncing.available_permits() == 0
    }

    /// Hashes what a resumed partial already has, on the blocking pool, beside the fetch, until the arrival is cut.
    pub(crate) fn catch_up(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // Taken here, not in the task: a write that came first would have to read everything back itself.
        let Some(mut baton) = self.frontier.take() else { return };
        self.tasks.spawn(async move {
            let tasks = this.tasks.clone();
            let read_back = move || {
                let until = |from| {
                    // Who goes on without the store may need the hash.
                    let given_up = match this.ending() {
                        Some(Ending::Cut) => true,
                        Some(Ending::Unkept) => !this.is_read(),
                        Some(Ending::Proven) | None => false,
                    };
                    if given_up { from } else { this.run_end(from) }
                };
                baton.run(&[], until, &this.file)
            };
            if let Ok(Err(error)) = tasks.blocking(read_back).await {
                tracing::warn!(%error, "cannot read a partial back");
            }
        });
    }

    /// The digest of all that is present from 0 on, and how many bytes that is. To be called once, at the end.
    pub(crate) async fn digest(self: &Arc<Self>) -> Result<(Digest, u64), Error> {
        // Not waited for on the blocking pool: whoever hashes may still need a thread of it.
        let mut baton = self.frontier.next().await;
        if baton.at() == self.run_end(0) {
            return Ok(baton.finish());
        }
        let this = Arc::clone(self);
        let read_back = move || {
            baton.read_back(|from| this.run_end(from), &this.file)?;
            Ok(baton.finish())
        };
        self.tasks.blocking(read_back).await.map_err(Error::Lost)?
    }

    /// The hash of what is present from 0 on, as far as it has come, and how far that is. Waits for whoever hashes now.
    pub(crate) async fn hashed(&self) -> (Hasher, u64) {
        self.frontier.next().await.so_far()
    }

    /// What is present of `span` from its start on; perhaps nothing.
    pub(crate) fn present_of(&self, span: Range<u64>) -> Extent {
        let end = self.run_end(span.start).min(span.end);
        self.extent(span.start..end.max(span.start))
    }

    /// Where, from `at` on, bytes are present again; `None` when there are none.
    pub(crate) fn present_after(&self, at: u64) -> Option<u64> {
        self.state().pieces.next_start(at)
    }

    /// Ends the arrival for everybody. The first ending counts.
    pub(crate) fn end(&self, ending: Ending) {
        let all = {
            let mut state = self.state();
            state.ending.get_or_insert(ending);
            state.waiting.all()
        };
        wake(all);
    }

    /// Where the main stream should go on.
    pub(crate) fn gap(&self) -> Gap {
        let state = self.state();
        let Some(length) = state.length else {
            return Gap::From(state.pieces.run_end(0));
        };
        let missing = state.pieces.missing(0..length);
        let free = missing.iter().find_map(|gap| {
            let start = state.past_claims(gap.start);
            (start < gap.end).then_some(start)
        });
        match (free, missing.is_empty()) {
            (_, true) => Gap::None,
            (Some(start), false) => Gap::From(start),
            (None, false) => Gap::Claimed,
        }
    }

    /// How far, from `at` on, bytes are present or being fetched by a side stream.
    pub(crate) fn taken_until(&self, at: u64) -> u64 {
        self.state().past_claims(at)
    }

    /// Says where the main stream is.
    pub(crate) fn main_is_at(&self, at: u64) {
        self.state().main_at = at;
    }

    /// What readers far from the main stream need now.
    pub(crate) fn wanted(&self, now: Instant) -> Demand {
        let state = self.state();
        let Some(length) = state.length else {
            return Demand::Nothing;
        };
        let claimed = |at: u64| state.claims.iter().any(|claim| claim.contains(&at));
        match state.waiting.demand(now, state.main_at, claimed) {
            Demand::Fetch(span) => state
                .free(span.start..span.end.min(length))
                .map_or(Demand::Nothing, Demand::Fetch),
            demand @ (Demand::LookAgain(_) | Demand::Nothing) => demand,
        }
    }

    /// What nobody brings yet of the first piece behind the main stream's own that is not taken; pieces have `size` bytes.
    pub(crate) fn ahead(&self, size: u64) -> Option<Range<u64>> {
        let state = self.state();
        let length = state.length?;
        let start = state.past_claims(piece_end(state.main_at, size));
        (start < length)
            .then(|| state.free(start..piece_end(start, size).min(length)))
            .flatten()
    }

    /// Reserves a span for a side stream until the claim is dropped.
    pub(crate) fn claim(self: &Arc<Self>, span: Range<u64>) -> Claim {
        self.state().claims.push(span.clone());
        Claim {
            arriving: Arc::clone(self),
            span,
        }
    }

    /// The name of a new reader among those who wait.
    pub(super) fn next_reader(&self) -> u64 {
        self.next_reader.fetch_add(1, Ordering::Relaxed)
    }

    /// Bytes of the file, whether present or not.
    pub(super) fn extent(&self, span: Range<u64>) -> Extent {
        Extent::staging(&self.file, span, &self.tasks)
    }

    pub(super) fn run_end(&self, from: u64) -> u64 {
        self.state().pieces.run_end(from)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the piece that holds `at` ends (exclusive), if all have `size` bytes.
pub(crate) fn piece_end(at: u64, size: u64) -> u64 {
    (at / size + 1) * size
}

impl State {
    /// The first part of `span` that is neither present nor claimed.
    fn free(&self, span: Range<u64>) -> Option<Range<u64>> {
        let gap = self.pieces.missing(span).into_iter().next()?;
        let claims = self.claims.iter().map(|claim| claim.start);
        let end = claims.filter(|start| gap.contains(start)).min();
        Some(gap.start..end.unwrap_or(gap.end))
    }

    fn past_claims(&self, mut at: u64) -> u64 {
        loop {
            let run_end = self.pieces.run_end(at);
            let past = self
                .claims
                .iter()
                .filter(|claim| claim.contains(&run_end))
                .map(|claim| claim.end)
                .max();
            match past {
                Some(end) => at = end,
                None => return run_end,
            }
        }
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving")
            .field("state", &*self.state())
            .finish_non_exhaustive()
    }
}

/// A span that a side stream fetches; dropping it gives up what is still missing.
#[derive(Debug)]
pub(crate) struct Claim {
    arriving: Arc<Arriving>,
    span: Range<u64>,
}

impl Claim {
    pub(crate) fn span(&self) -> Range<u64> {
        self.span.clone()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.arriving.state();
        if let Some(at) = state.claims.iter().position(|claim| *claim == self.span) {
            state.claims.swap_remove(at);
        }
        drop(state);
        self.arriving.moved.notify_one();
    }
}

pub(super) fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests;
