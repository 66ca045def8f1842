//! The one thread that writes.
//!
//! Owns the queue of operations. Promises that those that wait are written together, in the order they were queued,
//! and that an answer means durable, or to a lazy write at least visible, whatever becomes of this process. Notes go
//! along with the next batch, or alone after a short while.
//! Dropping the future of a write before it has a place in the queue makes it undone; after that it is done whoever
//! listens. Dropping the `Writer` writes what is queued and waits for the thread.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use crate::store::Error;
use crate::store::index::batch::{Answer, Batches, Op};
use crate::store::index::facts::Fact;
use crate::store::index::notes::{Notes, Progress};
use crate::store::index::schema::Durability;
use crate::store::index::tx::{Refusal, Tx};
use crate::store::index::uses::Pulled;

/// Operations in one transaction.
const BATCH: usize = 256;
/// Operations that wait: further callers wait for a place.
const PLACES: usize = 1024;
/// How long notes wait for a batch to go along with.
const PATIENCE: Duration = Duration::from_millis(200);

/// The callers' end of the queue.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Sender<Message>,
    places: Arc<Semaphore>,
    notes: Arc<Notes>,
    thread: Mutex<Option<JoinHandle<()>>>,
    read_only: bool,
}

enum Message {
    Op(Op),
    /// There is a first note.
    Noted,
    Close,
}

impl Writer {
    /// Starts the thread. The next pull is the one after `last_use`.
    pub(super) fn start(batches: Batches, last_use: u64) -> Result<Self, Error> {
        let (queue, inbox) = mpsc::channel();
        let notes = Arc::new(Notes::behind(last_use));
        let writing = Writing {
            inbox,
            notes: Arc::clone(&notes),
            batches,
        };
        let thread = thread::Builder::new().name("index-writer".to_owned());
        let thread = thread
            .spawn(move || writing.run())
            .map_err(|source| Error::Thread { source })?;
        let places = Arc::new(Semaphore::new(PLACES));
        Ok(Self {
            queue,
            places,
            notes,
            thread: Mutex::new(Some(thread)),
            read_only: false,
        })
    }

    /// Of an index that is only read: whatever would change it is refused.
    pub(super) fn none() -> Self {
        let (queue, _nobody) = mpsc::channel();
        Self {
            queue,
            places: Arc::new(Semaphore::new(PLACES)),
            notes: Arc::default(),
            thread: Mutex::new(None),
            read_only: true,
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Makes a change and waits until it is durable; the value is what `change` came to.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        fact: Fact,
        change: impl FnOnce(&mut Tx<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Error> {
        self.enqueue(Durability::Synced, fact, change).await
    }

    /// As `write`, but waits for no disk: the change survives the end of this process, and perhaps not a power cut.
    pub(super) async fn write_lazily<R: Send + 'static>(
        &self,
        fact: Fact,
        change: impl FnOnce(&mut Tx<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Error> {
        self.enqueue(Durability::Lazy, fact, change).await
    }

    async fn enqueue<R: Send + 'static>(
        &self,
        durability: Durability,
        fact: Fact,
        change: impl FnOnce(&mut Tx<'_>) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Error> {
        let fact = Box::new(fact);
        if self.read_only {
            return Err(Error::ReadOnly { fact });
        }
        let closed = Error::Closed { fact: fact.clone() };
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err(closed);
        };
        let (result, value) = oneshot::channel();
        let (to, answer) = oneshot::channel();
        let about = fact.clone();
        let change = move |tx: &mut Tx<'_>| {
            // The value waits in its own channel until the answer says that it counts.
            let _ = result.send(change(tx).map_err(|refusal| refusal.of(about))?);
            Ok(())
        };
        let op = Op {
            durability,
            change: Box::new(change),
            answer: Answer {
                fact,
                to,
                _place: place,
            },
        };
        let Ok(()) = self.queue.send(Message::Op(op)) else {
            return Err(closed);
        };
        match answer.await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(closed),
        }
        value.await.map_err(|_| closed)
    }

    /// Notes the progress of a partial; nobody waits for it.
    pub(super) fn note(&self, id: u64, progress: Progress) {
        if self.notes.note(id, progress) {
            // A writer that is gone wants no notes.
            let _ = self.queue.send(Message::Noted);
        }
    }

    /// Notes a pull; nobody waits for it.
    pub(super) fn note_pull(&self, pulled: Pulled) {
        // Where nobody takes notes down they would only pile up.
        if !self.read_only && self.notes.note_pull(pulled) {
            let _ = self.queue.send(Message::Noted);
        }
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Writes what is queued and ends the thread; what is queued later is refused. Blocks.
    pub(super) fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let _ = self.queue.send(Message::Close);
        // The last handle may go with a file step, on the thread itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the index writer has died");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's end of the queue.
struct Writing {
    inbox: Receiver<Message>,
    notes: Arc<Notes>,
    batches: Batches,
}

impl Writing {
    fn run(mut self) {
        let mut closing = false;
        while !closing {
            let (ops, last) = self.gather();
            let noted = self.notes.take();
            if !ops.is_empty() || !noted.is_empty() {
                self.batches.write(ops, noted);
            }
            closing = last;
        }
    }

    /// Waits for the next batch; the flag says that it is the last one.
    fn gather(&self) -> (Vec<Op>, bool) {
        let Some(first) = self.wait() else {
            return (Vec::new(), false);
        };
        let mut ops = Vec::new();
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Message::Op(op)) => ops.push(op),
                Ok(Message::Noted) => {}
                Ok(Message::Close) | Err(TryRecvError::Disconnected) => return (ops, true),
                Err(TryRecvError::Empty) => return (ops, false),
            }
            if ops.len() == BATCH {
                return (ops, false);
            }
            next = self.inbox.try_recv();
        }
    }

    /// Waits for something other than a note; `None` when notes have waited long enough.
    fn wait(&self) -> Option<Message> {
        let first = self.inbox.recv().unwrap_or(Message::Close);
        let Message::Noted = first else {
            return Some(first);
        };
        let due = Instant::now() + PATIENCE;
        loop {
            match self.inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Message::Noted) => {}
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(Message::Close),
            }
        }
    }
}

#[cfg(test)]
mod tests;
