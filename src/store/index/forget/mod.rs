//! What nobody asks for any more leaves the index, a few rows at a time.
//!
//! Owns how it is found: each pass marks what was not asked for since the last one, and takes what has been marked for long
//! and has no content. Promises that no hosted repository is looked at; that a row is judged and deleted in one
//! transaction; and that a step looks at a page of one repository, so that it costs the same in a small store and in a
//! large one. Dropped futures leave no half step.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::Error;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Shard;
use crate::store::index::pins::Moved;
use crate::store::index::tx::Tx;
use crate::store::index::{Index, idle, sql};

/// Where a pass has come to.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Place {
    repository: i64,
    tags: bool,
    /// In the order of their text.
    behind: String,
}

/// What one step came to.
#[derive(Debug)]
pub(in crate::store) struct Step {
    /// Where to go on; `None` at the end.
    pub(in crate::store) next: Option<Place>,
    /// Links and tags that went.
    pub(in crate::store) forgotten: u64,
}

/// What is marked now, and what has been marked long enough.
#[derive(Debug, Clone, Copy)]
struct Times {
    now: i64,
    before: i64,
}

impl Index {
    /// Looks at up to `limit` rows of a mirror's repository, from `place` on. What is not yet marked as idle is so from
    /// `now` on; what was so at `before` and has no content goes.
    pub(in crate::store) async fn forget(
        &self,
        place: Place,
        now: Timestamp,
        before: Timestamp,
        limit: usize,
    ) -> Result<Step, Error> {
        let times = Times {
            now: now.as_microsecond(),
            before: before.as_microsecond(),
        };
        let change = move |tx: &mut Tx<'_>| Ok(step(tx, place, times, limit)?);
        self.0.writer.write_lazily(Fact::Idle, change).await
    }

    /// When the last pass ended.
    pub(in crate::store) async fn looked_over_at(&self) -> Result<Option<Timestamp>, Error> {
        const READ: &str = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'looked_over'";
        let read = |connection: &rusqlite::Connection| {
            let mut read = connection.prepare_cached(READ)?;
            read.query_row([], |row| sql::time(row, 0)).optional()
        };
        self.0.readers.read(Fact::Idle, read).await
    }

    /// Notes that a pass ended at `now`.
    pub(in crate::store) async fn looked_over(&self, now: Timestamp) -> Result<(), Error> {
        const NOTE: &str = "
            INSERT INTO meta (key, value) VALUES ('looked_over', ?1)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let change = move |tx: &mut Tx<'_>| {
            tx.execute(NOTE, [now.as_microsecond().to_string()])?;
            Ok(())
        };
        self.0.writer.write_lazily(Fact::Idle, change).await
    }
}

fn step(tx: &mut Tx<'_>, place: Place, times: Times, limit: usize) -> rusqlite::Result<Step> {
    const NEXT: &str = "SELECT id, key FROM repository WHERE id >= ?1 AND mirror IS NOT NULL ORDER BY id LIMIT 1";
    let next = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, sql::parsed(row, 1)?));
    let Some((repository, key)) = tx.one(NEXT, [place.repository], next).optional()? else {
        return Ok(Step {
            next: None,
            forgotten: 0,
        });
    };
    let place = if repository == place.repository {
        place
    } else {
        Place::of(repository)
    };
    let (page, forgotten) = if place.tags {
        tags(tx, &place, &key, times, limit)?
    } else {
        links(tx, &place, times, limit)?
    };
    let next = match page {
        Some(behind) => Place { behind, ..place },
        None if place.tags => {
            drop_if_empty(tx, repository)?;
            Place::of(repository.saturating_add(1))
        }
        None => Place {
            tags: true,
            ..Place::of(repository)
        },
    };
    Ok(Step {
        next: Some(next),
        forgotten,
    })
}

impl Place {
    fn of(repository: i64) -> Self {
        Self {
            repository,
            ..Self::default()
        }
    }
}

/// A page of links: its last digest if more may follow, and how many went.
fn links(tx: &mut Tx<'_>, place: &Place, times: Times, limit: usize) -> rusqlite::Result<(Option<String>, u64)> {
    const PAGE: &str = "
        SELECT digest, idle_since FROM link WHERE repository = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3";
    const MARK: &str = "UPDATE link SET idle_since = ?3 WHERE repository = ?1 AND digest = ?2";
    let Place { repository, behind, .. } = place;
    let page = tx.all(PAGE, (repository, behind, rows(limit)), |row| {
        Ok((sql::parsed::<Digest>(row, 0)?, row.get::<_, Option<i64>>(1)?))
    })?;
    let mut forgotten = 0;
    for (digest, idle_since) in &page {
        match idle_since {
            None => {
                tx.touch(Shard::of_digest(digest));
                tx.execute(MARK, (repository, sql::text(digest), times.now))?;
            }
            Some(since) if *since <= times.before && !has_content(tx, *repository, digest, times)? => {
                unlink(tx, *repository, digest)?;
                forgotten += 1;
            }
            Some(_) => {}
        }
    }
    let more = page.len() == limit;
    Ok((
        page.last().filter(|_| more).map(|(digest, _)| sql::text(digest)),
        forgotten,
    ))
}

/// Whether something is stored that the link is needed for: the blob itself, or what the manifest names, unless somebody
/// asks for that by another way.
fn has_content(tx: &Tx<'_>, repository: i64, digest: &Digest, times: Times) -> rusqlite::Result<bool> {
    const STORED: &str = "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?1)";
    const NEEDED: &str = "
        SELECT EXISTS (SELECT 1 FROM link WHERE repository = ?1 AND digest = ?2 AND idle_since <= ?3
                       AND (EXISTS (SELECT 1 FROM blob WHERE blob.digest = ?2)
                            OR EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = ?2)))";
    if tx.one(STORED, [sql::text(digest)], |row| row.get(0))? {
        return Ok(true);
    }
    for (named, _) in tx.read(|connection| idle::named(connection, digest))? {
        if tx.one(NEEDED, (repository, sql::text(&named), times.before), |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a link to what is no stored blob, and with the last link of all what else is known of the digest.
fn unlink(tx: &mut Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<()> {
    const UNLINK: &str = "DELETE FROM link WHERE repository = ?1 AND digest = ?2";
    const MANIFEST: &str = "
        DELETE FROM manifest
        WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM link WHERE link.digest = ?1)
              AND NOT EXISTS (SELECT 1 FROM pushed WHERE pushed.digest = ?1)";
    const ORIGINS: &str = "
        DELETE FROM origin WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM link WHERE link.digest = ?1)";
    tx.touch(Shard::of_digest(digest));
    tx.execute(UNLINK, (repository, sql::text(digest)))?;
    tx.execute(MANIFEST, [sql::text(digest)])?;
    tx.execute(ORIGINS, [sql::text(digest)])?;
    Ok(())
}

/// A page of tags: its last name if more may follow, and how many went. A tag has content while its manifest is linked.
fn tags(
    tx: &mut Tx<'_>,
    place: &Place,
    key: &RepoKey,
    times: Times,
    limit: usize,
) -> rusqlite::Result<(Option<String>, u64)> {
    const PAGE: &str = "
        SELECT name, idle_since FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
    const MARK: &str = "UPDATE tag SET idle_since = ?3 WHERE repository = ?1 AND name = ?2";
    const FORGET: &str = "
        DELETE FROM tag
        WHERE repository = ?1 AND name = ?2
              AND NOT EXISTS (SELECT 1 FROM link WHERE link.repository = ?1 AND link.digest = tag.digest)";
    let Place { repository, behind, .. } = place;
    let page = tx.all(PAGE, (repository, behind, rows(limit)), |row| {
        Ok((sql::parsed::<Tag>(row, 0)?, row.get::<_, Option<i64>>(1)?))
    })?;
    let mut forgotten = 0;
    for (tag, idle_since) in &page {
        tx.touch(Shard::of_tag(key, tag));
        match idle_since {
            None => {
                tx.execute(MARK, (repository, tag.as_str(), times.now))?;
            }
            Some(since) if *since <= times.before => {
                forgotten += tx.execute(FORGET, (repository, tag.as_str()))? as u64;
                tx.tell_pins(Moved::Tag(key.clone(), tag.clone(), None));
            }
            Some(_) => {}
        }
    }
    let more = page.len() == limit;
    Ok((page.last().filter(|_| more).map(|(tag, _)| sql::text(tag)), forgotten))
}

fn drop_if_empty(tx: &Tx<'_>, repository: i64) -> rusqlite::Result<()> {
    const DROP: &str = "
        DELETE FROM repository
        WHERE id = ?1 AND mirror IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM link WHERE link.repository = ?1)
              AND NOT EXISTS (SELECT 1 FROM tag WHERE tag.repository = ?1)
              AND NOT EXISTS (SELECT 1 FROM listing WHERE listing.repository = ?1)
              AND NOT EXISTS (SELECT 1 FROM pushed WHERE pushed.repository = ?1)
              AND NOT EXISTS (SELECT 1 FROM names WHERE names.repository = ?1)
              AND NOT EXISTS (SELECT 1 FROM loose WHERE loose.repository = ?1)";
    tx.execute(DROP, [repository])?;
    Ok(())
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
