//! Which blobs are stored.
//!
//! Owns the rows `blob`. Promises that a row appears only after its file has its name on disk, and that a change which
//! was decided by looking at a file is made only if the row is still the one that was looked at: the blob may have been
//! fetched anew meanwhile. A row without a file is possible (power cut, deletion behind our back) and is a miss.

use rusqlite::{Connection, OptionalExtension};

use crate::oci::Digest;
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Arrival, BlobRow, Fact, FileStep, Landing};
use crate::store::index::generation::Shard;
use crate::store::index::pins::Moved;
use crate::store::index::tx::Tx;
use crate::store::index::{links, loose, sql, staged, uploads};

const STORED: &str = "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?1)";

/// What became of a blob that was to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dropped {
    /// Its row is another one by now.
    Not,
    /// No hosted repository has it: an upstream does.
    Cached,
    /// A hosted repository has it.
    Hosted,
}

/// What became of a file that was to be taken away.
enum Taken {
    Away,
    Not,
    /// That cannot be told before the next transaction.
    Later(FileStep),
}

impl Index {
    /// The stored blob; a warm answer costs neither a read nor a thread.
    pub(in crate::store) async fn blob(&self, digest: &Digest) -> Result<Option<BlobRow>, Error> {
        const READ: &str = "SELECT size, modified FROM blob WHERE digest = ?1";
        let asked = *digest;
        let read = self.0.readers.read(Fact::Blob(asked), move |connection| {
            let row = |row: &rusqlite::Row<'_>| {
                Ok(BlobRow {
                    size: sql::unsigned(row, 0)?,
                    modified_ns: row.get(1)?,
                })
            };
            connection
                .prepare_cached(READ)?
                .query_row([sql::text(&asked)], row)
                .optional()
        });
        self.0.blobs.get(asked, Shard::of_digest(digest), read).await
    }

    /// Gives a proven blob its place: renames the file, keeps its row, lets the repository see it, and ends the partial or
    /// the upload that it was. A blob of that digest which is stored already is replaced.
    pub(in crate::store) async fn land(&self, landing: Landing) -> Result<(), Error> {
        self.land_counted(landing, || ()).await
    }

    /// As `land`. `counted` is called at the moment at which the blob is counted.
    pub(in crate::store) async fn land_counted(
        &self,
        landing: Landing,
        counted: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let Landing {
            digest,
            blob,
            allocated,
            rename,
            arrival,
        } = landing;
        let used = self.0.writer.notes().next_use();
        let change = move |tx: &mut Tx<'_>| {
            tx.run(rename)?;
            put_blob(tx, &digest, blob, Space { allocated, used })?;
            arrive(tx, &digest, blob.size, arrival)?;
            tx.when_counted(counted);
            Ok(())
        };
        self.0.writer.write(Fact::Blob(digest), change).await
    }

    /// Does the step that takes a file away from a blob's place, unless it is stored: then the file is its. Tells whether
    /// the step was done.
    pub(in crate::store) async fn unless_stored(&self, digest: &Digest, mut step: FileStep) -> Result<bool, Error> {
        loop {
            match self.try_unless_stored(*digest, step).await? {
                Taken::Away => return Ok(true),
                Taken::Not => return Ok(false),
                Taken::Later(again) => step = again,
            }
        }
    }

    async fn try_unless_stored(&self, digest: Digest, step: FileStep) -> Result<Taken, Error> {
        let change = move |tx: &mut Tx<'_>| {
            // It may have been forgotten a moment ago, by a transaction that can still fail: then it is stored after all.
            if tx.has_touched(Shard::of_digest(&digest)) {
                return Ok(Taken::Later(step));
            }
            if tx.one(STORED, [sql::text(&digest)], |row| row.get(0))? {
                return Ok(Taken::Not);
            }
            tx.run(step)?;
            Ok(Taken::Away)
        };
        self.0.writer.write_lazily(Fact::Blob(digest), change).await
    }

    /// Those of `digests` that are not stored.
    pub(in crate::store) async fn unstored(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        let read = move |connection: &Connection| {
            let mut stored = connection.prepare_cached(STORED)?;
            let mut unstored = Vec::new();
            for digest in digests {
                if !stored.query_row([sql::text(&digest)], |row| row.get(0))? {
                    unstored.push(digest);
                }
            }
            Ok(unstored)
        };
        self.0.readers.read(Fact::Blobs, read).await
    }

    /// Forgets a blob whose row is `seen`, after the step that takes its file away, which may depend on whether a hosted
    /// repository has the blob: then its bytes may exist nowhere else. No step is done when the row is another one by now.
    pub(in crate::store) async fn drop_blob(
        &self,
        digest: &Digest,
        seen: BlobRow,
        and: impl FnOnce(bool) -> FileStep + Send + 'static,
    ) -> Result<Dropped, Error> {
        const DROP: &str = "DELETE FROM blob WHERE digest = ?1";
        let digest = *digest;
        let change = move |tx: &mut Tx<'_>| {
            if !is(tx, &digest, seen)? {
                return Ok(Dropped::Not);
            }
            let hosted = links::is_hosted(tx, &digest)?;
            tx.run(and(hosted))?;
            tx.touch(Shard::of_digest(&digest));
            tx.execute(DROP, [sql::text(&digest)])?;
            Ok(if hosted { Dropped::Hosted } else { Dropped::Cached })
        };
        self.0.writer.write(Fact::Blob(digest), change).await
    }

    /// Keeps the new modification time of a blob that was proven again. False when the row is no longer `seen`.
    pub(in crate::store) async fn reprove_blob(
        &self,
        digest: &Digest,
        seen: BlobRow,
        modified_ns: i64,
    ) -> Result<bool, Error> {
        const PROVEN: &str = "UPDATE blob SET modified = ?2 WHERE digest = ?1";
        let digest = *digest;
        let change = move |tx: &mut Tx<'_>| {
            let current = is(tx, &digest, seen)?;
            if current {
                tx.touch(Shard::of_digest(&digest));
                tx.execute(PROVEN, (sql::text(&digest), modified_ns))?;
            }
            Ok(current)
        };
        self.0.writer.write(Fact::Blob(digest), change).await
    }
}

/// Forgets the content that no repository sees any more; gives its length in bytes. `None` when one sees it, or it is
/// not there. Its file is without a row then, and for the caller to remove once this is committed.
pub(super) fn free(tx: &mut Tx<'_>, digest: &Digest) -> rusqlite::Result<Option<u64>> {
    const FREE: &str = "
        DELETE FROM blob
        WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM visible WHERE visible.digest = ?1)
        RETURNING size";
    const ORIGINS: &str = "DELETE FROM origin WHERE digest = ?1";
    let freed = tx.all(FREE, [sql::text(digest)], |row| sql::unsigned(row, 0))?;
    if !freed.is_empty() {
        tx.touch(Shard::of_digest(digest));
        tx.execute(ORIGINS, [sql::text(digest)])?;
    }
    Ok(freed.first().copied())
}

fn arrive(tx: &mut Tx<'_>, digest: &Digest, size: u64, arrival: Arrival) -> rusqlite::Result<()> {
    match arrival {
        Arrival::Fetched { partial, mirror, repo } => {
            links::add_origin(tx, digest, &mirror)?;
            let repository = tx.repository(&repo, Some(&mirror))?;
            links::add_counted_link(tx, repository, digest, size)?;
            tx.tell_pins(Moved::Kept(repo, *digest));
            staged::remove(tx, partial)
        }
        Arrival::Pushed { upload, repo, at } => {
            let repository = tx.repository(&repo, None)?;
            links::add_counted_link(tx, repository, digest, size)?;
            loose::loosen(tx, repository, digest, at)?;
            uploads::remove(tx, &upload).map(drop)
        }
    }
}

/// What a blob takes on the disk, in bytes, and the number of its last pull.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    pub(super) allocated: u64,
    pub(super) used: u64,
}

pub(super) fn put_blob(tx: &mut Tx<'_>, digest: &Digest, blob: BlobRow, space: Space) -> rusqlite::Result<()> {
    const PUT: &str = "
        INSERT INTO blob (digest, size, modified, allocated, used) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (digest) DO UPDATE
        SET size = excluded.size, modified = excluded.modified, allocated = excluded.allocated, used = excluded.used";
    let (size, allocated, used) = (sql::size(blob.size), sql::size(space.allocated), sql::size(space.used));
    tx.touch(Shard::of_digest(digest));
    tx.execute(PUT, (sql::text(digest), size, blob.modified_ns, allocated, used))?;
    Ok(())
}

/// Whether the row of the blob is `seen`.
fn is(tx: &Tx<'_>, digest: &Digest, seen: BlobRow) -> rusqlite::Result<bool> {
    const IS: &str = "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?1 AND size = ?2 AND modified = ?3)";
    tx.one(IS, (sql::text(digest), sql::size(seen.size), seen.modified_ns), |row| {
        row.get(0)
    })
}

#[cfg(test)]
mod tests;
