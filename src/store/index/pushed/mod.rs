//! The manifests of hosted repositories, and what they name.
//!
//! Owns the rows `pushed` and `names`. Promises that a manifest is there with all that it names, whatever else is pushed,
//! deleted or collected beside it: what decides is looked at in the transaction that changes it. A manifest stays until
//! a client deletes it by its digest, tagged or not.

mod accept;
mod delete;
pub(in crate::store) mod facts;
mod mount;

use rusqlite::{Connection, OptionalExtension};

use crate::oci::{Digest, MediaType, RepoKey};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Shard;
use crate::store::index::sql;

impl Index {
    /// What the manifest was pushed to the repository as, if it was; a warm answer costs neither a read nor a thread.
    pub(in crate::store) async fn pushed(&self, repo: &RepoKey, digest: &Digest) -> Result<Option<MediaType>, Error> {
        const READ: &str = "
            SELECT pushed.media_type FROM pushed JOIN repository ON repository.id = pushed.repository
            WHERE repository.key = ?1 AND pushed.digest = ?2";
        let (key, asked) = ((repo.clone(), *digest), (repo.clone(), *digest));
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(READ)?
                .query_row((sql::text(&asked.0), sql::text(&asked.1)), |row| sql::parsed(row, 0))
                .optional()
        };
        let read = self.0.readers.read(Fact::Pushed(repo.clone(), *digest), read);
        self.0.pushed.get(key, Shard::of_digest(digest), read).await
    }

    /// Whether anything was ever pushed to the repository.
    pub(in crate::store) async fn knows(&self, repo: &RepoKey) -> Result<bool, Error> {
        const READ: &str = "SELECT EXISTS (SELECT 1 FROM repository WHERE key = ?1 AND mirror IS NULL)";
        let key = sql::text(repo);
        let read = move |connection: &Connection| connection.prepare_cached(READ)?.query_row([key], |row| row.get(0));
        self.0.readers.read(Fact::Repository(repo.clone()), read).await
    }
}

#[cfg(test)]
mod tests;
