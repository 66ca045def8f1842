//! What is loose for too long goes, a few blobs at a time.
//!
//! Promises that a blob is looked at and unlinked in one transaction, so that no manifest is accepted in between; that
//! its content goes with the last repository that sees it; and that nothing but the rows `loose` and `unlinked` is
//! searched, so a step costs the same in a small store and in a large one. Dropped futures leave no half step.

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::mpsc::Sender;

use crate::store::index::Index;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Shard;
use crate::store::index::tx::Tx;
use crate::store::index::{blobs, loose, sql};
use crate::store::{Error, Gone};

/// What one step came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Step {
    /// Loose and unlinked blobs that were due.
    pub(in crate::store) due: usize,
    /// The content that nobody has any more.
    pub(in crate::store) freed: Vec<Gone>,
}

impl Index {
    /// Since when the oldest loose or unlinked blob has been so.
    pub(in crate::store) async fn oldest_loose(&self) -> Result<Option<Timestamp>, Error> {
        const READ: &str = "
            SELECT min(since)
            FROM (SELECT min(since) AS since FROM loose UNION ALL SELECT min(since) FROM unlinked)";
        let read = |connection: &Connection| {
            let mut read = connection.prepare_cached(READ)?;
            read.query_row([], |row| sql::time_or_null(row, 0))
        };
        self.0.readers.read(Fact::Loose, read).await
    }

    /// Takes up to `limit` blobs that were loose or unlinked already at `before` from their repositories. The files of what
    /// is freed have no row afterwards: they are for the caller to remove.
    pub(in crate::store) async fn collect(&self, before: Timestamp, limit: usize) -> Result<Step, Error> {
        let change = move |tx: &mut Tx<'_>| Ok(collect(tx, before, limit)?);
        self.0.writer.write(Fact::Loose, change).await
    }

    /// Tells what steps of `collect` with this `before` would free, if nothing else happened: what is stored, and visible
    /// only through links that they would take. Ends when nobody listens any more.
    pub(in crate::store) async fn collectable(&self, before: Timestamp, to: Sender<Gone>) -> Result<(), Error> {
        let read = move |connection: &Connection| collectable(connection, before, &to);
        self.0.readers.read(Fact::Loose, read).await
    }
}

fn collectable(connection: &Connection, before: Timestamp, to: &Sender<Gone>) -> rusqlite::Result<()> {
    const COLLECTABLE: &str = "
        WITH going AS (
            SELECT repository, digest FROM loose
            WHERE since <= ?1
                  AND NOT EXISTS (SELECT 1 FROM names
                                  WHERE names.repository = loose.repository AND names.digest = loose.digest)
        )
        SELECT blob.digest, blob.size
        FROM (SELECT digest FROM going UNION SELECT digest FROM unlinked WHERE since <= ?1) AS due
        JOIN blob ON blob.digest = due.digest
        WHERE NOT EXISTS (SELECT 1 FROM visible
                          WHERE visible.digest = due.digest
                                AND NOT EXISTS (SELECT 1 FROM going
                                                WHERE going.repository = visible.repository
                                                      AND going.digest = visible.digest))";
    let mut read = connection.prepare_cached(COLLECTABLE)?;
    let mut rows = read.query([before.as_microsecond()])?;
    while let Some(row) = rows.next()? {
        let gone = Gone {
            digest: sql::parsed(row, 0)?,
            size: sql::unsigned(row, 1)?,
        };
        // This thread waits for whoever listens, who has to take one or to leave within a time.
        if to.blocking_send(gone).is_err() {
            break;
        }
    }
    Ok(())
}

fn collect(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> rusqlite::Result<Step> {
    const DUE: &str = "SELECT repository, digest FROM loose WHERE since <= ?1 ORDER BY since LIMIT ?2";
    const NAMED: &str = "SELECT EXISTS (SELECT 1 FROM names WHERE repository = ?1 AND digest = ?2)";
    const UNLINK: &str = "DELETE FROM link WHERE repository = ?1 AND digest = ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let due = tx.all(DUE, (before.as_microsecond(), limit), |row| {
        Ok((row.get(0)?, sql::parsed(row, 1)?))
    })?;
    let mut step = Step {
        due: due.len(),
        freed: Vec::new(),
    };
    for (repository, digest) in due {
        loose::tighten(tx, repository, &digest)?;
        let it = (repository, sql::text(&digest));
        // There should be none; but if there is, it is not worth a layer of somebody's image.
        if tx.one(NAMED, (it.0, &it.1), |row| row.get(0))? {
            continue;
        }
        tx.touch(Shard::of_digest(&digest));
        tx.execute(UNLINK, (it.0, &it.1))?;
        step.freed
            .extend(blobs::free(tx, &digest)?.map(|size| Gone { digest, size }));
    }
    let room = limit.saturating_sub(i64::try_from(step.due).unwrap_or(i64::MAX));
    collect_unlinked(tx, before, room, &mut step)?;
    Ok(step)
}

fn collect_unlinked(tx: &mut Tx<'_>, before: Timestamp, limit: i64, step: &mut Step) -> rusqlite::Result<()> {
    const DUE: &str = "SELECT since, digest FROM unlinked WHERE since <= ?1 ORDER BY since LIMIT ?2";
    // By all of the key: after a restore all are unlinked since the same moment.
    const DONE: &str = "DELETE FROM unlinked WHERE since = ?1 AND digest = ?2";
    let due = tx.all(DUE, (before.as_microsecond(), limit), |row| {
        Ok((row.get::<_, i64>(0)?, sql::parsed(row, 1)?))
    })?;
    step.due += due.len();
    for (since, digest) in due {
        tx.execute(DONE, (since, sql::text(&digest)))?;
        step.freed
            .extend(blobs::free(tx, &digest)?.map(|size| Gone { digest, size }));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
