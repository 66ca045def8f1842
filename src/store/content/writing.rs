//! How bytes get into an arriving blob's file.
//!
//! Owns the order: a span is reserved, written, and only then present, so no byte is written twice and none is told of
//! before it is there. Promises that what is hashed is what is in the file. A write that was begun completes, also when
//! its future is dropped.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::store::Error;
use crate::store::content::arriving::{Arriving, wake};
use crate::store::content::disk::{OpenFile, Stamp};

/// Write-back is started whenever so many bytes are new, so that the sync before the commit is short.
const WRITE_BACK: u64 = 64 * 1024 * 1024;

impl Arriving {
    /// Writes `chunks`, one behind the other, at `offset`: what is there already, or is being written by another stream,
    /// stays as it is. Hashes what reaches the frontier. Once called it completes, also when the future is dropped.
    pub(crate) async fn write(self: &Arc<Self>, offset: u64, chunks: Vec<Bytes>) -> Result<(), Error> {
        let this = Arc::clone(self);
        let write = self.tasks.blocking(move || this.write_now(offset, &chunks));
        write.await.map_err(Error::Lost)?
    }

    /// As `write`. Blocks.
    pub(crate) fn write_now(self: &Arc<Self>, offset: u64, chunks: &[Bytes]) -> Result<(), Error> {
        let end = chunks.iter().fold(offset, |at, chunk| at + chunk.len() as u64);
        // Only what this call wrote is hashed from memory: the file may hold another stream's bytes elsewhere.
        let mut written = Vec::new();
        let mut from = offset;
        while let Some(gap) = self.reserve(from..end) {
            let mut parts = parts(offset, chunks, &gap);
            let outcome = self.file.write_at(parts.iter().map(|(_, part)| &part[..]), gap.start);
            from = gap.end;
            self.release(gap, outcome.is_ok());
            outcome?;
            written.append(&mut parts);
        }
        self.unsynced.fetch_add(end - offset, Ordering::Relaxed);
        self.frontier.advance(&written, |from| self.run_end(from), &self.file)?;
        self.start_write_back();
        Ok(())
    }

    /// The first part of `span` that is neither present nor being written: it is the caller's to write and release.
    fn reserve(&self, span: Range<u64>) -> Option<Range<u64>> {
        let mut state = self.state();
        let mut taken = state.pieces.clone();
        state.writing.iter().for_each(|other| taken.insert(other.clone()));
        let gap = taken.missing(span).into_iter().next()?;
        state.writing.push(gap.clone());
        Some(gap)
    }

    /// Gives a reserved span back, as present if it was written.
    fn release(&self, span: Range<u64>, written: bool) {
        let reached = {
            let mut state = self.state();
            state.writing.retain(|other| *other != span);
            if written {
                state.pieces.insert(span.clone());
                state.waiting.reached(&span)
            } else {
                Vec::new()
            }
        };
        wake(reached);
        self.moved.notify_one();
    }

    fn start_write_back(self: &Arc<Self>) {
        if self.unsynced.load(Ordering::Relaxed) < WRITE_BACK {
            return;
        }
        let Ok(turn) = Arc::clone(&self.syncing).try_acquire_owned() else {
            return;
        };
        self.unsynced.store(0, Ordering::Relaxed);
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let tasks = this.tasks.clone();
            // A failure is noted: whoever writes next hears of it.
            let _ended = tasks.blocking(move || this.sync(OpenFile::sync)).await;
            drop(turn);
        });
    }

    /// Makes the first `size` bytes, which are all there are, durable. After a failure the file is worthless.
    pub(crate) async fn make_durable(self: &Arc<Self>, size: u64) -> Result<Stamp, Error> {
        // Behind a write-back that is under way.
        let _turn = self.syncing.acquire().await;
        self.check_written()?;
        let this = Arc::clone(self);
        let sync = move |file: &OpenFile| {
            // A longer partial of another length may have been here before.
            file.truncate(size)?;
            file.sync()?;
            file.stamp()
        };
        self.tasks
            .blocking(move || this.sync(sync))
            .await
            .map_err(Error::Lost)?
    }

    /// The kernel tells of a failure once, and what was lost looks clean the next time. So the file loses its name: those
    /// who read it go on, and nobody takes it up again. Blocks.
    fn sync<R>(&self, sync: impl FnOnce(&OpenFile) -> Result<R, Error>) -> Result<R, Error> {
        sync(&self.file).inspect_err(|_| {
            self.damaged.store(true, Ordering::Release);
            if let Err(error) = self.file.unlink() {
                tracing::error!(%error, "a file stays whose bytes may not be on the disk");
            }
        })
    }

    /// Says so when a sync has failed.
    pub(super) fn check_written(&self) -> Result<(), Error> {
        if self.damaged.load(Ordering::Acquire) {
            Err(self.file.not_durable())
        } else {
            Ok(())
        }
    }
}

/// What of `chunks`, which begin at `offset`, lies in `gap`, with the position of each part.
fn parts(offset: u64, chunks: &[Bytes], gap: &Range<u64>) -> Vec<(u64, Bytes)> {
    let mut at = offset;
    let mut parts = Vec::new();
    for chunk in chunks {
        let (start, end) = (at.max(gap.start), (at + chunk.len() as u64).min(gap.end));
        if let (true, Ok(from), Ok(to)) = (start < end, usize::try_from(start - at), usize::try_from(end - at)) {
            parts.push((start, chunk.slice(from..to)));
        }
        at += chunk.len() as u64;
    }
    parts
}
