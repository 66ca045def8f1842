//! The sessions that are in memory, and the transfers that run.
//!
//! Promises that a session is in memory once, whoever asks for it, and that one which somebody uses stays there: two
//! requests that know one session by two objects would both have the turn. Never waits, and never touches a disk: who
//! takes sessions out drops them where that may block.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::push::session::turn::Session;
use crate::store::UploadId;

/// Sessions in memory, at most, beside those that are used at this moment.
const MOST: usize = 1024;
/// A session that nobody has written to for so long is put away.
const IDLE: Duration = Duration::from_mins(5);
/// Bytes in one write, while few uploads run.
const LARGE_BATCH: usize = 512 * 1024;
/// Bytes in one write, while many run: each holds two.
const SMALL_BATCH: usize = 64 * 1024;
/// So many are few.
const FEW: usize = 16;

#[derive(Debug, Clone, Default)]
pub(in crate::push) struct Sessions(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<HashMap<UploadId, Arc<Session>>>,
    transfers: AtomicUsize,
}

/// A request's body that is being received, until it is dropped.
#[derive(Debug)]
pub(super) struct Transfer(Arc<Shared>);

impl Sessions {
    pub(super) fn get(&self, id: &UploadId) -> Option<Arc<Session>> {
        self.table().get(id).cloned()
    }

    /// Takes the session in, unless it is here; gives the one that is here, and perhaps another one that had to go.
    pub(super) fn enter(&self, session: Session) -> (Arc<Session>, Option<Arc<Session>>) {
        let mut table = self.table();
        let id = session.row().id;
        let session = Arc::clone(table.entry(id).or_insert_with(|| Arc::new(session)));
        if table.len() <= MOST {
            return (session, None);
        }
        let oldest = table.values().filter(|session| is_idle(session));
        let oldest = oldest.min_by_key(|session| session.used());
        let gone = oldest.map(|session| session.row().id).and_then(|id| table.remove(&id));
        (session, gone)
    }

    /// A session that is over.
    pub(super) fn remove(&self, id: &UploadId) {
        self.table().remove(id);
    }

    /// Takes out what nobody has used for a while.
    pub(super) fn take_idle(&self, now: Instant) -> Vec<Arc<Session>> {
        let old = |session: &Arc<Session>| now.duration_since(session.used()) >= IDLE && is_idle(session);
        let mut table = self.table();
        let gone = table.extract_if(|_, session| old(session));
        gone.map(|(_, session)| session).collect()
    }

    /// Counts one more transfer.
    pub(super) fn transfer(&self) -> Transfer {
        self.0.transfers.fetch_add(1, Ordering::Relaxed);
        Transfer(Arc::clone(&self.0))
    }

    fn table(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<Session>>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody has the session but the table, which is locked. Where a sync is under way it stays, because only its open
/// file hears of a failure.
fn is_idle(session: &Arc<Session>) -> bool {
    Arc::strong_count(session) == 1 && !session.is_syncing()
}

impl Transfer {
    /// How many bytes to write at a time.
    pub(super) fn batch(&self) -> usize {
        if self.0.transfers.load(Ordering::Relaxed) <= FEW {
            LARGE_BATCH
        } else {
            SMALL_BATCH
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.transfers.fetch_sub(1, Ordering::Relaxed);
    }
}
