//! Who may see what.
//!
//! Owns the rows `link` and `origin`. Promises that a link, once proven, stays proven, and that no claim changes its
//! size. Of two manifests of a repository that name one digest with different sizes neither is believed: the size is
//! unknown until the bytes have been counted, and the digest decides. Links of one repository never tell another one anything.

use rusqlite::Connection;

use crate::oci::{Digest, RepoKey};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{BlobRow, Fact, Link, Sight};
use crate::store::index::generation::Shard;
use crate::store::index::idle::Row;
use crate::store::index::pins::Moved;
use crate::store::index::sql;
use crate::store::index::tx::Tx;

impl Index {
    /// What the repository knows of the digest; a warm answer costs neither a read nor a thread.
    pub(in crate::store) async fn sight(&self, repo: &RepoKey, digest: &Digest) -> Result<Sight, Error> {
        let (key, asked) = ((repo.clone(), *digest), (repo.clone(), *digest));
        let fact = Fact::Sight(repo.clone(), *digest);
        let read = self
            .0
            .readers
            .read(fact, move |connection| sight(connection, &asked.0, &asked.1));
        let (sight, idle) = self.0.sights.get(key, Shard::of_digest(digest), read).await?;
        if idle {
            self.wake(Row::Link(repo.clone(), *digest));
        }
        Ok(sight)
    }

    /// Links the repository to the digest, making its row when it is missing. `mirror` is the key of the mirror that
    /// the repository belongs to.
    pub(in crate::store) async fn link(
        &self,
        repo: &RepoKey,
        mirror: Option<&str>,
        digest: &Digest,
        proven: bool,
        size: Option<u64>,
    ) -> Result<(), Error> {
        let (key, mirror, digest) = (repo.clone(), mirror.map(str::to_owned), *digest);
        let link = Link { proven, size };
        let change = move |tx: &mut Tx<'_>| {
            let repository = tx.repository(&key, mirror.as_deref())?;
            add_link(tx, repository, &digest, link)?;
            tx.tell_pins(Moved::Kept(key, digest));
            Ok(())
        };
        self.0.writer.write(Fact::Link(repo.clone(), digest), change).await
    }
}

/// Adds to what the repository knows of the digest.
pub(super) fn add_link(tx: &mut Tx<'_>, repository: i64, digest: &Digest, link: Link) -> rusqlite::Result<()> {
    // An unknown size stays unknown, or a third claim would win over the first two.
    const ADD: &str = "
        INSERT INTO link (repository, digest, proven, size) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (repository, digest) DO UPDATE
        SET proven = max(proven, excluded.proven), idle_since = NULL,
            size = CASE WHEN proven OR excluded.size IS NULL OR excluded.size = size THEN size END";
    tx.touch(Shard::of_digest(digest));
    tx.execute(
        ADD,
        (
            repository,
            sql::text(digest),
            link.proven,
            link.size.and_then(sql::size),
        ),
    )?;
    Ok(())
}

/// Links the repository to bytes that have been counted.
pub(super) fn add_counted_link(tx: &mut Tx<'_>, repository: i64, digest: &Digest, size: u64) -> rusqlite::Result<()> {
    const ADD: &str = "
        INSERT INTO link (repository, digest, proven, size) VALUES (?1, ?2, TRUE, ?3)
        ON CONFLICT (repository, digest) DO UPDATE SET proven = TRUE, size = excluded.size, idle_since = NULL";
    tx.touch(Shard::of_digest(digest));
    tx.execute(ADD, (repository, sql::text(digest), sql::size(size)))?;
    Ok(())
}

/// Whether a hosted repository has the digest.
pub(super) fn is_hosted(tx: &Tx<'_>, digest: &Digest) -> rusqlite::Result<bool> {
    const HOSTED: &str = "
        SELECT EXISTS (SELECT 1 FROM link JOIN repository ON repository.id = link.repository
                       WHERE link.digest = ?1 AND link.proven AND repository.mirror IS NULL)";
    tx.one(HOSTED, [sql::text(digest)], |row| row.get(0))
}

/// Remembers that the content has come in through the mirror. That stays true when the content is evicted.
pub(super) fn add_origin(tx: &mut Tx<'_>, digest: &Digest, mirror: &str) -> rusqlite::Result<()> {
    const ADD: &str = "INSERT INTO origin (digest, mirror) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    tx.touch(Shard::of_digest(digest));
    tx.execute(ADD, (sql::text(digest), mirror))?;
    Ok(())
}

/// What the repository knows of the digest, and whether its link is idle.
pub(super) fn sight(connection: &Connection, repo: &RepoKey, digest: &Digest) -> rusqlite::Result<(Sight, bool)> {
    const READ: &str = "
        SELECT link.proven, link.size, blob.size, blob.modified,
               EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = ?2),
               EXISTS (SELECT 1 FROM origin WHERE origin.digest = ?2 AND origin.mirror = repository.mirror),
               loose.since, repository.mirror IS NOT NULL, link.idle_since IS NOT NULL
        FROM (SELECT 1)
        LEFT JOIN repository ON repository.key = ?1
        LEFT JOIN link ON link.repository = repository.id AND link.digest = ?2
        LEFT JOIN blob ON blob.digest = ?2
        LEFT JOIN loose ON loose.repository = repository.id AND loose.digest = ?2";
    connection
        .prepare_cached(READ)?
        .query_row((sql::text(repo), sql::text(digest)), |row| {
            let proven: Option<bool> = row.get(0)?;
            let claimed = sql::unsigned_or_null(row, 1)?;
            let blob = match sql::unsigned_or_null(row, 2)? {
                Some(size) => Some(BlobRow {
                    size,
                    modified_ns: row.get(3)?,
                }),
                None => None,
            };
            let link = proven.map(|proven| Link { proven, size: claimed });
            let sight = Sight {
                link,
                blob,
                manifest: row.get(4)?,
                entered_here: row.get(5)?,
                loose_since: sql::time_or_null(row, 6)?,
                mirrored: row.get(7)?,
            };
            Ok((sight, row.get(8)?))
        })
}

#[cfg(test)]
mod tests;
