//! What was pulled, in which order.
//!
//! Owns the columns `used`: numbers that only grow, also over a restart; not times, because clocks are set. Promises that
//! a pull is noted without waiting, and counts before anything is evicted after it; and that pulling a manifest pulls all
//! that it names. A crash, or a write that fails, loses what was noted in the last 200 ms.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::oci::Digest;
use crate::store::index::tx::Tx;
use crate::store::index::{Index, idle, sql};

/// What was pulled, or is to count as if it had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum Pulled {
    Blob(Digest),
    /// And all that it names.
    Manifest(Digest),
    /// The partial with this id.
    Partial(u64),
}

impl Index {
    /// Notes a pull; nobody waits for it.
    pub(in crate::store) fn note_pull(&self, pulled: Pulled) {
        self.0.writer.note_pull(pulled);
    }

    /// The number of the last pull: what is pulled from now on has a larger one.
    pub(in crate::store) fn last_use(&self) -> u64 {
        self.0.writer.notes().last_use()
    }
}

/// The largest number that was ever written, as far as it still stands anywhere. Looks at three rows.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<u64> {
    const READ: &str = "
        SELECT max(coalesce((SELECT max(used) FROM blob WHERE hosted = 0), 0),
                   coalesce((SELECT max(used) FROM blob WHERE hosted = 1), 0),
                   coalesce((SELECT max(used) FROM staged), 0))";
    connection.query_row(READ, [], |row| sql::unsigned(row, 0))
}

pub(super) fn write(tx: &Tx<'_>, pulls: &HashMap<Pulled, u64>) -> rusqlite::Result<()> {
    for (pulled, used) in pulls {
        match pulled {
            Pulled::Blob(digest) => blob_is_used(tx, digest, *used)?,
            Pulled::Partial(id) => partial_is_used(tx, *id, *used)?,
            Pulled::Manifest(digest) => {
                for (named, _) in tx.read(|connection| idle::named(connection, digest))? {
                    blob_is_used(tx, &named, *used)?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn blob_is_used(tx: &Tx<'_>, digest: &Digest, used: u64) -> rusqlite::Result<()> {
    const USE: &str = "UPDATE blob SET used = ?2 WHERE digest = ?1 AND used < ?2";
    tx.execute(USE, (sql::text(digest), sql::size(used)))?;
    Ok(())
}

pub(super) fn partial_is_used(tx: &Tx<'_>, id: u64, used: u64) -> rusqlite::Result<()> {
    const USE: &str = "UPDATE staged SET used = ?2 WHERE id = ?1 AND used < ?2";
    tx.execute(USE, (sql::size(id), sql::size(used)))?;
    Ok(())
}

#[cfg(test)]
mod tests;
