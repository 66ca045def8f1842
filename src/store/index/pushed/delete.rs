//! A client deletes: a tag, a manifest with its tags, a blob. Nothing goes that a manifest of the repository names.

use jiff::Timestamp;

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Shard;
use crate::store::index::pushed::facts::Deleted;
use crate::store::index::tx::Tx;
use crate::store::index::{blobs, loose, sql};

impl Index {
    /// Deletes a tag; the manifest that it points to stays.
    pub(in crate::store) async fn delete_tag(&self, repo: &RepoKey, tag: &Tag) -> Result<Deleted, Error> {
        const DELETE: &str = "DELETE FROM tag WHERE repository = ?1 AND name = ?2";
        let (key, name) = (repo.clone(), tag.clone());
        let change = move |tx: &mut Tx<'_>| {
            let repository = tx.known_repository(&key)?;
            tx.touch(Shard::of_tag(&key, &name));
            let deleted = tx.execute(DELETE, (repository, name.as_str()))? > 0;
            Ok(if deleted { Deleted::Done } else { Deleted::Absent })
        };
        self.0.writer.write(Fact::Tag(repo.clone(), tag.clone()), change).await
    }

    /// Deletes a pushed manifest, with all tags that point to it. What only it named there is loose since `now`.
    pub(in crate::store) async fn delete_manifest(
        &self,
        repo: &RepoKey,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<Deleted, Error> {
        let (key, digest) = (repo.clone(), *digest);
        let change = move |tx: &mut Tx<'_>| {
            let Some(repository) = tx.known_repository(&key)? else {
                return Ok(Deleted::Absent);
            };
            Ok(delete_manifest(tx, &key, repository, &digest, now)?)
        };
        self.0.writer.write(Fact::Pushed(repo.clone(), digest), change).await
    }

    /// Takes a blob from a repository; also whether its content is forgotten, because nobody has it now: its file is for
    /// the caller to remove.
    pub(in crate::store) async fn delete_blob(
        &self,
        repo: &RepoKey,
        digest: &Digest,
    ) -> Result<(Deleted, bool), Error> {
        let (key, digest) = (repo.clone(), *digest);
        let change = move |tx: &mut Tx<'_>| {
            let Some(repository) = tx.known_repository(&key)? else {
                return Ok((Deleted::Absent, false));
            };
            Ok(delete_blob(tx, repository, &digest)?)
        };
        self.0.writer.write(Fact::Link(repo.clone(), digest), change).await
    }
}

fn delete_manifest(
    tx: &mut Tx<'_>,
    key: &RepoKey,
    repository: i64,
    digest: &Digest,
    now: Timestamp,
) -> rusqlite::Result<Deleted> {
    const IS: &str = "SELECT EXISTS (SELECT 1 FROM pushed WHERE repository = ?1 AND digest = ?2)";
    const UNPUSH: &str = "DELETE FROM pushed WHERE repository = ?1 AND digest = ?2";
    const UNTAG: &str = "DELETE FROM tag WHERE repository = ?1 AND digest = ?2 RETURNING name";
    const UNNAME: &str = "DELETE FROM names WHERE repository = ?1 AND manifest = ?2 RETURNING digest";
    let it = (repository, sql::text(digest));
    if !tx.one(IS, (it.0, &it.1), |row| row.get::<_, bool>(0))? {
        return Ok(Deleted::Absent);
    }
    if let Some(by) = named_by(tx, repository, digest)? {
        return Ok(Deleted::Named { by });
    }
    tx.execute(UNPUSH, (it.0, &it.1))?;
    tx.touch(Shard::of_digest(digest));
    for tag in tx.all(UNTAG, (it.0, &it.1), |row| sql::parsed(row, 0))? {
        tx.touch(Shard::of_tag(key, &tag));
    }
    for named in tx.all(UNNAME, (it.0, &it.1), |row| sql::parsed(row, 0))? {
        loose::loosen(tx, repository, &named, now)?;
    }
    forget_bytes(tx, digest)?;
    Ok(Deleted::Done)
}

fn delete_blob(tx: &mut Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<(Deleted, bool)> {
    const IS: &str = "SELECT EXISTS (SELECT 1 FROM link WHERE repository = ?1 AND digest = ?2)";
    const UNLINK: &str = "DELETE FROM link WHERE repository = ?1 AND digest = ?2";
    let it = (repository, sql::text(digest));
    if !tx.one(IS, (it.0, &it.1), |row| row.get::<_, bool>(0))? {
        return Ok((Deleted::Absent, false));
    }
    if let Some(by) = named_by(tx, repository, digest)? {
        return Ok((Deleted::Named { by }, false));
    }
    tx.execute(UNLINK, (it.0, &it.1))?;
    tx.touch(Shard::of_digest(digest));
    loose::tighten(tx, repository, digest)?;
    Ok((Deleted::Done, blobs::free(tx, digest)?.is_some()))
}

/// A manifest of the repository that names the digest.
fn named_by(tx: &Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<Option<Digest>> {
    const BY: &str = "SELECT manifest FROM names WHERE repository = ?1 AND digest = ?2 LIMIT 1";
    let by = tx.all(BY, (repository, sql::text(digest)), |row| sql::parsed(row, 0))?;
    Ok(by.into_iter().next())
}

/// The bytes stay while another repository has them: pushed, or fetched through a mirror.
fn forget_bytes(tx: &Tx<'_>, digest: &Digest) -> rusqlite::Result<()> {
    const FORGET: &str = "
        DELETE FROM manifest
        WHERE digest = ?1
              AND NOT EXISTS (SELECT 1 FROM pushed WHERE pushed.digest = ?1)
              AND NOT EXISTS (SELECT 1 FROM visible JOIN repository ON repository.id = visible.repository
                              WHERE visible.digest = ?1 AND repository.mirror IS NOT NULL)";
    tx.execute(FORGET, [sql::text(digest)])?;
    Ok(())
}
