//! The byte budget: what is cached stays within `store.max_size`, and leaves `store.min_free` on its file system.
//!
//! Owns the ledger and the turn to evict. Promises that room is there before bytes are written into it; that what was pulled
//! least recently goes first, and nothing that is pushed, pinned or in use; and that nothing goes for what could not fit even
//! so: that is `Error::NoRoom` at once. Works ahead, so that a fill hardly ever waits, in small steps, each with its turn.
//! Dropping a request for room ends it after the step that was begun.

mod evict;
mod ledger;
mod reservation;
pub(in crate::store) mod size;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

use crate::store::content::disk;
use crate::store::content::file_system;
use crate::store::content::in_use::InUse;
use crate::store::content::layout::Layout;
use crate::store::index::Index;
use crate::store::running::Running;
use crate::store::{Config, Error, Store, UploadId};
use crate::tasks::Tasks;

use ledger::{Incoming, Ledger, Limits};
pub(in crate::store) use reservation::Reservation;
use size::Size;

/// How long until the file system is looked at again: others fill it too.
const LOOK: Duration = Duration::from_secs(5);
/// How long a store that fails is left alone.
const AFTER_A_FAILURE: Duration = Duration::from_mins(1);

/// The budget of one store.
#[derive(Debug)]
pub(in crate::store) struct Budget {
    max_size: Size,
    min_free: Size,
    ledger: Arc<Ledger>,
    in_use: InUse,
    index: Index,
    layout: Layout,
    running: Arc<Running>,
    tasks: Tasks,
    /// One step at a time.
    turn: Semaphore,
    /// Less is free than should be ahead of need.
    nudge: Notify,
}

impl Budget {
    /// Of the store in this layout; it knows its limits once it has taken stock.
    pub(in crate::store) fn new(
        config: &Config,
        index: Index,
        layout: Layout,
        running: Arc<Running>,
        tasks: Tasks,
    ) -> Self {
        Self {
            max_size: config.max_size,
            min_free: config.min_free,
            ledger: Arc::new(Ledger::new(Arc::clone(index.counted()))),
            in_use: InUse::default(),
            index,
            layout,
            running,
            tasks,
            turn: Semaphore::new(1),
            nudge: Notify::new(),
        }
    }

    /// Takes stock of what an earlier process has left under way: partials, by their ids, and all uploads.
    pub(in crate::store) async fn take_stock(&self, partials: &HashSet<u64>) -> Result<(), Error> {
        self.look().await?;
        let uploads = self.index.uploads().await?;
        let partials = partials.iter().map(|id| Incoming::Partial(*id));
        let incoming: Vec<_> = partials.chain(uploads.into_iter().map(Incoming::Upload)).collect();
        let (ledger, layout) = (Arc::clone(&self.ledger), self.layout.clone());
        let stock = move || {
            for of in incoming {
                let file = match &of {
                    Incoming::Partial(id) => layout.staging(*id),
                    Incoming::Upload(id) => layout.upload(id),
                };
                if let Some(stamp) = disk::stamp(&file)? {
                    ledger.found(of, stamp.allocated);
                }
            }
            Ok(())
        };
        self.tasks.blocking(stock).await.map_err(Error::Lost)?
    }

    /// The blobs that are open.
    pub(in crate::store) fn in_use(&self) -> &InUse {
        &self.in_use
    }

    /// Says that an upload has ended: it is a blob, or its file is removed.
    pub(in crate::store) fn end_upload(&self, id: &UploadId) {
        self.ledger.end(Incoming::Upload(*id));
    }

    /// Reserves `total` bytes in place of what it has, evicting what must go first.
    async fn reserve(self: &Arc<Self>, of: Incoming, total: u64) -> Result<(), Error> {
        let Err(lack) = self.ledger.reserve(of, total, self.look().await?) else {
            self.keep_ahead();
            return Ok(());
        };
        if lack > self.may_go().await? {
            return Err(self.no_room(of, total));
        }
        let mut until = self.index.last_use();
        loop {
            let _turn = self.turn.acquire().await;
            let Err(lack) = self.ledger.reserve(of, total, self.look().await?) else {
                break;
            };
            if self.evict(until, lack).await?.is_vain() {
                // Others had their turns first: what is there now was pulled later, or came with them.
                until = self.index.last_use();
                if lack > self.may_go().await? || self.evict(until, lack).await?.is_vain() {
                    return Err(self.no_room(of, total));
                }
            }
        }
        self.keep_ahead();
        Ok(())
    }

    fn no_room(&self, of: Incoming, total: u64) -> Error {
        Error::NoRoom {
            needed: total.saturating_sub(self.ledger.held(of)),
            full: self.ledger.lack(of, total, u64::MAX) == 0,
        }
    }

    fn reserve_ahead(&self, of: Incoming, total: u64) {
        self.ledger.reserve_ahead(of, total);
        self.keep_ahead();
    }

    /// Has room made ahead of need, if there is less than there should be.
    fn keep_ahead(&self) {
        if self.ledger.excess(u64::MAX) > 0 {
            self.nudge.notify_one();
        }
    }

    /// Makes room ahead of need, one step after the other.
    async fn make_room(self: &Arc<Self>) -> Result<(), Error> {
        let until = self.index.last_use();
        while !self.tasks.closing().is_cancelled() {
            let _turn = self.turn.acquire().await;
            let excess = self.ledger.excess(self.look().await?);
            if excess == 0 || self.may_go().await? == 0 || !self.evict(until, excess).await?.more {
                break;
            }
        }
        Ok(())
    }

    /// What the file system has left, in bytes. It may have been made larger or smaller: the limits follow.
    async fn look(&self) -> Result<u64, Error> {
        let path = self.layout.stagings();
        let space = self.tasks.blocking(move || file_system::space(&path));
        let space = space.await.map_err(Error::Lost)??;
        self.ledger.set_limits(Limits {
            max_size: self.max_size.of(space.total),
            min_free: self.min_free.of(space.total),
        });
        Ok(space.available)
    }
}

impl Store {
    /// Keeps some room free ahead of need until wharf winds down: after each change, and where others fill the disk.
    pub async fn keep_room(self) {
        let (closing, counted) = (self.tasks.closing(), Arc::clone(self.index.counted()));
        while !closing.is_cancelled() {
            let made = self.budget.make_room().await;
            if let Err(error) = &made {
                let cause = std::error::Error::source(error);
                tracing::error!(%error, ?cause, "cannot make room in the store: tried again in a minute");
            }
            tokio::select! {
                () = closing.cancelled() => {}
                () = sleep(AFTER_A_FAILURE), if made.is_err() => {}
                () = self.budget.nudge.notified(), if made.is_ok() => {}
                () = counted.changed.notified(), if made.is_ok() => {}
                () = sleep(LOOK), if made.is_ok() => {}
            }
        }
    }
}

#[cfg(test)]
mod history;
#[cfg(test)]
mod tests;
