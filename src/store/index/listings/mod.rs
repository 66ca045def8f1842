//! Lists of mirrors' repositories, as their upstreams gave them: for the time when those cannot be asked.
//!
//! Owns the rows `listing`. Promises that a list is replaced whole, and that all of them together stay small: those that
//! were checked longest ago go first. Never looks into a list.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::oci::{Digest, RepoKey};
use crate::store::Error;
use crate::store::index::facts::Fact;
use crate::store::index::generation::{Generations, Remembered, Shard};
use crate::store::index::tx::Tx;
use crate::store::index::{Index, sql};

/// What the remembered lists may weigh together, in KiB.
const MEMORY: u64 = 32 * 1024;
/// What all of them may weigh, in bytes.
const BYTES: u64 = 64 * 1024 * 1024;
/// How many there may be.
const LISTS: u64 = 4096;

/// Which list of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum List {
    /// Its tags.
    Tags,
    /// What it has about a manifest.
    Referrers(Digest),
}

/// A list, whole and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// One entry each.
    pub lines: Arc<str>,
    /// When the upstream gave it, kept to the microsecond.
    pub checked_at: Timestamp,
}

pub(super) fn remembered(generations: Arc<Generations>) -> Remembered<(RepoKey, List), Option<Listing>> {
    const KIB: usize = 1024;
    Remembered::weighed(MEMORY, generations, |listing: &Option<Listing>| {
        let bytes = listing.as_ref().map_or(0, |listing| listing.lines.len());
        u32::try_from(bytes / KIB + 1).unwrap_or(u32::MAX)
    })
}

impl Index {
    /// The list as it was given last; a warm answer costs neither a read nor a thread.
    pub(in crate::store) async fn listing(&self, repo: &RepoKey, list: &List) -> Result<Option<Listing>, Error> {
        let (key, asked) = ((repo.clone(), list.clone()), (sql::text(repo), subject(list)));
        let fact = fact(repo, list);
        let read = self.0.readers.read(fact, move |connection| read(connection, &asked));
        self.0.listings.get(key, Shard::of_list(repo, list), read).await
    }

    /// Keeps a list in the place of an older one; an empty one only takes that away. May be lost in a power cut.
    pub(in crate::store) async fn put_listing(
        &self,
        repo: &RepoKey,
        mirror: &str,
        list: &List,
        listing: Listing,
    ) -> Result<(), Error> {
        let (key, mirror, list, fact) = (repo.clone(), mirror.to_owned(), list.clone(), fact(repo, list));
        let change = move |tx: &mut Tx<'_>| {
            tx.touch(Shard::of_list(&key, &list));
            if listing.lines.is_empty() {
                return Ok(drop_listing(tx, &key, &list)?);
            }
            let repository = tx.repository(&key, Some(&mirror))?;
            put(tx, repository, &list, &listing)?;
            Ok(trim(tx)?)
        };
        self.0.writer.write_lazily(fact, change).await
    }
}

fn fact(repo: &RepoKey, list: &List) -> Fact {
    match list {
        List::Tags => Fact::Tags(repo.clone()),
        List::Referrers(subject) => Fact::Referrers(repo.clone(), *subject),
    }
}

fn subject(list: &List) -> String {
    match list {
        List::Tags => String::new(),
        List::Referrers(subject) => sql::text(subject),
    }
}

fn read(connection: &Connection, asked: &(String, String)) -> rusqlite::Result<Option<Listing>> {
    const READ: &str = "
        SELECT listing.lines, listing.checked_at
        FROM listing JOIN repository ON repository.id = listing.repository
        WHERE repository.key = ?1 AND listing.subject = ?2";
    let mut statement = connection.prepare_cached(READ)?;
    let row = statement.query_row((&asked.0, &asked.1), |row| {
        Ok(Listing {
            lines: row.get_ref(0)?.as_str()?.into(),
            checked_at: sql::time(row, 1)?,
        })
    });
    row.optional()
}

fn put(tx: &Tx<'_>, repository: i64, list: &List, listing: &Listing) -> rusqlite::Result<()> {
    const PUT: &str = "
        INSERT INTO listing (repository, subject, checked_at, size, lines) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (repository, subject) DO UPDATE
        SET checked_at = excluded.checked_at, size = excluded.size, lines = excluded.lines";
    let (lines, checked_at) = (&*listing.lines, listing.checked_at.as_microsecond());
    let size = sql::size(lines.len() as u64);
    tx.execute(PUT, (repository, subject(list), checked_at, size, lines))?;
    Ok(())
}

fn drop_listing(tx: &Tx<'_>, repo: &RepoKey, list: &List) -> rusqlite::Result<()> {
    const DROP: &str = "
        DELETE FROM listing WHERE subject = ?2 AND repository = (SELECT id FROM repository WHERE key = ?1)";
    tx.execute(DROP, (repo.as_str(), subject(list)))?;
    Ok(())
}

/// What goes may still be remembered: it was true, and says when.
fn trim(tx: &Tx<'_>) -> rusqlite::Result<()> {
    const TRIM: &str = "
        DELETE FROM listing WHERE id IN (
            SELECT id FROM (
                SELECT id, row_number() OVER newest AS place, sum(size) OVER newest AS bytes
                FROM listing WINDOW newest AS (ORDER BY checked_at DESC, id DESC))
            WHERE place > ?1 OR bytes > ?2)";
    tx.execute(TRIM, (sql::size(LISTS), sql::size(BYTES)))?;
    Ok(())
}

#[cfg(test)]
mod tests;
