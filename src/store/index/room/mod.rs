//! What of the store is counted, and what goes first.
//!
//! Owns the row `counted`, which triggers keep, as it was last committed. Promises that what goes was pulled least recently
//! of all that may go, is judged in the transaction that forgets it, and that a step looks at a few rows, each of them
//! once: what may not go counts as pulled now. Removes no file. Dropped futures leave no half step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::Notify;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Shard;
use crate::store::index::tx::Tx;
use crate::store::index::{Index, sql, staged, uses};

/// Bytes on the disk of all blobs that are not hosted, by the last commit.
#[derive(Debug, Default)]
pub(in crate::store) struct Counted {
    bytes: Mutex<u64>,
    /// The number is another one.
    pub(in crate::store) changed: Notify,
}

impl Counted {
    /// No commit changes it while it is held.
    pub(in crate::store) fn bytes(&self) -> MutexGuard<'_, u64> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called after the commit and before it is acknowledged. `landed` is called at the very moment at which the
    /// number changes: what is counted now was counted elsewhere before.
    pub(super) fn refresh(&self, connection: &Connection, landed: impl FnOnce()) -> rusqlite::Result<()> {
        let mut read = connection.prepare_cached("SELECT max(coalesce(sum(bytes), 0), 0) FROM counted")?;
        let now = read.query_row([], |row| sql::unsigned(row, 0))?;
        let mut bytes = self.bytes();
        landed();
        if *bytes != now {
            *bytes = now;
            self.changed.notify_one();
        }
        Ok(())
    }
}

/// What may have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Candidate {
    /// A blob, and the bytes that it takes on the disk.
    Blob(Digest, u64),
    /// A partial, by its id.
    Partial(u64),
}

/// What one step came to.
#[derive(Debug)]
pub(in crate::store) struct Step<T> {
    /// What was forgotten: its files are for the caller to remove. With what was said to each.
    pub(in crate::store) forgotten: Vec<(Candidate, T)>,
    /// Whether another step may find something.
    pub(in crate::store) more: bool,
}

/// How much one step may do.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Bounds {
    /// Only what was pulled no later than this.
    pub(in crate::store) until: u64,
    /// Bytes: no more goes once so many have.
    pub(in crate::store) enough: u64,
    /// Rows that are looked at.
    pub(in crate::store) rows: usize,
}

impl Index {
    /// What is counted, by the last commit.
    pub(in crate::store) fn counted(&self) -> &Arc<Counted> {
        &self.0.counted
    }

    /// Forgets what was pulled least recently. `judge` says how many bytes each frees, or `None` where it may not go. Waits
    /// for no disk: after a power cut a row may be back, and its file gone: that is a miss.
    pub(in crate::store) async fn evict<T: Send + 'static>(
        &self,
        bounds: Bounds,
        judge: impl FnMut(Candidate) -> Option<(u64, T)> + Send + 'static,
    ) -> Result<Step<T>, Error> {
        let writer = Arc::clone(&self.0.writer);
        let change = move |tx: &mut Tx<'_>| Ok(step(tx, bounds, judge, || writer.notes().next_use())?);
        self.0.writer.write_lazily(Fact::Room, change).await
    }

    /// What of `digests` is counted, in bytes on the disk.
    pub(in crate::store) async fn weigh(&self, digests: Vec<Digest>) -> Result<u64, Error> {
        const READ: &str = "SELECT allocated FROM blob WHERE digest = ?1 AND hosted = 0";
        let read = move |connection: &Connection| {
            let mut read = connection.prepare_cached(READ)?;
            let mut bytes = 0;
            for digest in digests {
                let found = read.query_row([sql::text(&digest)], |row| sql::unsigned(row, 0));
                bytes += found.optional()?.unwrap_or(0);
            }
            Ok(bytes)
        };
        self.0.readers.read(Fact::Room, read).await
    }
}

pub(super) fn step<T>(
    tx: &mut Tx<'_>,
    bounds: Bounds,
    mut judge: impl FnMut(Candidate) -> Option<(u64, T)>,
    next_use: impl Fn() -> u64,
) -> rusqlite::Result<Step<T>> {
    let candidates = oldest(tx, bounds)?;
    let (mut freed, mut forgotten) = (0, Vec::new());
    let mut more = candidates.len() == bounds.rows;
    for candidate in candidates {
        if freed >= bounds.enough {
            more = true;
            break;
        }
        match judge(candidate) {
            Some((bytes, said)) => {
                forget(tx, candidate)?;
                freed += bytes;
                forgotten.push((candidate, said));
            }
            None => keep(tx, candidate, next_use())?,
        }
    }
    Ok(Step { forgotten, more })
}

/// The first ones of both kinds, in the order of their last pulls.
fn oldest(tx: &Tx<'_>, bounds: Bounds) -> rusqlite::Result<Vec<Candidate>> {
    const BLOBS: &str = "
        SELECT used, digest, allocated FROM blob WHERE hosted = 0 AND used <= ?1 ORDER BY used LIMIT ?2";
    const PARTIALS: &str = "SELECT used, id FROM staged WHERE used <= ?1 ORDER BY used LIMIT ?2";
    let which = (sql::size(bounds.until), i64::try_from(bounds.rows).unwrap_or(i64::MAX));
    let mut found = tx.all(BLOBS, which, |row| {
        let blob = Candidate::Blob(sql::parsed(row, 1)?, sql::unsigned(row, 2)?);
        Ok((row.get::<_, i64>(0)?, blob))
    })?;
    found.extend(tx.all(PARTIALS, which, |row| {
        Ok((row.get::<_, i64>(0)?, Candidate::Partial(sql::unsigned(row, 1)?)))
    })?);
    found.sort_by_key(|(used, _)| *used);
    found.truncate(bounds.rows);
    Ok(found.into_iter().map(|(_, candidate)| candidate).collect())
}

fn forget(tx: &mut Tx<'_>, candidate: Candidate) -> rusqlite::Result<()> {
    match candidate {
        Candidate::Blob(digest, _) => {
            tx.touch(Shard::of_digest(&digest));
            tx.execute("DELETE FROM blob WHERE digest = ?1", [sql::text(&digest)])?;
            Ok(())
        }
        Candidate::Partial(id) => staged::remove(tx, id),
    }
}

fn keep(tx: &Tx<'_>, candidate: Candidate, used: u64) -> rusqlite::Result<()> {
    match candidate {
        Candidate::Blob(digest, _) => uses::blob_is_used(tx, &digest, used),
        Candidate::Partial(id) => uses::partial_is_used(tx, id, used),
    }
}

#[cfg(test)]
mod tests;
