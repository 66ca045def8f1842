//! One session in memory, and the right to write to it.
//!
//! Promises that one request at a time has the turn, also while a write that it began goes on without it; that where a
//! session is can be asked without one; and that a closed file is opened only while its session has a row. A request
//! that is silent while another one waits can see that: its client has most likely come back over a new connection.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{self, Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use crate::oci::Algorithm;
use crate::push::{Error, Position};
use crate::store::{self, Store, Upload, UploadId, UploadRow};

/// How long a request waits for another one to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// An upload session in memory.
#[derive(Debug)]
pub(super) struct Session {
    row: UploadRow,
    /// Bytes that are here, for those who only ask.
    received: AtomicU64,
    used: sync::Mutex<Instant>,
    /// Requests that wait for the turn.
    waiting: AtomicUsize,
    file: Arc<Mutex<File>>,
}

/// The session's file.
#[derive(Debug)]
enum File {
    Closed,
    Open(Upload),
    /// It has become a blob, or was deleted, and the session is over.
    Gone,
}

/// The right to write to a session.
#[derive(Debug)]
pub(super) struct Turn {
    session: Arc<Session>,
    file: OwnedMutexGuard<File>,
}

impl Session {
    /// A session with its file.
    pub(super) fn open(row: UploadRow, upload: Upload) -> Self {
        let received = upload.received();
        Self::new(row, received, File::Open(upload))
    }

    /// A session that has so many bytes, in a file that is opened when more come.
    pub(super) fn closed(row: UploadRow, received: u64) -> Self {
        Self::new(row, received, File::Closed)
    }

    fn new(row: UploadRow, received: u64, file: File) -> Self {
        Self {
            row,
            received: AtomicU64::new(received),
            used: sync::Mutex::new(Instant::now()),
            waiting: AtomicUsize::new(0),
            file: Arc::new(Mutex::new(file)),
        }
    }

    pub(super) fn row(&self) -> &UploadRow {
        &self.row
    }

    pub(super) fn position(&self) -> Position {
        Position::of(&self.row, self.received.load(Ordering::Acquire))
    }

    /// When it was opened, or written to last.
    pub(super) fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request waits for the turn.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Whether a sync of its file is under way. False while somebody has the turn.
    pub(super) fn is_syncing(&self) -> bool {
        let file = self.file.try_lock();
        file.is_ok_and(|file| matches!(&*file, File::Open(upload) if upload.is_syncing()))
    }

    /// The turn; `None` when another request goes on using it.
    pub(super) async fn turn(self: &Arc<Self>) -> Option<Turn> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waits = Waits(self);
        timeout(PATIENCE, self.next_turn()).await.ok()
    }

    /// The turn, however long that takes.
    pub(super) async fn next_turn(self: &Arc<Self>) -> Turn {
        let file = Arc::clone(&self.file).lock_owned().await;
        Turn {
            session: Arc::clone(self),
            file,
        }
    }

    /// The turn, if nobody has it.
    pub(super) fn free_turn(self: &Arc<Self>) -> Option<Turn> {
        let file = Arc::clone(&self.file).try_lock_owned().ok()?;
        Some(Turn {
            session: Arc::clone(self),
            file,
        })
    }

    fn moved(&self, received: u64) {
        self.received.store(received, Ordering::Release);
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A request that waits, until it is dropped.
struct Waits<'a>(&'a Session);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Turn {
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn row(&self) -> &UploadRow {
        &self.session.row
    }

    pub(super) fn id(&self) -> UploadId {
        self.session.row.id
    }

    pub(super) fn position(&self) -> Position {
        self.session.position()
    }

    /// Sees to it that the file is open; false when the session is over. `algorithm`: what to hash by, where that is
    /// known better than when the session began.
    pub(super) async fn open(&mut self, store: &Store, algorithm: Option<Algorithm>) -> Result<bool, Error> {
        if let File::Closed = &*self.file {
            // Others may have finished it since its row was read.
            let Some(row) = store.upload(&self.id()).await? else {
                *self.file = File::Gone;
                return Ok(false);
            };
            let upload = store.open_upload(&row.id, algorithm.unwrap_or(row.algorithm)).await?;
            self.session.moved(upload.received());
            *self.file = File::Open(upload);
        }
        match (&mut *self.file, algorithm) {
            (File::Open(upload), Some(algorithm)) => upload.hash_by(algorithm),
            (File::Open(_), None) => {}
            (File::Closed | File::Gone, _) => return Ok(false),
        }
        Ok(true)
    }

    /// Whether a chunk goes on where the session is, and is as long as its body will be, where that is told.
    pub(super) fn check(&self, span: &Range<u64>, length: Option<u64>) -> Result<(), Error> {
        let (at, declared) = (self.position(), span.end - span.start);
        if span.start != at.received {
            let start = span.start;
            return Err(Error::OutOfOrder { at, start });
        }
        if length.is_some_and(|length| length != declared) {
            return Err(Error::WrongLength { at, declared });
        }
        Ok(())
    }

    /// Writes behind what is here. Blocks. The turn goes along, so that nobody has it before the write has ended.
    pub(super) fn write(mut self, chunks: &[Bytes]) -> (Self, Result<(), store::Error>) {
        let File::Open(upload) = &mut *self.file else {
            return (self, Ok(()));
        };
        let written = upload.append(chunks);
        self.session.moved(upload.received());
        (self, written)
    }

    /// Takes the file out; without it the session is one whose file is closed.
    pub(super) fn take(&mut self) -> Option<Upload> {
        match std::mem::replace(&mut *self.file, File::Closed) {
            File::Open(upload) => Some(upload),
            File::Closed | File::Gone => None,
        }
    }

    /// Gives the file back that was taken out.
    pub(super) fn put_back(&mut self, upload: Upload) {
        *self.file = File::Open(upload);
    }

    /// Whether bytes that came may never reach the disk.
    pub(super) fn is_lost(&self) -> bool {
        matches!(&*self.file, File::Open(upload) if upload.is_lost())
    }

    /// Ends the session: whoever waits for the turn finds it over.
    pub(super) fn end(&mut self) {
        *self.file = File::Gone;
    }
}
