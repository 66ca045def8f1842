//! A store and what should be in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;

use super::model::{Act, BLOBS, GRACE, Kind, Model, REPOS, images_of};
use crate::oci::{Algorithm, Digest, Manifest, MediaType, Reference, RepoKey};
use crate::store::tests::{Dir, content};
use crate::store::{Conditions, Deleted, Gone, PushManifest, Pushed, Store};

fn said(deleted: Deleted) -> &'static str {
    match deleted {
        Deleted::Done => "done",
        Deleted::Absent => "absent",
        Deleted::Named { .. } => "named",
    }
}

pub(super) fn repo(number: usize) -> RepoKey {
    format!("team/r{number}").parse().unwrap()
}

pub(super) fn blob(number: usize) -> (Vec<u8>, Digest) {
    content(10 + number)
}

pub(super) fn manifest(kind: Kind) -> Arc<Manifest> {
    let describe = |media_type: &MediaType, digest: Digest| json!({ "mediaType": media_type.as_str(), "digest": digest.to_string(), "size": 1 });
    let body = match kind {
        Kind::Image(blobs) => {
            let layers = (0..BLOBS).filter(|n| blobs >> n & 1 == 1);
            let layers: Vec<_> = layers.map(|n| describe(&MediaType::OCTET_STREAM, blob(n).1)).collect();
            json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "layers": layers })
        }
        Kind::Index(images) => {
            let images = images_of(images).map(|image| describe(&MediaType::OCI_MANIFEST, manifest(image).digest()));
            json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(), "manifests": images.collect::<Vec<_>>() })
        }
    };
    Arc::new(Manifest::parse(Bytes::from(body.to_string()), None, Algorithm::Sha256).unwrap())
}

/// A store and what should be in it.
pub(super) struct Harbour {
    pub(super) dir: Dir,
    pub(super) store: Store,
    models: Vec<Model>,
    pub(super) second: i64,
}

impl Harbour {
    pub(super) async fn new() -> Self {
        let dir = Dir::new();
        let store = dir.open().await;
        let models = vec![Model::default(); REPOS];
        Self {
            dir,
            store,
            models,
            second: 1000,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.second).unwrap()
    }

    pub(super) async fn act(&mut self, act: &Act) {
        let now = self.now();
        match *act {
            Act::Push(r, b) => {
                self.push(r, b).await;
                self.models[r].link(b, self.second);
            }
            Act::Mount(from, to, b) => {
                let done = self.store.mount(&blob(b).1, &repo(from), &repo(to), now).await.unwrap();
                assert_eq!(done, self.models[from].links.contains_key(&b));
                if done {
                    self.models[to].link(b, self.second);
                }
            }
            Act::Look(r, b) => {
                let loose = self.store.refresh(&repo(r), &blob(b).1, now).await.unwrap();
                let model = &mut self.models[r];
                assert_eq!(loose, model.links.contains_key(&b) && !model.names(b));
                if loose {
                    model.link(b, self.second);
                }
            }
            Act::PushManifest(r, kind, tagged) => {
                let pushed = self.store.push_manifest(self.put(r, kind, tagged)).await.unwrap();
                assert_eq!(pushed == Pushed::Done, self.models[r].push(kind));
            }
            Act::DeleteManifest(r, kind) => {
                let deleted = self
                    .store
                    .delete_manifest(&repo(r), &manifest(kind).digest(), now)
                    .await
                    .unwrap();
                assert_eq!(said(deleted), self.models[r].delete(kind, self.second));
            }
            Act::DeleteTag(r) => {
                self.store
                    .delete_tag(&repo(r), &"latest".parse().unwrap())
                    .await
                    .unwrap();
            }
            Act::DeleteBlob(r, b) => {
                let deleted = self.store.delete_blob(&repo(r), &blob(b).1).await.unwrap();
                assert_eq!(said(deleted), self.models[r].delete_blob(b));
            }
            Act::Pass(seconds) => self.second += seconds,
            Act::Collect => self.collect().await,
            Act::Restart(clean) => self.restart(clean).await,
        }
    }

    pub(super) async fn push(&self, r: usize, b: usize) {
        let (bytes, digest) = blob(b);
        let (repo, now) = (repo(r), self.now());
        let begun = self.store.begin_upload(&repo, "anonymous", Algorithm::Sha256, now);
        let (_, mut upload) = begun.await.unwrap();
        upload.append(&[bytes.into()]).unwrap();
        let received = upload.verify(&digest).await.unwrap();
        self.store.commit_upload(received, &repo, now).await.unwrap();
    }

    pub(super) fn put(&self, r: usize, kind: Kind, tagged: bool) -> PushManifest {
        let manifest = manifest(kind);
        let digest = Reference::Digest(manifest.digest());
        PushManifest {
            repo: repo(r),
            about: None,
            reference: if tagged { "latest".parse().unwrap() } else { digest },
            tags: Vec::new(),
            conditions: Conditions::default(),
            allow_missing: false,
            now: self.now(),
            manifest,
        }
    }

    pub(super) async fn collect(&mut self) {
        let (before, grace) = (self.kept(), Duration::from_secs(GRACE.unsigned_abs()));
        let (to, mut told) = mpsc::channel(BLOBS);
        self.store.collectable(self.now(), grace, to).await.unwrap();
        let mut foretold = Vec::new();
        told.recv_many(&mut foretold, BLOBS).await;
        let (to, mut told) = mpsc::channel(BLOBS);
        self.store.collect_telling(self.now(), grace, &to).await.unwrap();
        drop(to);
        let mut freed = Vec::new();
        told.recv_many(&mut freed, BLOBS).await;
        freed.sort_unstable();
        foretold.sort_unstable();
        assert_eq!(freed, foretold);
        for model in &mut self.models {
            let staying = model.clone();
            model.links.retain(|b, _| !staying.may_go(*b, self.second));
        }
        let gone: Vec<&usize> = before.iter().filter(|b| !self.kept().contains(b)).collect();
        let gone = gone.into_iter().map(|b| blob(*b));
        let mut gone: Vec<_> = gone
            .map(|(bytes, digest)| Gone {
                digest,
                size: bytes.len() as u64,
            })
            .collect();
        gone.sort_unstable();
        assert_eq!(freed, gone);
    }

    async fn restart(&mut self, clean: bool) {
        if clean {
            self.store.close().await.unwrap();
        }
        // The old one lets go of its lock first.
        let elsewhere = Dir::new();
        self.store = elsewhere.open().await;
        self.store = self.dir.open().await;
    }

    /// Blobs that some repository has.
    fn kept(&self) -> BTreeSet<usize> {
        self.models
            .iter()
            .flat_map(|model| model.links.keys().copied())
            .collect()
    }

    pub(super) async fn check(&self) {
        for (r, model) in self.models.iter().enumerate() {
            for b in 0..BLOBS {
                let sight = self.store.sight(&repo(r), &blob(b).1).await.unwrap();
                let has = sight.visible() && sight.blob.is_some();
                assert_eq!(has, model.links.contains_key(&b), "blob {b} in {r}");
                assert!(has || !model.names(b), "an accepted manifest lacks a blob");
            }
            for kind in &model.manifests {
                let there = self.store.pushed(&repo(r), &manifest(*kind).digest()).await.unwrap();
                assert!(there.is_some(), "{kind:?} in {r}");
            }
        }
        let files: BTreeSet<usize> = (0..BLOBS).filter(|b| self.dir.blob(&blob(*b).1).exists()).collect();
        assert_eq!(files, self.kept(), "the files");
    }
}
