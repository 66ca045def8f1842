//! What is there, in order: tags, repositories, referrers.
//!
//! Owns no rows. Promises lists sorted by their bytes, from behind a given entry on, and a part that says whether more
//! follow. A part is read at one moment; between two parts the list may change, which moves no entry to another place.
//! Dropped futures cost nothing.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, Kept, Part, Referrer};
use crate::store::index::sql;

impl Index {
    /// The tags of a hosted repository behind `after`; `None` when it holds no manifest.
    pub(in crate::store) async fn tags(
        &self,
        repo: &RepoKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Part<Tag>>, Error> {
        let (key, after) = (sql::text(repo), after.unwrap_or_default().to_owned());
        let read = move |connection: &Connection| tags(connection, &key, &after, limit);
        self.0.readers.read(Fact::Tags(repo.clone()), read).await
    }

    /// The repositories behind `after` that hold something: hosted ones a manifest, cached ones anything proven.
    pub(in crate::store) async fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Part<Kept>, Error> {
        let after = after.unwrap_or_default().to_owned();
        let read = move |connection: &Connection| repositories(connection, &after, limit);
        self.0.readers.read(Fact::Repositories, read).await
    }

    /// The manifests of a hosted repository that are about `subject`, sorted by digest, from behind `after` on: as many
    /// as their descriptors fit into `max_bytes`, but one at least. With `artifact_type`, only those of that type.
    pub(in crate::store) async fn referrers(
        &self,
        repo: &RepoKey,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        max_bytes: usize,
    ) -> Result<Part<Referrer>, Error> {
        let (key, about, artifact_type) = (sql::text(repo), sql::text(subject), artifact_type.map(str::to_owned));
        let after = after.map_or_else(String::new, sql::text);
        let read = move |connection: &Connection| {
            // Left to itself, SQLite may look through all manifests of the repository.
            const READ: &str = "
                SELECT pushed.digest, pushed.descriptor
                FROM repository JOIN pushed INDEXED BY pushed_by_subject ON pushed.repository = repository.id
                WHERE repository.key = ?1 AND pushed.subject = ?2 AND pushed.digest > ?3
                      AND pushed.descriptor IS NOT NULL AND (?4 IS NULL OR pushed.artifact_type = ?4)
                ORDER BY pushed.digest";
            let mut read = connection.prepare_cached(READ)?;
            let rows = read.query_map((key, about, after, artifact_type), referrer)?;
            Part::fitting(rows, max_bytes)
        };
        let fact = Fact::Referrers(repo.clone(), *subject);
        self.0.readers.read(fact, read).await
    }
}

/// Only what was pushed counts: a name may have been a mirror's before.
fn tags(connection: &Connection, key: &str, after: &str, limit: usize) -> rusqlite::Result<Option<Part<Tag>>> {
    const KNOWN: &str = "
        SELECT id FROM repository
        WHERE key = ?1 AND EXISTS (SELECT 1 FROM pushed WHERE pushed.repository = repository.id)";
    const READ: &str = "
        SELECT tag.name FROM tag
        WHERE tag.repository = ?1 AND tag.name > ?2
              AND EXISTS (SELECT 1 FROM pushed WHERE pushed.repository = ?1 AND pushed.digest = tag.digest)
        ORDER BY tag.name LIMIT ?3";
    let mut known = connection.prepare_cached(KNOWN)?;
    let known: Option<i64> = known.query_row([key], |row| row.get(0)).optional()?;
    let Some(repository) = known else {
        return Ok(None);
    };
    let mut read = connection.prepare_cached(READ)?;
    let names = read.query_map((repository, after, one_more(limit)), |row| sql::parsed(row, 0))?;
    up_to(names, limit).map(Some)
}

pub(super) fn repositories(connection: &Connection, after: &str, limit: usize) -> rusqlite::Result<Part<Kept>> {
    const READ: &str = "
        SELECT key, EXISTS (SELECT 1 FROM pushed WHERE pushed.repository = repository.id) AS hosted
        FROM repository
        WHERE key > ?1 AND (hosted OR mirror IS NOT NULL AND EXISTS (
            SELECT 1 FROM link WHERE link.repository = repository.id AND link.proven
            AND (EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = link.digest)
                 OR EXISTS (SELECT 1 FROM blob WHERE blob.digest = link.digest))))
        ORDER BY key LIMIT ?2";
    let mut read = connection.prepare_cached(READ)?;
    let kept = read.query_map((after, one_more(limit)), |row| {
        let (key, hosted) = (sql::parsed(row, 0)?, row.get(1)?);
        Ok(Kept { key, hosted })
    })?;
    up_to(kept, limit)
}

fn referrer(row: &Row<'_>) -> rusqlite::Result<Referrer> {
    Ok(Referrer {
        digest: sql::parsed(row, 0)?,
        descriptor: row.get(1)?,
    })
}

/// Rows to ask for, so that the last one tells whether more follow.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn up_to<T>(rows: impl Iterator<Item = rusqlite::Result<T>>, limit: usize) -> rusqlite::Result<Part<T>> {
    let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Part { entries, more })
}

#[cfg(test)]
mod tests;
