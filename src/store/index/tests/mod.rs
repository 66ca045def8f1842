mod flat;
mod plans;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::oci::{Algorithm, Manifest, MediaType, RemoteName};
use crate::store::UploadId;

pub(super) const MIRROR: &str = "docker.io";

pub(super) fn digest(of: &(impl ToString + ?Sized)) -> Digest {
    Digest::of(Algorithm::Sha256, of.to_string().as_bytes())
}

pub(super) fn repo(name: &str) -> RepoKey {
    name.parse().unwrap()
}

pub(super) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

pub(super) fn row(size: u64) -> TagRow {
    let checked_at = "2026-08-01T12:00:00.123456Z".parse().unwrap();
    TagRow {
        digest: digest(&size),
        media_type: Some(MediaType::OCI_INDEX),
        size: Some(size),
        checked_at,
    }
}

pub(super) fn open(dir: &TempDir) -> Index {
    Index::open(&dir.path().join("index"), &dir.path().join("backup"), Tasks::new()).unwrap()
}

pub(super) fn fresh() -> (TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let index = open(&dir);
    (dir, index)
}

/// A connection of somebody else to the same database, to look at it or to make it fail.
pub(super) fn beside(dir: &TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.path().join("index/index.sqlite3")).unwrap()
}

impl Index {
    pub(super) async fn partial(&self, mirror: &str, remote: &RemoteName, digest: &Digest) -> Result<StagedRow, Error> {
        Ok(self.stage(mirror, remote, digest, |_| ()).await?.0)
    }
}

pub(super) fn landing(partial: u64, digest: Digest, size: u64, name: &str) -> Landing {
    let blob = BlobRow { size, modified_ns: 7 };
    let arrival = Arrival::Fetched {
        partial,
        mirror: MIRROR.to_owned(),
        repo: repo(name),
    };
    Landing {
        digest,
        blob,
        allocated: size,
        rename: FileStep::none(),
        arrival,
    }
}

/// A blob of 5 bytes, uploaded to a hosted repository.
pub(super) fn pushed(upload: UploadId, digest: Digest, name: &str, at: Timestamp) -> Landing {
    Landing {
        digest,
        blob: BlobRow {
            size: 5,
            modified_ns: 7,
        },
        allocated: 5,
        rename: FileStep::none(),
        arrival: Arrival::Pushed {
            upload,
            repo: repo(name),
            at,
        },
    }
}

/// What a repository sees of a digest that nobody brought.
pub(super) fn unseen() -> Sight {
    Sight {
        link: None,
        blob: None,
        manifest: false,
        mirrored: false,
        entered_here: false,
        loose_since: None,
    }
}

pub(super) fn image(layers: impl IntoIterator<Item = (Digest, u64)>) -> Arc<Manifest> {
    let describe = |(digest, size): (Digest, u64)| {
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        serde_json::json!({ "mediaType": kind, "digest": digest.to_string(), "size": size })
    };
    let layers: Vec<_> = layers.into_iter().map(describe).collect();
    let config = serde_json::json!({
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest("config").to_string(), "size": 2
    });
    let body = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "config": config, "layers": layers
    });
    let bytes = Bytes::from(serde_json::to_vec(&body).unwrap());
    Arc::new(Manifest::parse(bytes, None, Algorithm::Sha256).unwrap())
}

pub(super) fn put(name: &str, manifest: &Arc<Manifest>, tagged: Option<&str>) -> PutManifest {
    PutManifest {
        repo: repo(name),
        mirror: Some(MIRROR.to_owned()),
        manifest: Arc::clone(manifest),
        tag: tagged.map(|name| (tag(name), row(0).checked_at)),
    }
}

#[tokio::test]
async fn every_fact_survives_a_reopen() {
    let (dir, index) = fresh();
    let (name, layer) = (repo("docker.io/library/alpine"), digest("layer"));
    let manifest = image([(layer, 5)]);
    let tagged = put(name.as_str(), &manifest, Some("latest"));
    index.put_manifest(tagged).await.unwrap();
    let v1 = tag("v1");
    index.put_tag(&name, Some(MIRROR), &v1, row(3)).await.unwrap();
    let landing = landing(1, layer, 5, name.as_str());
    let stored = landing.blob;
    index.land(landing).await.unwrap();
    let store_id = index.0.store_id.clone();
    index.close().await.unwrap();
    let log = dir.path().join("index/index.sqlite3-wal");
    assert!(!log.exists(), "the log is emptied");

    let index = open(&dir);
    assert_eq!(index.0.store_id, store_id);
    let seen = index.sight(&name, &layer).await.unwrap();
    let link = seen.link.unwrap();
    assert_eq!((link.proven, link.size), (true, Some(5)));
    assert!(seen.entered_here && !seen.manifest);
    assert_eq!(seen.blob, Some(stored));
    assert_eq!(index.blob(&layer).await.unwrap(), Some(stored));
    let kept = index.manifest(&manifest.digest()).await.unwrap().unwrap();
    assert_eq!(&kept.bytes, manifest.bytes());
    assert_eq!(&kept.media_type, manifest.media_type());
    let latest = index.tag(&name, &tag("latest")).await.unwrap().unwrap();
    assert_eq!(latest.digest, manifest.digest());
    assert_eq!(index.tag(&name, &v1).await.unwrap(), Some(row(3)));
}

#[tokio::test]
async fn a_partial_survives_a_reopen() {
    let (dir, index) = fresh();
    let (remote, layer): (RemoteName, _) = ("library/alpine".parse().unwrap(), digest("layer"));
    let mut partial = index.partial(MIRROR, &remote, &layer).await.unwrap();
    index.note_progress(partial.id, Some(10), vec![1, 2]);
    index.close().await.unwrap();

    let index = open(&dir);
    (partial.length, partial.pieces) = (Some(10), vec![1, 2]);
    assert_eq!(index.partials().await.unwrap(), [(partial.id, layer)]);
    assert_eq!(index.partial(MIRROR, &remote, &layer).await.unwrap(), partial);
}

#[tokio::test]
async fn a_warm_answer_needs_neither_a_connection_nor_a_thread() {
    let (_dir, index) = fresh();
    let (name, layer) = ("docker.io/a", digest("layer"));
    let manifest = image([(layer, 5)]);
    index.put_manifest(put(name, &manifest, Some("latest"))).await.unwrap();
    let ask = async || {
        let seen = index.sight(&repo(name), &layer).await?;
        let pointed = index.tag(&repo(name), &tag("latest")).await?;
        Ok::<_, Error>((
            seen,
            pointed,
            index.blob(&layer).await?,
            index.manifest(&manifest.digest()).await?,
        ))
    };
    let cold = ask().await.unwrap();
    index.0.readers.close();
    assert_eq!(ask().await.unwrap(), cold);

    index.land(landing(1, layer, 5, name)).await.unwrap();
    assert!(
        matches!(ask().await, Err(Error::Closed { .. })),
        "a changed fact is read again"
    );
}
