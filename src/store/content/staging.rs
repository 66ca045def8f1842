//! The life of a blob on its way into the store: `Staged` → `Verified` → committed, each consumed by the next.
//!
//! Owns the staging file's name, its row and its room. Promises that dropping a `Staged` leaves an idle partial that the next
//! fetch resumes, that only `discard` deletes, and that `verify` is the only way to a `Verified`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::budget::Reservation;
use crate::store::content::arriving::{Arriving, Ending};
use crate::store::content::disk;
use crate::store::content::layout::Layout;
use crate::store::index::{FileStep, Index, Pulled};

/// Progress is noted in the index whenever so many bytes are new: what a crash can cost, at most.
const NOTED_EVERY: u64 = 1024 * 1024;

/// A blob that is not proven yet. One at a time for each staging row.
#[derive(Debug)]
pub struct Staged {
    arriving: Arc<Arriving>,
    digest: Digest,
    row: Row,
    resumed: bool,
}

/// The staging row; dropping it notes how far the blob came.
#[derive(Debug)]
struct Row {
    id: u64,
    index: Index,
    arriving: Arc<Arriving>,
    reservation: Reservation,
    noted: AtomicU64,
    done: bool,
}

impl Staged {
    pub(in crate::store) fn new(
        id: u64,
        digest: Digest,
        arriving: Arc<Arriving>,
        index: Index,
        reservation: Reservation,
    ) -> Self {
        let (present, _) = arriving.present();
        let row = Row {
            id,
            index,
            arriving: Arc::clone(&arriving),
            reservation,
            noted: AtomicU64::new(present),
            done: false,
        };
        if present > 0 {
            arriving.catch_up();
        }
        Self {
            arriving,
            digest,
            row,
            resumed: present > 0,
        }
    }

    /// What readers follow.
    pub fn arriving(&self) -> &Arc<Arriving> {
        &self.arriving
    }

    /// Whether bytes of an earlier attempt were there at the start. They are not trusted: the digest decides.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether no byte is there.
    pub fn is_empty(&self) -> bool {
        self.arriving.present().0 == 0
    }

    /// Writes `chunks`, one behind the other, at `offset`. Where the length was not known there may be no room for them:
    /// then nothing is written.
    pub async fn write(&self, offset: u64, chunks: Vec<Bytes>) -> Result<(), Error> {
        let more: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.row.reservation.cover(self.arriving.present().0 + more).await?;
        // Before they are there: what is begun comes to its end, whoever waits for it.
        let most = self.arriving.length().unwrap_or(u64::MAX);
        self.row.reservation.wrote(most.min(self.arriving.on_disk() + more));
        self.arriving.write(offset, chunks).await?;
        self.row.reservation.wrote(self.arriving.on_disk());
        self.row.note_now_and_then();
        Ok(())
    }

    /// Proves the content. On success every reader gets its last byte; otherwise every reader is cut and the caller
    /// discards what came back.
    pub async fn verify(self) -> Result<Verified, Unproven> {
        match self.arriving.digest().await {
            Ok((digest, size))
                if digest == self.digest && self.arriving.length().is_none_or(|length| length == size) =>
            {
                self.arriving.set_length(size);
                self.arriving.end(Ending::Proven);
                Ok(Verified { staged: self, size })
            }
            Ok((found, _)) => Err(Unproven::Mismatch { staged: self, found }),
            Err(error) => Err(Unproven::Unreadable { staged: self, error }),
        }
    }

    /// Deletes the bytes and forgets the row. Readers are cut.
    pub async fn discard(mut self, layout: &Layout) -> Result<(), Error> {
        self.arriving.end(Ending::Cut);
        self.row.done = true;
        let path = layout.staging(self.row.id);
        let remove = FileStep::new([], move || disk::remove(&path));
        self.row.index.unstage(self.row.id, remove).await?;
        self.row.reservation.end();
        Ok(())
    }

    pub(crate) fn id(&self) -> u64 {
        self.row.id
    }

    /// What ends its reservation, at the moment at which it is counted as a blob.
    pub(in crate::store) fn counted(&self) -> impl FnOnce() + Send + use<> {
        self.row.reservation.ending()
    }

    /// The row is gone with the commit: nothing is left to note.
    pub(crate) fn landed(mut self) {
        self.row.done = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.arriving.end(Ending::Cut);
    }
}

impl Row {
    fn note_now_and_then(&self) {
        let (present, _) = self.arriving.present();
        if present.saturating_sub(self.noted.load(Ordering::Relaxed)) >= NOTED_EVERY {
            self.noted.store(present, Ordering::Relaxed);
            self.note();
        }
    }

    fn note(&self) {
        let (pieces, length) = self.arriving.pieces();
        self.index.note_progress(self.id, length, pieces.encode());
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if !self.done {
            self.note();
            self.index.note_pull(Pulled::Partial(self.id));
        }
    }
}

/// A blob whose bytes are all here and match its digest.
#[derive(Debug)]
pub struct Verified {
    staged: Staged,
    size: u64,
}

impl Verified {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn digest(&self) -> Digest {
        self.staged.digest
    }

    pub(crate) fn into_staged(self) -> Staged {
        self.staged
    }
}

/// Why a blob is not proven. Readers are cut when the `Staged` in it is discarded or dropped.
#[derive(Debug)]
pub enum Unproven {
    /// The bytes are another content than was asked for.
    Mismatch {
        /// To be discarded.
        staged: Staged,
        /// What the bytes hash to.
        found: Digest,
    },
    /// The staging file cannot be read back.
    Unreadable {
        /// To be discarded.
        staged: Staged,
        /// The disk's word.
        error: Error,
    },
}
