//! A blob that is here already becomes another repository's too.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::oci::{Digest, RepoKey};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, Kept};
use crate::store::index::tx::Tx;
use crate::store::index::{links, loose, sql};

impl Index {
    /// Links the hosted repository `to` to a stored blob that `from` may see. False when there is no such blob.
    pub(in crate::store) async fn mount(
        &self,
        digest: &Digest,
        from: &RepoKey,
        to: &RepoKey,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (digest, from, key) = (*digest, from.clone(), to.clone());
        let change = move |tx: &mut Tx<'_>| {
            let (sight, _idle) = tx.read(|connection| links::sight(connection, &from, &digest))?;
            let Some(blob) = sight.blob.filter(|_| sight.visible()) else {
                return Ok(false);
            };
            let repository = tx.repository(&key, None)?;
            links::add_counted_link(tx, repository, &digest, blob.size)?;
            loose::loosen(tx, repository, &digest, now)?;
            Ok(true)
        };
        self.0.writer.write(Fact::Link(to.clone(), digest), change).await
    }

    /// Repositories that may see the stored blob, 100 of them at most.
    pub(in crate::store) async fn homes(&self, digest: &Digest) -> Result<Vec<Kept>, Error> {
        const READ: &str = "
            SELECT repository.key, repository.mirror IS NULL
            FROM blob JOIN visible ON visible.digest = blob.digest JOIN repository ON repository.id = visible.repository
            WHERE blob.digest = ?1
            LIMIT 100";
        let asked = *digest;
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(READ)?
                .query_map([sql::text(&asked)], |row| {
                    let (key, hosted) = (sql::parsed(row, 0)?, row.get(1)?);
                    Ok(Kept { key, hosted })
                })?
                .collect()
        };
        self.0.readers.read(Fact::Homes(asked), read).await
    }
}
