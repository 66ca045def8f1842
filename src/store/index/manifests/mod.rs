//! Manifests, byte for byte.
//!
//! Owns the rows `manifest`. Promises that a manifest becomes visible together with the links to all that it names, and
//! its tag, or not at all. The bytes of a digest never change, so they are remembered without a generation; whether a
//! repository may see them does, and is asked of `Index::sight` each time.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use rusqlite::{Connection, OptionalExtension};

use crate::oci::{Digest, Manifest, RepoKey};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, Link, PutManifest, StoredManifest, TagRow};
use crate::store::index::pins::Moved;
use crate::store::index::tx::Tx;
use crate::store::index::{links, sql, tags};

const KIB: usize = 1024;

/// What the remembered manifests may weigh together, in KiB.
const MEMORY: u64 = 64 * 1024;

/// Manifests by digest. moka weighs in `u32`, hence KiB.
pub(super) fn memory() -> Cache<Digest, StoredManifest> {
    let weigh = |_: &Digest, stored: &StoredManifest| u32::try_from(stored.bytes.len() / KIB + 1).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(MEMORY).weigher(weigh).build()
}

impl Index {
    /// The manifest with this digest. Whether a repository may see it is for `sight` to say.
    pub(in crate::store) async fn manifest(&self, digest: &Digest) -> Result<Option<StoredManifest>, Error> {
        if let Some(stored) = self.0.manifests.get(digest).await {
            return Ok(Some(stored));
        }
        let asked = *digest;
        let stored = self
            .0
            .readers
            .read(Fact::Manifest(asked), move |connection| stored(connection, asked))
            .await?;
        if let Some(stored) = &stored {
            self.0.manifests.insert(asked, stored.clone()).await;
        }
        Ok(stored)
    }

    /// Keeps a manifest with all that it makes visible, in one transaction: its bytes and origin, a proven link to
    /// itself, a named link to each thing that it names, and the tag that points to it.
    pub(in crate::store) async fn put_manifest(&self, put: PutManifest) -> Result<(), Error> {
        let fact = Fact::Manifest(put.manifest.digest());
        self.0.writer.write(fact, move |tx| Ok(put_manifest(tx, &put)?)).await
    }
}

fn put_manifest(tx: &mut Tx<'_>, put: &PutManifest) -> rusqlite::Result<()> {
    let (manifest, digest) = (&put.manifest, put.manifest.digest());
    let size = manifest.bytes().len() as u64;
    keep_bytes(tx, &put.repo, manifest)?;
    let repository = tx.repository(&put.repo, put.mirror.as_deref())?;
    links::add_counted_link(tx, repository, &digest, size)?;
    if let Some(mirror) = &put.mirror {
        links::add_origin(tx, &digest, mirror)?;
    }
    for named in manifest.named() {
        links::add_link(
            tx,
            repository,
            &named.digest,
            Link {
                proven: false,
                size: Some(named.size),
            },
        )?;
    }
    if let Some((tag, checked_at)) = &put.tag {
        let media_type = Some(manifest.media_type().clone());
        let row = TagRow {
            digest,
            media_type,
            size: Some(size),
            checked_at: *checked_at,
        };
        tags::put(tx, repository, &put.repo, tag, &row)?;
    }
    Ok(())
}

/// The first type that came with these bytes stays: what was served once is served the same again. Bytes that were damaged
/// are put right.
pub(super) fn keep_bytes(tx: &mut Tx<'_>, repo: &RepoKey, manifest: &Arc<Manifest>) -> rusqlite::Result<()> {
    const KEEP: &str = "
        INSERT INTO manifest (digest, media_type, bytes) VALUES (?1, ?2, ?3)
        ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes WHERE bytes != excluded.bytes";
    let (digest, media_type) = (sql::text(&manifest.digest()), sql::text(manifest.media_type()));
    tx.tell_pins(Moved::Kept(repo.clone(), manifest.digest()));
    tx.execute(KEEP, (digest, media_type, &manifest.bytes()[..]))?;
    Ok(())
}

/// The manifest, if its bytes are what its digest says: SQLite has no sums of its pages.
pub(super) fn stored(connection: &Connection, digest: Digest) -> rusqlite::Result<Option<StoredManifest>> {
    const READ: &str = "SELECT media_type, bytes FROM manifest WHERE digest = ?1";
    let mut read = connection.prepare_cached(READ)?;
    let stored = read.query_row([sql::text(&digest)], |row| {
        let bytes: Vec<u8> = row.get(1)?;
        Ok(StoredManifest {
            digest,
            media_type: sql::parsed(row, 0)?,
            bytes: Bytes::from(bytes),
        })
    });
    let stored = stored.optional()?;
    let right = |stored: &StoredManifest| Digest::of(digest.algorithm(), &stored.bytes) == digest;
    if stored.as_ref().is_some_and(|stored| !right(stored)) {
        tracing::error!(%digest, "a stored manifest is damaged, and counts for nothing: pulling it again, or pushing it, heals it");
        return Ok(None);
    }
    Ok(stored)
}

#[cfg(test)]
mod tests;
