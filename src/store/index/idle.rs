//! What nobody has asked for since it was last looked over, and is asked for now.
//!
//! Owns the columns `idle_since`, NULL for what was asked for, or is new. Promises that a question which is answered from
//! an idle row makes it active again soon, at the cost of one write however many ask, and that asking for a manifest asks
//! for all that it names. Nobody waits for that; a crash, or a write that fails, leaves it to the next question.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::oci::{Digest, Manifest, RepoKey, Tag};
use crate::store::index::facts::{Fact, Link, StoredManifest};
use crate::store::index::generation::Shard;
use crate::store::index::tx::Tx;
use crate::store::index::{Index, links, manifests, sql};

/// What is becoming active.
#[derive(Debug, Clone, Default)]
pub(super) struct Waking(Arc<Mutex<HashSet<Row>>>);

/// A row that was idle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Row {
    Link(RepoKey, Digest),
    Tag(RepoKey, Tag),
}

impl Index {
    /// Makes a row active, unless that is under way.
    pub(super) fn wake(&self, row: Row) {
        if self.is_read_only() || !self.0.waking.change(|waking| waking.insert(row.clone())) {
            return;
        }
        let index = self.clone();
        self.0.tasks.spawn(async move {
            let (waking, fact) = (index.0.waking.clone(), row.fact());
            let change = move |tx: &mut Tx<'_>| {
                // First: whoever finds the row idle after this write is another one.
                waking.change(|waking| waking.remove(&row));
                Ok(row.wake(tx)?)
            };
            let woken = index.0.writer.write_lazily(fact, change).await;
            if let Err(error) = woken {
                tracing::debug!(%error, "not noted that it is asked for");
            }
        });
    }
}

impl Waking {
    fn change<R>(&self, change: impl FnOnce(&mut HashSet<Row>) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Row {
    fn fact(&self) -> Fact {
        match self {
            Self::Link(repo, digest) => Fact::Link(repo.clone(), *digest),
            Self::Tag(repo, tag) => Fact::Tag(repo.clone(), tag.clone()),
        }
    }

    fn wake(&self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Link(repo, digest) => match tx.known_repository(repo)? {
                Some(repository) => wake_link(tx, repository, digest),
                None => Ok(()),
            },
            Self::Tag(repo, tag) => wake_tag(tx, repo, tag),
        }
    }
}

fn wake_tag(tx: &mut Tx<'_>, repo: &RepoKey, tag: &Tag) -> rusqlite::Result<()> {
    const WAKE: &str = "
        UPDATE tag SET idle_since = NULL
        WHERE name = ?2 AND repository = (SELECT id FROM repository WHERE key = ?1)";
    tx.touch(Shard::of_tag(repo, tag));
    tx.execute(WAKE, (repo.as_str(), tag.as_str()))?;
    Ok(())
}

fn wake_link(tx: &mut Tx<'_>, repository: i64, digest: &Digest) -> rusqlite::Result<()> {
    const WAKE: &str = "UPDATE link SET idle_since = NULL WHERE repository = ?1 AND digest = ?2";
    tx.touch(Shard::of_digest(digest));
    if tx.execute(WAKE, (repository, sql::text(digest)))? == 0 {
        return Ok(());
    }
    // Links to what it names may have gone meanwhile; they come back as they were made.
    for (named, size) in tx.read(|connection| named(connection, digest))? {
        let link = Link {
            proven: false,
            size: Some(size),
        };
        links::add_link(tx, repository, &named, link)?;
    }
    Ok(())
}

/// What the stored manifest with this digest names, with the sizes that it claims; nothing where there is none.
pub(super) fn named(connection: &Connection, digest: &Digest) -> rusqlite::Result<Vec<(Digest, u64)>> {
    let Some(StoredManifest { media_type, bytes, .. }) = manifests::stored(connection, *digest)? else {
        return Ok(Vec::new());
    };
    let parsed = Manifest::parse(bytes, Some(&media_type), digest.algorithm());
    let named = |manifest: &Manifest| manifest.named().map(|it| (it.digest, it.size)).collect();
    // It was one when it was stored.
    Ok(parsed.as_ref().map(named).unwrap_or_default())
}
