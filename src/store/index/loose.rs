//! Blobs of hosted repositories that no manifest there names: what the collector may take.
//!
//! Owns the rows `loose`. Promises that a blob's time only moves forward, so that whoever pushes it again, or finds it
//! and relies on it, has the whole grace from then on. Works inside the transaction that makes a blob loose or names it:
//! a manifest that is accepted and a blob that is collected never miss each other.

use jiff::Timestamp;

use crate::oci::Digest;
use crate::store::index::batch::Tx;
use crate::store::index::sql;

/// Says that no manifest of the repository names the blob, as of `now`.
pub(super) fn loosen(tx: &Tx<'_>, repository: i64, digest: &Digest, now: Timestamp) -> rusqlite::Result<()> {
    const LOOSEN: &str = "
        INSERT INTO loose (repository, digest, since) VALUES (?1, ?2, ?3)
        ON CONFLICT (repository, digest) DO UPDATE SET since = max(since, excluded.since)";
    tx.execute(LOOSEN, (repository, sql::text(digest), now.as_microsecond()))?;
    Ok(())
}

/// Says that a manifest of the repository names the blob.
pub(super) fn tighten(tx: &Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<()> {
    const TIGHTEN: &str = "DELETE FROM loose WHERE repository = ?1 AND digest = ?2";
    tx.execute(TIGHTEN, (repository, sql::text(digest)))?;
    Ok(())
}

/// Whether a manifest that was pushed to the repository names the digest.
pub(super) fn is_named(tx: &Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<bool> {
    const NAMED: &str = "
        SELECT EXISTS (SELECT 1 FROM names JOIN pushed ON pushed.digest = names.manifest
                       WHERE names.digest = ?2 AND pushed.repository = ?1)";
    tx.one(NAMED, (repository, sql::text(digest)), |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::Index;
    use crate::store::index::facts::Fact;
    use crate::store::index::tests::{digest, fresh, repo};

    async fn change<R: Send + 'static>(
        index: &Index,
        change: impl FnOnce(&mut Tx<'_>, i64, &Digest) -> rusqlite::Result<R> + Send + 'static,
    ) -> R {
        let change = move |tx: &mut Tx<'_>| {
            let repository = tx.repository(&repo("team/app"), None)?;
            Ok(change(tx, repository, &digest("layer"))?)
        };
        index.0.writer.write(Fact::Progress, change).await.unwrap()
    }

    fn since(tx: &mut Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<Option<i64>> {
        const READ: &str = "SELECT max(since) FROM loose WHERE repository = ?1 AND digest = ?2";
        tx.one(READ, (repository, sql::text(digest)), |row| row.get(0))
    }

    #[tokio::test]
    async fn a_blob_is_loose_from_the_latest_time_on_until_it_is_named() {
        let (_dir, index) = fresh();
        for (second, expected) in [(5, 5_000_000), (3, 5_000_000), (6, 6_000_000)] {
            let now = Timestamp::from_second(second).unwrap();
            change(&index, move |tx, repository, digest| {
                loosen(tx, repository, digest, now)
            })
            .await;
            assert_eq!(change(&index, since).await, Some(expected));
        }
        change(&index, |tx, repository, digest| tighten(tx, repository, digest)).await;
        assert_eq!(change(&index, since).await, None);
    }
}
