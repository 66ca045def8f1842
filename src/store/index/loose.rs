//! Blobs of hosted repositories that no manifest there names: what a collection looks at, and all that it looks at.
//!
//! Owns the rows `loose`. Promises that a blob which a pushed manifest of the repository names has none, because both
//! are written in one transaction. Never takes anything away: after how long a loose blob goes is for others to say.

use jiff::Timestamp;

use crate::oci::{Digest, RepoKey};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Shard;
use crate::store::index::sql;
use crate::store::index::tx::Tx;

impl Index {
    /// Gives a loose blob its whole grace again. False when it is not loose any more: named meanwhile, or gone.
    pub(in crate::store) async fn refresh(
        &self,
        repo: &RepoKey,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<bool, Error> {
        const REFRESH: &str = "
            UPDATE loose SET since = max(since, ?3)
            WHERE digest = ?2 AND repository = (SELECT id FROM repository WHERE key = ?1)";
        let (key, digest) = (repo.clone(), *digest);
        let change = move |tx: &mut Tx<'_>| {
            tx.touch(Shard::of_digest(&digest));
            let changed = tx.execute(REFRESH, (sql::text(&key), sql::text(&digest), now.as_microsecond()))?;
            Ok(changed > 0)
        };
        self.0
            .writer
            .write_lazily(Fact::Link(repo.clone(), digest), change)
            .await
    }
}

/// Notes that the repository's blob is loose since `now`, if it has it and no manifest there names it.
pub(super) fn loosen(tx: &mut Tx<'_>, repository: i64, digest: &Digest, now: Timestamp) -> rusqlite::Result<()> {
    const LOOSEN: &str = "
        INSERT INTO loose (repository, digest, since)
        SELECT repository, digest, ?3 FROM link
        WHERE repository = ?1 AND digest = ?2
              AND NOT EXISTS (SELECT 1 FROM names WHERE names.repository = ?1 AND names.digest = ?2)
        ON CONFLICT (repository, digest) DO UPDATE SET since = max(since, excluded.since)";
    if tx.execute(LOOSEN, (repository, sql::text(digest), now.as_microsecond()))? > 0 {
        tx.touch(Shard::of_digest(digest));
    }
    Ok(())
}

/// Notes that the repository's blob is not loose: a manifest there names it, or it goes.
pub(super) fn tighten(tx: &mut Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<()> {
    const TIGHTEN: &str = "DELETE FROM loose WHERE repository = ?1 AND digest = ?2";
    if tx.execute(TIGHTEN, (repository, sql::text(digest)))? > 0 {
        tx.touch(Shard::of_digest(digest));
    }
    Ok(())
}
