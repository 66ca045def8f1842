//! Content that nobody can reach leaves the disk, while pushes and pulls go on.
//!
//! Promises that a blob stays for the whole grace after its last push or mount, for three quarters of it after a look at
//! it, and for ever where a manifest names it; that what goes is first forgotten, durably, and then removed; and that no
//! step keeps other writes waiting for longer than some of their own. Killed at any moment, it leaves at most files that
//! the next start removes.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use crate::clock::Clock;
use crate::oci::Digest;
use crate::store::recover::remove_stray;
use crate::store::{Error, Store};

/// Blobs in one step.
const STEP: usize = 64;
/// What is loose is looked at no more often than this,
const AT_MOST: Duration = Duration::from_millis(500);
/// and no more seldom: clocks are set, and machines sleep.
const AT_LEAST: Duration = Duration::from_mins(1);

/// Content that a collection frees, or would free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What a collection has freed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// Blobs.
    pub blobs: usize,
    /// Their bytes together.
    pub bytes: u64,
}

impl Store {
    /// Frees what has been loose, or in no repository since a restore, for `grace`. Ends between two steps when wharf winds
    /// down.
    pub async fn collect(&self, now: Timestamp, grace: Duration) -> Result<Freed, Error> {
        let closing = self.tasks.closing();
        let mut freed = Freed::default();
        while !closing.is_cancelled() {
            let (due, gone) = self.collect_step(now, grace).await?;
            freed.blobs += gone.len();
            freed.bytes += gone.iter().map(|gone| gone.size).sum::<u64>();
            if due < STEP {
                break;
            }
        }
        Ok(freed)
    }

    /// As [`Store::collect`], and tells what went. Ends between two steps when nobody listens any more.
    pub async fn collect_telling(&self, now: Timestamp, grace: Duration, to: &Sender<Gone>) -> Result<(), Error> {
        let closing = self.tasks.closing();
        while !closing.is_cancelled() {
            let (due, gone) = self.collect_step(now, grace).await?;
            for gone in gone {
                // Whoever has left has heard enough.
                let _ = to.send(gone).await;
            }
            if due < STEP || to.is_closed() {
                break;
            }
        }
        Ok(())
    }

    /// Tells what [`Store::collect`] would free, if it began now and nothing else happened. Ends when nobody listens any
    /// more.
    pub async fn collectable(&self, now: Timestamp, grace: Duration, to: Sender<Gone>) -> Result<(), Error> {
        match now.checked_sub(grace) {
            Ok(before) => self.index.collectable(before, to).await,
            Err(_before_all_time) => Ok(()),
        }
    }

    /// How many were due, and the content of those that is gone.
    async fn collect_step(&self, now: Timestamp, grace: Duration) -> Result<(usize, Vec<Gone>), Error> {
        let Ok(before) = now.checked_sub(grace) else {
            return Ok((0, Vec::new()));
        };
        let step = self.index.collect(before, STEP).await;
        let step = step.inspect_err(|_unsure| self.running.set_in_doubt())?;
        for gone in &step.freed {
            self.clear(&gone.digest).await;
        }
        Ok((step.due, step.freed))
    }

    /// Removes the file of content that has been forgotten. It is rubbish by now: if that fails, the next start does it.
    pub(super) async fn clear(&self, digest: &Digest) {
        if let Err(error) = remove_stray(&self.index, &self.layout, &self.tasks, digest).await {
            tracing::warn!(%error, %digest, "the file of a deleted blob stays until the next start");
            self.running.set_in_doubt();
        }
    }

    /// Collects until wharf winds down.
    pub async fn keep_collected(self, clock: Clock, grace: Duration) {
        let trouble = "what nobody can reach is not freed: tried again in a minute";
        let round = async || Ok(self.collect_if_due(clock.now(), grace).await?.max(AT_MOST));
        self.keep(AT_LEAST, trouble, round).await;
    }

    /// Says when the next blob may be due.
    async fn collect_if_due(&self, now: Timestamp, grace: Duration) -> Result<Duration, Error> {
        let due_in = |since: Timestamp| {
            let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            grace.saturating_sub(age)
        };
        let wait = self.index.oldest_loose().await?.map_or(grace, due_in);
        if !wait.is_zero() {
            return Ok(wait);
        }
        let freed = self.collect(now, grace).await?;
        if freed.blobs > 0 {
            tracing::info!(blobs = freed.blobs, bytes = freed.bytes, "freed what no manifest names");
        }
        Ok(self.index.oldest_loose().await?.map_or(grace, due_in))
    }
}

#[cfg(test)]
mod tests;
