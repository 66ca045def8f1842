use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::*;
use crate::clock::Clock;
use crate::oci::{Algorithm, Manifest, MediaType};
use crate::store::{Conditions, Config, Deleted, PushManifest, Pushed, Store};
use crate::tasks::Tasks;
use crate::upstream::{self, Client};

const GRACE: Duration = Duration::from_secs(100);

struct Harbour {
    _dir: tempfile::TempDir,
    store: Store,
    clock: Clock,
    pull: Pull,
}

async fn harbour() -> Harbour {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, clock) = (Tasks::new(), Clock::manual(Timestamp::UNIX_EPOCH));
    let config = Config {
        path: dir.path().into(),
        ..Config::default()
    };
    let store = Store::open(&config, tasks.clone()).await.unwrap();
    let client = Client::new(&upstream::Config::default(), tasks.clone(), clock.clone());
    let pull = Pull::new(store.clone(), client, clock.clone(), tasks, GRACE);
    Harbour {
        _dir: dir,
        store,
        clock,
        pull,
    }
}

fn app() -> RepoKey {
    "team/app".parse().unwrap()
}

fn tag() -> Tag {
    "v1".parse().unwrap()
}

/// An index that names nothing but differs in `n`.
fn manifest(n: u32) -> Arc<Manifest> {
    let body = format!(r#"{{"schemaVersion":2,"manifests":[],"n":{n}}}"#);
    Arc::new(Manifest::parse(Bytes::from(body), None, Algorithm::Sha256).unwrap())
}

impl Harbour {
    async fn upload(&self, content: &'static [u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let (repo, now) = (app(), self.clock.now());
        let begun = self.store.begin_upload(&repo, "anonymous", Algorithm::Sha256, now);
        let (_, mut upload) = begun.await.unwrap();
        upload.append(&[Bytes::from_static(content)]).unwrap();
        let received = upload.verify(&digest).await.unwrap();
        self.store.commit_upload(received, &repo, now).await.unwrap();
        digest
    }

    async fn push(&self, manifest: &Arc<Manifest>) {
        let push = PushManifest {
            repo: app(),
            manifest: Arc::clone(manifest),
            about: None,
            reference: Reference::Tag(tag()),
            tags: Vec::new(),
            conditions: Conditions::default(),
            allow_missing: false,
            now: self.clock.now(),
        };
        assert_eq!(self.store.push_manifest(push).await.unwrap(), Pushed::Done);
    }

    /// Since when the blob is loose, in seconds.
    async fn loose_since(&self, digest: &Digest) -> Option<i64> {
        let sight = self.store.sight(&app(), digest).await.unwrap();
        sight.loose_since.map(Timestamp::as_second)
    }
}

#[tokio::test]
async fn a_loose_blob_that_is_asked_for_has_its_grace_again_once_a_quarter_is_used_up() {
    let harbour = harbour().await;
    let digest = harbour.upload(b"layer").await;
    for (wait, expected) in [(0, 0), (25, 0), (1, 26), (25, 26), (1, 52)] {
        harbour.clock.advance(Duration::from_secs(wait));
        let blob = harbour.pull.hosted_blob(&app(), &digest).await.unwrap();
        assert_eq!(blob.length(), 5);
        assert_eq!(harbour.loose_since(&digest).await, Some(expected));
    }
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    harbour.pull.hosted_blob(&app(), &absent).await.unwrap_err();
    assert_eq!(harbour.loose_since(&absent).await, None);
}

#[tokio::test]
async fn what_is_not_there_is_told_from_where_there_is_nothing() {
    let harbour = harbour().await;
    let digest = Digest::of(Algorithm::Sha256, b"absent");
    let blob = async || harbour.pull.hosted_blob(&app(), &digest).await.unwrap_err();
    let by_tag = Reference::Tag(tag());
    let manifest_by = async |reference: &Reference| harbour.pull.hosted_manifest(&app(), reference).await.unwrap_err();
    assert!(matches!(blob().await, Error::NameUnknown(_)));
    assert!(matches!(manifest_by(&by_tag).await, Error::NameUnknown(_)));
    harbour.upload(b"layer").await;
    assert!(matches!(blob().await, Error::NoBlob { .. }));
    for reference in [by_tag, Reference::Digest(digest)] {
        assert!(matches!(manifest_by(&reference).await, Error::NoManifest { .. }));
    }
}

#[tokio::test]
async fn a_manifest_is_what_it_was_pushed_as_here() {
    let harbour = harbour().await;
    let index = manifest(1);
    harbour.push(&index).await;
    for reference in [Reference::Tag(tag()), Reference::Digest(index.digest())] {
        let answer = harbour.pull.hosted_manifest(&app(), &reference).await.unwrap();
        assert_eq!(answer.manifest.media_type, MediaType::OCI_INDEX);
        assert_eq!((&answer.manifest.bytes, answer.via), (index.bytes(), Via::Hit));
    }
}

/// The tag always has a manifest, but which one, and whether the one before is still there, changes all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tag_that_moves_while_it_is_read_is_never_absent() {
    let harbour = Arc::new(harbour().await);
    harbour.push(&manifest(0)).await;
    let done = Arc::new(AtomicBool::new(false));
    let read = || {
        let (pull, done) = (harbour.pull.clone(), Arc::clone(&done));
        harbour.pull.tasks.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                pull.hosted_manifest(&app(), &Reference::Tag(tag())).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let readers: Vec<_> = (0..8).map(|_| read()).collect();
    for n in 1..300 {
        harbour.push(&manifest(n)).await;
        let (before, now) = (manifest(n - 1).digest(), harbour.clock.now());
        let deleted = harbour.store.delete_manifest(&app(), &before, now).await.unwrap();
        assert_eq!(deleted, Deleted::Done);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}
