//! Whether the index holds together, and what it says is stored, page by page.
//!
//! Owns no rows but the note of how far a scrub has come. Promises that a page costs the same wherever it is. Never looks at
//! content: what the files are is for others to compare. Dropping a read's future costs nothing.

mod adopt;
mod books;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{BlobRow, Fact};
use crate::store::index::sql;
use crate::store::index::tx::Tx;

/// Findings of one kind that are told; there can be as many as there are rows.
pub(in crate::store) const MOST: usize = 1000;

/// What does not hold together.
#[derive(Debug, Default)]
pub(in crate::store) struct Found {
    /// SQLite's own words: pages, tables and references.
    pub(in crate::store) sqlite: Vec<String>,
    /// Tags of hosted repositories whose manifests are not there.
    pub(in crate::store) tags: Vec<(RepoKey, Tag, Digest)>,
    /// Blobs that a hosted repository has, and that are not stored.
    pub(in crate::store) lost: Vec<(RepoKey, Digest)>,
}

/// How far a scrub has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Round {
    /// When it began.
    pub(in crate::store) began: Timestamp,
    /// The blob that was looked at last; `None`: none yet.
    pub(in crate::store) behind: Option<Digest>,
    /// Whether it has come to its end.
    pub(in crate::store) done: bool,
}

impl Index {
    /// Looks at all of the index. Takes as long as reading it.
    pub(in crate::store) async fn check(&self) -> Result<Found, Error> {
        let sqlite = self.0.readers.read(Fact::Integrity, sqlite).await?;
        if !sqlite.is_empty() {
            return Ok(Found {
                sqlite,
                ..Found::default()
            });
        }
        let rows = |connection: &Connection| Ok((broken_tags(connection)?, lost(connection)?));
        let (tags, lost) = self.0.readers.read(Fact::Integrity, rows).await?;
        Ok(Found { sqlite, tags, lost })
    }

    /// How many blobs are stored, and their bytes together.
    pub(in crate::store) async fn stored(&self) -> Result<(u64, u64), Error> {
        let read = |connection: &Connection| {
            const READ: &str = "SELECT count(*), coalesce(sum(size), 0) FROM blob";
            connection.query_row(READ, [], |row| Ok((sql::unsigned(row, 0)?, sql::unsigned(row, 1)?)))
        };
        self.0.readers.read(Fact::Blobs, read).await
    }

    /// Up to `limit` blobs, in the order of their digests' texts, behind one of them.
    pub(in crate::store) async fn blobs_behind(
        &self,
        behind: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<(Digest, BlobRow)>, Error> {
        let read = move |connection: &Connection| {
            const READ: &str = "SELECT digest, size, modified FROM blob WHERE digest > ?1 ORDER BY digest LIMIT ?2";
            let mut page = connection.prepare_cached(READ)?;
            page.query_map((place(behind), rows(limit)), blob)?.collect()
        };
        self.0.readers.read(Fact::Blobs, read).await
    }

    /// Blobs whose files were written within `within_ns` before the one that was written last, latest first, `limit` at most.
    pub(in crate::store) async fn latest_blobs(
        &self,
        within_ns: i64,
        limit: usize,
    ) -> Result<Vec<(Digest, BlobRow)>, Error> {
        let read = move |connection: &Connection| {
            const READ: &str = "
                SELECT digest, size, modified FROM blob
                WHERE modified >= (SELECT max(modified) FROM blob) - ?1 ORDER BY modified DESC LIMIT ?2";
            let mut page = connection.prepare_cached(READ)?;
            page.query_map((within_ns, rows(limit)), blob)?.collect()
        };
        self.0.readers.read(Fact::Blobs, read).await
    }

    /// Up to `limit` manifests behind one of them, as blobs are told: with their bytes, and whether they were pushed.
    pub(in crate::store) async fn manifests_behind(
        &self,
        behind: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<(Digest, Bytes, bool)>, Error> {
        let read = move |connection: &Connection| {
            const READ: &str = "
                SELECT digest, bytes, EXISTS (SELECT 1 FROM pushed WHERE pushed.digest = manifest.digest)
                FROM manifest WHERE digest > ?1 ORDER BY digest LIMIT ?2";
            let mut page = connection.prepare_cached(READ)?;
            let manifest = |row: &Row<'_>| Ok((sql::parsed(row, 0)?, row.get::<_, Vec<u8>>(1)?.into(), row.get(2)?));
            page.query_map((place(behind), rows(limit)), manifest)?.collect()
        };
        self.0.readers.read(Fact::Integrity, read).await
    }

    /// The last scrub, if there was one.
    pub(in crate::store) async fn scrubbed(&self) -> Result<Option<Round>, Error> {
        const READ: &str = "SELECT value FROM meta WHERE key = 'scrubbed'";
        let read = |connection: &Connection| {
            let mut read = connection.prepare_cached(READ)?;
            let text: Option<String> = read.query_row([], |row| row.get(0)).optional()?;
            Ok(text.and_then(|text| Round::read(&text)))
        };
        self.0.readers.read(Fact::Scrub, read).await
    }

    /// Notes how far a scrub has come. Waits for no disk: what a power cut takes is looked at twice.
    pub(in crate::store) async fn note_scrub(&self, round: Round) -> Result<(), Error> {
        const NOTE: &str = "
            INSERT INTO meta (key, value) VALUES ('scrubbed', ?1)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let change = move |tx: &mut Tx<'_>| {
            tx.execute(NOTE, [round.written()])?;
            Ok(())
        };
        self.0.writer.write_lazily(Fact::Scrub, change).await
    }
}

impl Round {
    fn written(&self) -> String {
        let place = match (self.done, self.behind) {
            (true, _) => "done".to_owned(),
            (false, None) => "begun".to_owned(),
            (false, Some(digest)) => digest.to_string(),
        };
        format!("{} {place}", self.began.as_microsecond())
    }

    fn read(text: &str) -> Option<Self> {
        let (began, place) = text.split_once(' ')?;
        let behind = match place {
            "done" | "begun" => None,
            digest => Some(digest.parse().ok()?),
        };
        Some(Self {
            began: Timestamp::from_microsecond(began.parse().ok()?).ok()?,
            behind,
            done: place == "done",
        })
    }
}

/// What SQLite says of its pages; of a reference that leads nowhere where these are in order.
fn sqlite(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const PAGES: &str = "PRAGMA integrity_check(100)";
    const REFERENCES: &str = "
        SELECT count(*) || ' rows of ' || \"table\" || ' name what is not in ' || \"parent\"
        FROM pragma_foreign_key_check GROUP BY \"table\", \"parent\"";
    let all = |read| {
        let mut read = connection.prepare_cached(read)?;
        read.query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()
    };
    let mut pages = all(PAGES)?;
    pages.retain(|words| words != "ok");
    if pages.is_empty() { all(REFERENCES) } else { Ok(pages) }
}

fn broken_tags(connection: &Connection) -> rusqlite::Result<Vec<(RepoKey, Tag, Digest)>> {
    const READ: &str = "
        SELECT repository.key, tag.name, tag.digest
        FROM tag JOIN repository ON repository.id = tag.repository
        WHERE repository.mirror IS NULL
              AND NOT EXISTS (SELECT 1 FROM pushed WHERE pushed.repository = tag.repository AND pushed.digest = tag.digest)
        LIMIT ?1";
    let tag = |row: &Row<'_>| Ok((sql::parsed(row, 0)?, sql::parsed(row, 1)?, sql::parsed(row, 2)?));
    connection.prepare_cached(READ)?.query_map([rows(MOST)], tag)?.collect()
}

fn lost(connection: &Connection) -> rusqlite::Result<Vec<(RepoKey, Digest)>> {
    const READ: &str = "
        SELECT repository.key, link.digest
        FROM link JOIN repository ON repository.id = link.repository
        WHERE link.proven AND repository.mirror IS NULL
              AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.digest = link.digest)
              AND NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = link.digest)
        LIMIT ?1";
    let lost = |row: &Row<'_>| Ok((sql::parsed(row, 0)?, sql::parsed(row, 1)?));
    connection
        .prepare_cached(READ)?
        .query_map([rows(MOST)], lost)?
        .collect()
}

fn blob(row: &Row<'_>) -> rusqlite::Result<(Digest, BlobRow)> {
    let blob = BlobRow {
        size: sql::unsigned(row, 1)?,
        modified_ns: row.get(2)?,
    };
    Ok((sql::parsed(row, 0)?, blob))
}

/// The empty text is before every digest.
fn place(behind: Option<Digest>) -> String {
    behind.map(|digest| sql::text(&digest)).unwrap_or_default()
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
