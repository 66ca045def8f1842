//! Where tags point.
//!
//! Owns the rows `tag`. Promises that a tag is moved whole: digest, type, size and time belong together. Never asks
//! whether the manifest is stored: a HEAD upstream may have told more than has been fetched.

use rusqlite::{Connection, OptionalExtension};

use crate::oci::{RepoKey, Tag};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, TagRow};
use crate::store::index::generation::Shard;
use crate::store::index::idle::Row;
use crate::store::index::pins::Moved;
use crate::store::index::sql;
use crate::store::index::tx::Tx;

impl Index {
    /// Where the tag points; a warm answer costs neither a read nor a thread.
    pub(in crate::store) async fn tag(&self, repo: &RepoKey, tag: &Tag) -> Result<Option<TagRow>, Error> {
        let (key, asked) = ((repo.clone(), tag.clone()), (repo.clone(), tag.clone()));
        let fact = Fact::Tag(repo.clone(), tag.clone());
        let read = self
            .0
            .readers
            .read(fact, move |connection| read(connection, &asked.0, &asked.1));
        let found = self.0.tags.get(key, Shard::of_tag(repo, tag), read).await?;
        Ok(found.map(|(row, idle)| {
            if idle {
                self.wake(Row::Tag(repo.clone(), tag.clone()));
            }
            row
        }))
    }

    /// Points the tag to `row`, making the repository's row when it is missing. `mirror` is the key of the mirror that
    /// the repository belongs to.
    pub(in crate::store) async fn put_tag(
        &self,
        repo: &RepoKey,
        mirror: Option<&str>,
        tag: &Tag,
        row: TagRow,
    ) -> Result<(), Error> {
        let (key, mirror, name) = (repo.clone(), mirror.map(str::to_owned), tag.clone());
        let change = move |tx: &mut Tx<'_>| {
            let repository = tx.repository(&key, mirror.as_deref())?;
            Ok(put(tx, repository, &key, &name, &row)?)
        };
        self.0.writer.write(Fact::Tag(repo.clone(), tag.clone()), change).await
    }

    /// Deletes a tag of a mirror's repository.
    pub(in crate::store) async fn forget_tag(&self, repo: &RepoKey, tag: &Tag) -> Result<(), Error> {
        const FORGET: &str = "
            DELETE FROM tag
            WHERE name = ?2 AND repository = (SELECT id FROM repository WHERE key = ?1 AND mirror IS NOT NULL)";
        let (key, name) = (repo.clone(), tag.clone());
        let change = move |tx: &mut Tx<'_>| {
            tx.touch(Shard::of_tag(&key, &name));
            tx.execute(FORGET, (key.as_str(), name.as_str()))?;
            tx.tell_pins(Moved::Tag(key, name, None));
            Ok(())
        };
        self.0.writer.write(Fact::Tag(repo.clone(), tag.clone()), change).await
    }
}

pub(super) fn put(tx: &mut Tx<'_>, repository: i64, repo: &RepoKey, tag: &Tag, row: &TagRow) -> rusqlite::Result<()> {
    const IS: &str = "SELECT EXISTS (SELECT 1 FROM tag WHERE repository = ?1 AND name = ?2 AND digest = ?3)";
    const PUT: &str = "
        INSERT INTO tag (repository, name, digest, media_type, size, checked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, media_type = excluded.media_type,
               size = excluded.size, checked_at = excluded.checked_at, idle_since = NULL";
    let media_type = row.media_type.as_ref().map(sql::text);
    let (size, checked_at) = (row.size.and_then(sql::size), row.checked_at.as_microsecond());
    let to = sql::text(&row.digest);
    if !tx.one(IS, (repository, tag.as_str(), &to), |row| row.get::<_, bool>(0))? {
        tx.tell_pins(Moved::Tag(repo.clone(), tag.clone(), Some(row.digest)));
    }
    tx.touch(Shard::of_tag(repo, tag));
    tx.execute(PUT, (repository, tag.as_str(), to, media_type, size, checked_at))?;
    Ok(())
}

fn read(connection: &Connection, repo: &RepoKey, tag: &Tag) -> rusqlite::Result<Option<(TagRow, bool)>> {
    const READ: &str = "
        SELECT tag.digest, tag.media_type, tag.size, tag.checked_at, tag.idle_since IS NOT NULL
        FROM tag JOIN repository ON repository.id = tag.repository
        WHERE repository.key = ?1 AND tag.name = ?2";
    let mut statement = connection.prepare_cached(READ)?;
    let row = statement.query_row((repo.as_str(), tag.as_str()), |row| {
        let tag = TagRow {
            digest: sql::parsed(row, 0)?,
            media_type: sql::parsed_or_null(row, 1)?,
            size: sql::unsigned_or_null(row, 2)?,
            checked_at: sql::time(row, 3)?,
        };
        Ok((tag, row.get(4)?))
    });
    row.optional()
}
