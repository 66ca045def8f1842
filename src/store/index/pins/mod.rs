//! Pins: those that a command made, and what pins lead to, read a page at a time.
//!
//! Owns the rows `pin`. Promises that a pin that was answered is durable. Never decides what may go.

mod held;

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::oci::{Digest, Pin, RepoKey, Tag};
use crate::store::Error;
use crate::store::index::facts::Fact;
use crate::store::index::tx::Tx;
use crate::store::index::{Index, idle, sql};

pub(super) use held::Moved;
pub use held::Source;
pub(in crate::store) use held::{Held, Work};

/// Rows in one page.
const PAGE: i64 = 256;

/// The pins that commands made, in order.
pub(super) fn commanded(connection: &Connection) -> rusqlite::Result<Vec<Pin>> {
    const READ: &str = "SELECT pattern FROM pin ORDER BY pattern";
    let mut read = connection.prepare(READ)?;
    read.query_map([], |row| sql::parsed(row, 0))?.collect()
}

impl Index {
    /// The digests that are pinned, in memory.
    pub(in crate::store) fn held(&self) -> &Arc<Held> {
        &self.0.held
    }

    /// Keeps a pin. False when it is kept already.
    pub(in crate::store) async fn add_pin(&self, pin: &Pin, now: Timestamp) -> Result<bool, Error> {
        const ADD: &str = "INSERT INTO pin (pattern, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let pin = pin.clone();
        let change = move |tx: &mut Tx<'_>| {
            let added = tx.execute(ADD, (sql::text(&pin), now.as_microsecond()))? > 0;
            if added {
                tx.tell_pins(Moved::Pinned(pin));
            }
            Ok(added)
        };
        self.0.writer.write(Fact::Pins, change).await
    }

    /// Forgets a pin. False when there is none.
    pub(in crate::store) async fn remove_pin(&self, pin: &Pin) -> Result<bool, Error> {
        const REMOVE: &str = "DELETE FROM pin WHERE pattern = ?1";
        let pin = pin.clone();
        let change = move |tx: &mut Tx<'_>| {
            let removed = tx.execute(REMOVE, [sql::text(&pin)])? > 0;
            if removed {
                tx.tell_pins(Moved::Unpinned(pin));
            }
            Ok(removed)
        };
        self.0.writer.write(Fact::Pins, change).await
    }

    /// A page of repositories behind `behind`, of those with this first component if one is given.
    pub(in crate::store) async fn repositories_behind(
        &self,
        first: Option<&str>,
        behind: &str,
    ) -> Result<Vec<(i64, RepoKey)>, Error> {
        const READ: &str = "SELECT id, key FROM repository WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3";
        // `0` comes behind `/`, and `{` behind all that a name may be made of.
        let (from, to) = first.map_or_else(
            || (String::new(), "{".to_owned()),
            |first| (format!("{first}/"), format!("{first}0")),
        );
        let from = behind.max(from.as_str()).to_owned();
        self.page(Fact::Repositories, READ, (from, to, PAGE), |row| {
            Ok((row.get(0)?, sql::parsed(row, 1)?))
        })
        .await
    }

    /// A page of the repository's tags behind `behind`, and where they point.
    pub(in crate::store) async fn tags_behind(
        &self,
        repository: i64,
        behind: &str,
    ) -> Result<Vec<(Tag, Digest)>, Error> {
        const READ: &str = "
            SELECT name, digest FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
        let params = (repository, behind.to_owned(), PAGE);
        self.page(Fact::Pins, READ, params, |row| {
            Ok((sql::parsed(row, 0)?, sql::parsed(row, 1)?))
        })
        .await
    }

    /// A page of what the repository has behind `behind`.
    pub(in crate::store) async fn links_behind(&self, repository: i64, behind: &str) -> Result<Vec<Digest>, Error> {
        const READ: &str = "
            SELECT digest FROM link WHERE repository = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3";
        let params = (repository, behind.to_owned(), PAGE);
        self.page(Fact::Pins, READ, params, |row| sql::parsed(row, 0)).await
    }

    /// What those of the digests name that are stored manifests.
    pub(in crate::store) async fn named_by(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        let read = move |connection: &Connection| {
            let mut found = Vec::new();
            for digest in &digests {
                found.extend(idle::named(connection, digest)?.into_iter().map(|(named, _)| named));
            }
            Ok(found)
        };
        self.0.readers.read(Fact::Pins, read).await
    }

    /// How many of the digests are stored blobs, and their bytes.
    pub(in crate::store) async fn weight_of(&self, digests: Vec<Digest>) -> Result<(u64, u64), Error> {
        const READ: &str = "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE digest = ?1";
        let read = move |connection: &Connection| {
            let mut read = connection.prepare_cached(READ)?;
            digests.iter().try_fold((0, 0), |(blobs, bytes), digest| {
                read.query_row([sql::text(digest)], |row| {
                    Ok((blobs + sql::unsigned(row, 0)?, bytes + sql::unsigned(row, 1)?))
                })
            })
        };
        self.0.readers.read(Fact::Pins, read).await
    }

    async fn page<R: Send + 'static>(
        &self,
        fact: Fact,
        statement: &'static str,
        params: impl rusqlite::Params + Send + 'static,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<Vec<R>, Error> {
        let read = move |connection: &Connection| {
            let mut read = connection.prepare_cached(statement)?;
            read.query_map(params, row)?.collect()
        };
        self.0.readers.read(fact, read).await
    }
}
