//! One step of an eviction: what was pulled least recently is forgotten, and its files are removed.
//!
//! Promises that nothing goes that is in use or pinned, and that bytes count until their file is gone. First forgotten, then removed:
//! killed in between, it leaves files that the next start finds. A reader that opens a file in between reads on.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::budget::Budget;
use crate::store::budget::ledger::{Incoming, Leaving};
use crate::store::content::disk;
use crate::store::content::in_use::InUse;
use crate::store::index::pins::Held;
use crate::store::index::room::{Bounds, Candidate};
use crate::store::pins;
use crate::store::recover::remove_stray;
use crate::tasks::Lost;

/// Rows in one step.
const STEP: usize = 64;

/// What one step came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evicted {
    /// Blobs and partials.
    pub(super) gone: usize,
    /// Whether another step may find something.
    pub(super) more: bool,
}

impl Evicted {
    /// Nothing went, and all that might go has been looked at.
    pub(super) fn is_vain(self) -> bool {
        self.gone == 0 && !self.more
    }
}

/// What is not evicted, although it is cached.
#[derive(Debug, Clone)]
struct Spared {
    in_use: InUse,
    pinned: Arc<Held>,
}

impl Spared {
    fn holds(&self, digest: &Digest) -> bool {
        self.in_use.holds(digest) || self.pinned.holds(digest)
    }

    /// All that is in use and not pinned.
    fn in_use_only(&self) -> Vec<Digest> {
        let mut in_use = self.in_use.all();
        in_use.retain(|digest| !self.pinned.holds(digest));
        in_use
    }
}

impl Budget {
    /// Frees `enough` bytes, or what is found in one step, of what was pulled no later than `until`. To be called by who
    /// has the turn.
    pub(super) async fn evict(self: &Arc<Self>, until: u64, enough: u64) -> Result<Evicted, Error> {
        // A task of its own: whoever asks no more must not leave the files of what is forgotten.
        let budget = Arc::clone(self);
        let step = self.tasks.spawn(async move { budget.evict_now(until, enough).await });
        step.await.map_err(|_ended| Error::Lost(Lost))?
    }

    async fn evict_now(&self, until: u64, enough: u64) -> Result<Evicted, Error> {
        let bounds = Bounds {
            until,
            enough,
            rows: STEP,
        };
        pins::settle(&self.index).await?;
        let (spared, ledger) = (self.spared(), Arc::clone(&self.ledger));
        let judge = move |candidate| match candidate {
            Candidate::Blob(digest, _) if spared.holds(&digest) => None,
            Candidate::Blob(_, bytes) => Some((bytes, Some(ledger.leaving(bytes)))),
            Candidate::Partial(id) => ledger.idle(id).map(|bytes| (bytes, None)),
        };
        let step = self.index.evict(bounds, judge).await;
        let step = step.inspect_err(|_unsure| self.running.set_in_doubt())?;
        tracing::debug!(gone = step.forgotten.len(), enough, "evicted");
        let gone = step.forgotten.len();
        join_all(step.forgotten.into_iter().map(|(gone, until)| self.remove(gone, until))).await;
        Ok(Evicted { gone, more: step.more })
    }

    /// How many bytes could go.
    pub(super) async fn may_go(&self) -> Result<u64, Error> {
        let pinned = pins::counted(&self.index).await?;
        let in_use = self.index.weigh(self.spared().in_use_only()).await?;
        Ok(self.ledger.evictable().saturating_sub(pinned + in_use))
    }

    fn spared(&self) -> Spared {
        Spared {
            in_use: self.in_use.clone(),
            pinned: Arc::clone(self.index.held()),
        }
    }

    /// Removes the file of what is forgotten. It is rubbish by now: if that fails, the next start does it.
    async fn remove(&self, gone: Candidate, counted: Option<Leaving>) {
        let removed = match gone {
            Candidate::Blob(digest, _) => {
                let removed = remove_stray(&self.index, &self.layout, &self.tasks, &digest).await;
                removed.map(drop)
            }
            Candidate::Partial(id) => self.remove_partial(id).await,
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "an evicted file stays until the next start");
            self.running.set_in_doubt();
        }
        drop(counted);
    }

    async fn remove_partial(&self, id: u64) -> Result<(), Error> {
        let file = self.layout.staging(id);
        let removed = self.tasks.blocking(move || disk::remove(&file));
        removed.await.map_err(Error::Lost)??;
        self.ledger.end(Incoming::Partial(id));
        Ok(())
    }
}
