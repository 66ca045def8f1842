//! Partials: what has arrived of blobs that are not whole.
//!
//! Owns the rows `staged`. Promises that a mirror has at most one partial of a digest, and that its id, which names its
//! file, is never given again (a power cut may take an id back with its row: what that file holds counts for nothing,
//! because the new row has no pieces). Progress is noted without waiting and may be lost in a crash, never mixed up.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::oci::{Digest, RemoteName};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, FileStep, StagedRow};
use crate::store::index::notes::Progress;
use crate::store::index::sql;
use crate::store::index::tx::Tx;

impl Index {
    /// The mirror's partial of the digest. What was noted last may not be in it yet: see `flush`.
    pub(in crate::store) async fn staged(&self, mirror: &str, digest: &Digest) -> Result<Option<StagedRow>, Error> {
        let (mirror, digest) = (mirror.to_owned(), *digest);
        let read = move |connection: &Connection| {
            const READ: &str = "SELECT id, length, pieces FROM staged WHERE mirror = ?1 AND digest = ?2";
            connection
                .prepare_cached(READ)?
                .query_row((&mirror, sql::text(&digest)), row)
                .optional()
        };
        self.0.readers.read(Fact::PartialOf(digest), read).await
    }

    /// The mirror's partial of the digest, made when there is none: then it has no pieces. `take` is called with its id in
    /// the same transaction: what judges there sees a partial that is in use. Waits for no disk: a partial that a power
    /// cut takes is fetched again.
    pub(in crate::store) async fn stage<T: Send + 'static>(
        &self,
        mirror: &str,
        remote: &RemoteName,
        digest: &Digest,
        take: impl FnOnce(u64) -> T + Send + 'static,
    ) -> Result<(StagedRow, T), Error> {
        const STAGE: &str = "
            INSERT INTO staged (mirror, remote, digest, pieces, used) VALUES (?1, ?2, ?3, x'', ?4)
            ON CONFLICT (mirror, digest) DO UPDATE SET remote = excluded.remote, used = excluded.used
            RETURNING id, length, pieces";
        let (mirror, remote, digest) = (mirror.to_owned(), sql::text(remote), *digest);
        let used = sql::size(self.0.writer.notes().next_use());
        let change = move |tx: &mut Tx<'_>| {
            let row = tx.one(STAGE, (&mirror, &remote, sql::text(&digest), used), row)?;
            let taken = take(row.id);
            Ok((row, taken))
        };
        self.0.writer.write_lazily(Fact::PartialOf(digest), change).await
    }

    /// Notes how far a partial has come, without waiting: the latest note of each is written with the next batch, or
    /// within 200 ms. A note of a partial that has ended is forgotten.
    pub(in crate::store) fn note_progress(&self, id: u64, length: Option<u64>, pieces: Vec<u8>) {
        self.0.writer.note(id, Progress { length, pieces });
    }

    /// Ends a partial, after the step that takes its file away. Waits for no disk: a row without a file ends at the next
    /// start.
    pub(in crate::store) async fn unstage(&self, id: u64, and: FileStep) -> Result<(), Error> {
        let change = move |tx: &mut Tx<'_>| {
            tx.run(and)?;
            Ok(remove(tx, id)?)
        };
        self.0.writer.write_lazily(Fact::Partial(id), change).await
    }

    /// All partials, for recovery to compare with the files that are there.
    pub(in crate::store) async fn partials(&self) -> Result<Vec<(u64, Digest)>, Error> {
        let read = |connection: &Connection| {
            const READ: &str = "SELECT id, digest FROM staged ORDER BY id";
            let mut partials = connection.prepare_cached(READ)?;
            partials
                .query_map([], |row| Ok((sql::unsigned(row, 0)?, sql::parsed(row, 1)?)))?
                .collect()
        };
        self.0.readers.read(Fact::Partials, read).await
    }
}

pub(super) fn remove(tx: &Tx<'_>, id: u64) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM staged WHERE id = ?1", [sql::size(id)])?;
    Ok(())
}

pub(super) fn write_progress(tx: &Tx<'_>, noted: &HashMap<u64, Progress>) -> rusqlite::Result<()> {
    const NOTE: &str = "UPDATE staged SET length = ?2, pieces = ?3 WHERE id = ?1";
    for (id, Progress { length, pieces }) in noted {
        tx.execute(NOTE, (sql::size(*id), length.and_then(sql::size), pieces))?;
    }
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<StagedRow> {
    Ok(StagedRow {
        id: sql::unsigned(row, 0)?,
        length: sql::unsigned_or_null(row, 1)?,
        pieces: row.get(2)?,
    })
}

#[cfg(test)]
mod tests;
