//! A manifest comes in: one transaction that decides, and does.

use std::collections::{BTreeSet, HashSet};

use crate::oci::{Digest, Kind, Manifest, Reference, Tag};
use crate::store::Error;
use crate::store::index::Index;
use crate::store::index::facts::{Fact, TagRow};
use crate::store::index::generation::Shard;
use crate::store::index::pushed::facts::{PushManifest, Pushed};
use crate::store::index::tx::Tx;
use crate::store::index::{loose, manifests, sql, tags};

impl Index {
    /// Keeps a pushed manifest with its tags, if its conditions are true and all that it names is there.
    pub(in crate::store) async fn push_manifest(&self, push: PushManifest) -> Result<Pushed, Error> {
        let fact = Fact::Pushed(push.repo.clone(), push.manifest.digest());
        self.0.writer.write(fact, move |tx| Ok(push_manifest(tx, &push)?)).await
    }
}

fn push_manifest(tx: &mut Tx<'_>, push: &PushManifest) -> rusqlite::Result<Pushed> {
    // A refused push makes no repository.
    let repository = tx.known_repository(&push.repo)?;
    if !push
        .conditions
        .hold_for(present(tx, repository, &push.reference)?.as_ref())
    {
        return Ok(Pushed::Precondition);
    }
    if !push.allow_missing {
        let missing = missing(tx, repository, &push.manifest)?;
        if !missing.is_empty() {
            return Ok(Pushed::Missing(missing));
        }
    }
    let repository = tx.repository(&push.repo, None)?;
    manifests::keep_bytes(tx, &push.repo, &push.manifest)?;
    put_pushed(tx, repository, push)?;
    put_names(tx, repository, &push.manifest)?;
    for tag in push.all_tags() {
        tags::put(tx, repository, &push.repo, tag, &push.row())?;
    }
    Ok(Pushed::Done)
}

/// The manifest that `reference` means before the push.
fn present(tx: &Tx<'_>, repository: Option<i64>, reference: &Reference) -> rusqlite::Result<Option<Digest>> {
    const TAGGED: &str = "SELECT digest FROM tag WHERE repository = ?1 AND name = ?2";
    const THERE: &str = "SELECT digest FROM pushed WHERE repository = ?1 AND digest = ?2";
    let read = match reference {
        Reference::Tag(_) => TAGGED,
        Reference::Digest(_) => THERE,
    };
    let found = tx.all(read, (repository, sql::text(reference)), |row| sql::parsed(row, 0))?;
    Ok(found.into_iter().next())
}

/// What the manifest names and the repository does not have, each once.
fn missing(tx: &Tx<'_>, repository: Option<i64>, manifest: &Manifest) -> rusqlite::Result<Vec<String>> {
    const BLOB: &str = "
        SELECT EXISTS (SELECT 1 FROM link JOIN blob ON blob.digest = link.digest
                       WHERE link.repository = ?1 AND link.digest = ?2 AND link.proven)";
    // Some indexes name blobs.
    const MANIFEST_OR_BLOB: &str = "
        SELECT EXISTS (SELECT 1 FROM pushed WHERE repository = ?1 AND digest = ?2)
            OR EXISTS (SELECT 1 FROM link JOIN blob ON blob.digest = link.digest
                       WHERE link.repository = ?1 AND link.digest = ?2 AND link.proven)";
    let there = match manifest.kind() {
        Kind::Image => BLOB,
        Kind::Index => MANIFEST_OR_BLOB,
    };
    let mut missing = Vec::new();
    for digest in each_named(manifest) {
        let digest = sql::text(&digest);
        if !tx.one(there, (repository, &digest), |row| row.get::<_, bool>(0))? {
            missing.push(digest);
        }
    }
    let unprovable: BTreeSet<&String> = manifest.unprovable().iter().collect();
    missing.extend(unprovable.into_iter().cloned());
    Ok(missing)
}

/// The last type that these bytes were pushed as counts: whoever pushes reads back what they said.
fn put_pushed(tx: &mut Tx<'_>, repository: i64, push: &PushManifest) -> rusqlite::Result<()> {
    const PUT: &str = "
        INSERT INTO pushed (repository, digest, media_type, subject, artifact_type, descriptor)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type,
               subject = excluded.subject, artifact_type = excluded.artifact_type, descriptor = excluded.descriptor";
    let (digest, about) = (push.manifest.digest(), push.about.as_ref());
    tx.touch(Shard::of_digest(&digest));
    tx.execute(
        PUT,
        (
            repository,
            sql::text(&digest),
            push.manifest.media_type().as_str(),
            about.map(|about| sql::text(&about.subject)),
            about.and_then(|about| about.artifact_type.as_deref()),
            about.map(|about| about.descriptor.as_str()),
        ),
    )?;
    Ok(())
}

fn put_names(tx: &mut Tx<'_>, repository: i64, manifest: &Manifest) -> rusqlite::Result<()> {
    const ADD: &str = "INSERT INTO names (repository, digest, manifest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let by = sql::text(&manifest.digest());
    for digest in each_named(manifest) {
        tx.execute(ADD, (repository, sql::text(&digest), &by))?;
        loose::tighten(tx, repository, &digest)?;
    }
    Ok(())
}

/// The digests that the manifest names, in its order.
fn each_named(manifest: &Manifest) -> impl Iterator<Item = Digest> {
    let mut seen = HashSet::new();
    manifest
        .named()
        .map(|named| named.digest)
        .filter(move |digest| seen.insert(*digest))
}

impl PushManifest {
    fn all_tags(&self) -> impl Iterator<Item = &Tag> {
        let own = match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        own.into_iter().chain(&self.tags)
    }

    /// Where the tags will point.
    fn row(&self) -> TagRow {
        TagRow {
            digest: self.manifest.digest(),
            media_type: Some(self.manifest.media_type().clone()),
            size: Some(self.manifest.bytes().len() as u64),
            checked_at: self.now,
        }
    }
}
