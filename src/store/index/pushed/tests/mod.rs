mod accept;
mod delete;
mod mount;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::oci::{Algorithm, Digest, Manifest, MediaType, Reference};
use crate::store::UploadId;
use crate::store::index::Index;
use crate::store::index::pushed::facts::{Conditions, PushManifest, Pushed};
use crate::store::index::tests::{beside, digest, fresh, image, pushed, repo, tag};

const APP: &str = "team/app";
const OTHER: &str = "team/other";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Uploads a blob of 5 bytes, which nobody looks at here.
async fn upload(index: &Index, name: &str, of: &str, second: i64) -> Digest {
    let landing = pushed(UploadId::new(), digest(of), name, at(second));
    index.land(landing).await.unwrap();
    digest(of)
}

/// An image with these layers, and the config that all images here have.
fn layers(of: &[&str]) -> Arc<Manifest> {
    image(of.iter().map(|of| (digest(of), 5)))
}

fn index_of(children: &[Digest]) -> Arc<Manifest> {
    let describe = |digest: &Digest| json!({ "mediaType": MediaType::OCI_MANIFEST.as_str(), "digest": digest.to_string(), "size": 5 });
    let children: Vec<Value> = children.iter().map(describe).collect();
    parsed(&json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(), "manifests": children }))
}

fn parsed(body: &Value) -> Arc<Manifest> {
    Arc::new(Manifest::parse(Bytes::from(body.to_string()), None, Algorithm::Sha256).unwrap())
}

fn push(name: &str, manifest: &Arc<Manifest>, reference: &str) -> PushManifest {
    let reference = match reference {
        "" => Reference::Digest(manifest.digest()),
        name => Reference::Tag(tag(name)),
    };
    PushManifest {
        repo: repo(name),
        manifest: Arc::clone(manifest),
        about: manifest.about().unwrap(),
        reference,
        tags: Vec::new(),
        conditions: Conditions::default(),
        allow_missing: false,
        now: at(1000),
    }
}

/// Uploads config and layers, and pushes the image of them; without a tag where that is empty.
async fn push_image(index: &Index, name: &str, of: &[&str], reference: &str) -> Arc<Manifest> {
    for of in of.iter().chain(&["config"]) {
        upload(index, name, of, 100).await;
    }
    let manifest = layers(of);
    let pushed = index.push_manifest(push(name, &manifest, reference)).await.unwrap();
    assert_eq!(pushed, Pushed::Done);
    manifest
}

async fn has(index: &Index, name: &str, digest: &Digest) -> bool {
    index.pushed(&repo(name), digest).await.unwrap().is_some()
}

async fn pointed(index: &Index, name: &str, of: &str) -> Option<Digest> {
    let row = index.tag(&repo(name), &tag(of)).await.unwrap();
    row.map(|row| row.digest)
}

/// Since when the blob is loose, in seconds.
async fn loose(index: &Index, name: &str, of: &str) -> Option<i64> {
    let sight = index.sight(&repo(name), &digest(of)).await.unwrap();
    sight.loose_since.map(Timestamp::as_second)
}

/// How many rows there are, read from outside.
fn count(dir: &TempDir, from: &str) -> i64 {
    let read = format!("SELECT count(*) FROM {from}");
    beside(dir).query_row(&read, [], |row| row.get(0)).unwrap()
}
