//! Upload sessions: who began which, where to, and when it last moved.
//!
//! Owns the rows `upload`. Promises that a session survives the end of this process, and that waiting for no disk it
//! costs next to nothing: a power cut may take it, and then the client begins anew. Never knows how far a session is:
//! its file does.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::oci::Digest;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, UploadRow};
use crate::store::index::sql;
use crate::store::index::tx::Tx;
use crate::store::{Error, UploadId};

impl Index {
    /// Keeps a new session.
    pub(in crate::store) async fn begin_upload(&self, row: &UploadRow) -> Result<(), Error> {
        const BEGIN: &str =
            "INSERT INTO upload (id, repository, owner, algorithm, moved_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let (id, row) = (row.id, row.clone());
        let change = move |tx: &mut Tx<'_>| {
            let (id, repo, algorithm) = (sql::text(&row.id), sql::text(&row.repo), sql::text(&row.algorithm));
            tx.execute(BEGIN, (id, repo, &row.owner, algorithm, row.moved_at.as_microsecond()))?;
            Ok(())
        };
        self.0.writer.write_lazily(Fact::Upload(id), change).await
    }

    /// The session of this name.
    pub(in crate::store) async fn upload(&self, id: &UploadId) -> Result<Option<UploadRow>, Error> {
        const READ: &str = "SELECT id, repository, owner, algorithm, moved_at FROM upload WHERE id = ?1";
        let asked = *id;
        let read = move |connection: &Connection| {
            let mut read = connection.prepare_cached(READ)?;
            read.query_row([sql::text(&asked)], row).optional()
        };
        self.0.readers.read(Fact::Upload(asked), read).await
    }

    /// Says that a session has made progress.
    pub(in crate::store) async fn note_upload(&self, id: &UploadId, now: Timestamp) -> Result<(), Error> {
        const NOTE: &str = "UPDATE upload SET moved_at = max(moved_at, ?2) WHERE id = ?1";
        let id = *id;
        let change = move |tx: &mut Tx<'_>| {
            tx.execute(NOTE, (sql::text(&id), now.as_microsecond()))?;
            Ok(())
        };
        self.0.writer.write_lazily(Fact::Upload(id), change).await
    }

    /// Says what a session is about to become.
    pub(in crate::store) async fn note_landing(&self, id: &UploadId, digest: &Digest) -> Result<(), Error> {
        const NOTE: &str = "UPDATE upload SET digest = ?2 WHERE id = ?1";
        let (id, digest) = (*id, *digest);
        let change = move |tx: &mut Tx<'_>| {
            tx.execute(NOTE, (sql::text(&id), sql::text(&digest)))?;
            Ok(())
        };
        self.0.writer.write_lazily(Fact::Upload(id), change).await
    }

    /// All sessions.
    pub(in crate::store) async fn uploads(&self) -> Result<Vec<UploadId>, Error> {
        let read = |connection: &Connection| {
            let mut all = connection.prepare_cached("SELECT id FROM upload")?;
            all.query_map([], id)?.collect()
        };
        self.0.readers.read(Fact::Uploads, read).await
    }

    /// The sessions that were about to become something, for recovery to compare with the files that are there.
    pub(in crate::store) async fn landings(&self) -> Result<Vec<(UploadId, Digest)>, Error> {
        let read = |connection: &Connection| {
            const READ: &str = "SELECT id, digest FROM upload WHERE digest IS NOT NULL";
            let mut landings = connection.prepare_cached(READ)?;
            let landing = |row: &Row<'_>| Ok((id(row)?, sql::parsed(row, 1)?));
            landings.query_map([], landing)?.collect()
        };
        self.0.readers.read(Fact::Uploads, read).await
    }

    /// Forgets a session. False when there was none.
    pub(in crate::store) async fn forget_upload(&self, id: &UploadId) -> Result<bool, Error> {
        let id = *id;
        let change = move |tx: &mut Tx<'_>| Ok(remove(tx, &id)?);
        self.0.writer.write_lazily(Fact::Upload(id), change).await
    }

    /// The sessions without progress since `before`.
    pub(in crate::store) async fn expired_uploads(&self, before: Timestamp) -> Result<Vec<UploadId>, Error> {
        let read = move |connection: &Connection| {
            const READ: &str = "SELECT id FROM upload WHERE moved_at < ?1 ORDER BY moved_at";
            let mut expired = connection.prepare_cached(READ)?;
            expired.query_map([before.as_microsecond()], id)?.collect()
        };
        self.0.readers.read(Fact::Uploads, read).await
    }
}

/// Forgets the session; tells whether there was one.
pub(super) fn remove(tx: &Tx<'_>, id: &UploadId) -> rusqlite::Result<bool> {
    Ok(tx.execute("DELETE FROM upload WHERE id = ?1", [sql::text(id)])? > 0)
}

fn id(row: &Row<'_>) -> rusqlite::Result<UploadId> {
    sql::parsed(row, 0)
}

fn row(row: &Row<'_>) -> rusqlite::Result<UploadRow> {
    Ok(UploadRow {
        id: id(row)?,
        repo: sql::parsed(row, 1)?,
        owner: row.get(2)?,
        algorithm: sql::parsed(row, 3)?,
        moved_at: sql::time(row, 4)?,
    })
}

#[cfg(test)]
mod tests;
