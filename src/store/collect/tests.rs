//! Random histories of pushes, mounts, deletions, moved tags and collections, against a model of what may go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::Mutex;

use super::*;
use crate::oci::{Algorithm, Manifest, MediaType, Reference, RepoKey};
use crate::store::tests::{Dir, content};
use crate::store::{Conditions, Deleted, PushManifest, Pushed};

const GRACE: i64 = 10;
const REPOS: usize = 2;
const BLOBS: usize = 3;

/// What a manifest names: blobs (an image), or images (an index), a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Image(u8),
    Index(u8),
}

#[derive(Debug, Clone)]
enum Act {
    Push(usize, usize),
    Mount(usize, usize, usize),
    Look(usize, usize),
    PushManifest(usize, Kind, bool),
    DeleteManifest(usize, Kind),
    DeleteTag(usize),
    DeleteBlob(usize, usize),
    Pass(i64),
    Collect,
    Restart(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let (repo, blob) = (|| 0..REPOS, || 0..BLOBS);
    let kind = || prop_oneof![3 => (1..8_u8).prop_map(Kind::Image), 1 => (1..8_u8).prop_map(Kind::Index)];
    prop_oneof![
        6 => (repo(), blob()).prop_map(|(repo, blob)| Act::Push(repo, blob)),
        3 => (repo(), repo(), blob()).prop_map(|(from, to, blob)| Act::Mount(from, to, blob)),
        2 => (repo(), blob()).prop_map(|(repo, blob)| Act::Look(repo, blob)),
        6 => (repo(), kind(), any::<bool>()).prop_map(|(repo, kind, tagged)| Act::PushManifest(repo, kind, tagged)),
        4 => (repo(), kind()).prop_map(|(repo, kind)| Act::DeleteManifest(repo, kind)),
        1 => repo().prop_map(Act::DeleteTag),
        2 => (repo(), blob()).prop_map(|(repo, blob)| Act::DeleteBlob(repo, blob)),
        6 => (1..8_i64).prop_map(Act::Pass),
        6 => Just(Act::Collect),
        1 => any::<bool>().prop_map(Act::Restart),
    ]
}

/// What a repository should hold.
#[derive(Debug, Default, Clone)]
struct Model {
    /// Blobs, and since when they are loose; that counts only where no manifest names them.
    links: BTreeMap<usize, i64>,
    manifests: BTreeSet<Kind>,
}

impl Model {
    fn names(&self, blob: usize) -> bool {
        let image = |kind: &Kind| matches!(kind, Kind::Image(blobs) if blobs >> blob & 1 == 1);
        self.manifests.iter().any(image)
    }

    fn may_go(&self, blob: usize, now: i64) -> bool {
        !self.names(blob) && self.links.get(&blob).is_some_and(|since| since + GRACE <= now)
    }

    fn link(&mut self, blob: usize, now: i64) {
        self.links.insert(blob, now);
    }

    fn push(&mut self, kind: Kind) -> bool {
        let there = match kind {
            Kind::Image(blobs) => (0..BLOBS).all(|blob| blobs >> blob & 1 == 0 || self.links.contains_key(&blob)),
            Kind::Index(images) => images_of(images).all(|image| self.manifests.contains(&image)),
        };
        if there {
            self.manifests.insert(kind);
        }
        there
    }

    fn delete(&mut self, kind: Kind, now: i64) -> &'static str {
        let names = |by: &Kind| matches!(by, Kind::Index(images) if images_of(*images).any(|image| image == kind));
        if !self.manifests.contains(&kind) {
            return "absent";
        }
        if self.manifests.iter().any(names) {
            return "named";
        }
        let before: Vec<usize> = (0..BLOBS).filter(|blob| self.names(*blob)).collect();
        self.manifests.remove(&kind);
        for blob in before {
            if !self.names(blob) {
                self.links.insert(blob, now);
            }
        }
        "done"
    }

    fn delete_blob(&mut self, blob: usize) -> &'static str {
        if !self.links.contains_key(&blob) {
            "absent"
        } else if self.names(blob) {
            "named"
        } else {
            self.links.remove(&blob);
            "done"
        }
    }
}

/// Bit n of an index stands for the image of blob n and blob 0.
fn images_of(images: u8) -> impl Iterator<Item = Kind> {
    (0..BLOBS)
        .filter(move |n| images >> n & 1 == 1)
        .map(|n| Kind::Image(1 << n | 1))
}

fn said(deleted: Deleted) -> &'static str {
    match deleted {
        Deleted::Done => "done",
        Deleted::Absent => "absent",
        Deleted::Named { .. } => "named",
    }
}

fn repo(number: usize) -> RepoKey {
    format!("team/r{number}").parse().unwrap()
}

fn blob(number: usize) -> (Vec<u8>, Digest) {
    content(10 + number)
}

fn manifest(kind: Kind) -> Arc<Manifest> {
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
struct Harbour {
    dir: Dir,
    store: Store,
    models: Vec<Model>,
    second: i64,
}

impl Harbour {
    async fn new() -> Self {
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

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.second).unwrap()
    }

    async fn act(&mut self, act: &Act) {
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

    async fn push(&self, r: usize, b: usize) {
        let (bytes, digest) = blob(b);
        let (repo, now) = (repo(r), self.now());
        let begun = self.store.begin_upload(&repo, "anonymous", Algorithm::Sha256, now);
        let (_, mut upload) = begun.await.unwrap();
        upload.append(&[bytes.into()]).unwrap();
        let received = upload.verify(&digest).await.unwrap();
        self.store.commit_upload(received, &repo, now).await.unwrap();
    }

    fn put(&self, r: usize, kind: Kind, tagged: bool) -> PushManifest {
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

    async fn collect(&mut self) {
        let before = self.kept();
        let freed = self
            .store
            .collect(self.now(), Duration::from_secs(GRACE.unsigned_abs()))
            .await
            .unwrap();
        for model in &mut self.models {
            let staying = model.clone();
            model.links.retain(|b, _| !staying.may_go(*b, self.second));
        }
        let gone: Vec<&usize> = before.iter().filter(|b| !self.kept().contains(b)).collect();
        let bytes: usize = gone.iter().map(|b| blob(**b).0.len()).sum();
        assert_eq!((freed.blobs, freed.bytes), (gone.len(), bytes as u64));
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

    async fn check(&self) {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_is_reachable_stays_and_what_is_not_goes_after_the_grace(acts in prop::collection::vec(act(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut harbour = Harbour::new().await;
            for act in &acts {
                harbour.act(act).await;
                harbour.check().await;
            }
            harbour.second += GRACE;
            harbour.collect().await;
            harbour.check().await;
            assert!(harbour.dir.files("trash").is_empty());
        });
    }
}

#[tokio::test]
async fn more_than_one_step_is_done_at_once_and_a_closing_wharf_begins_none() {
    let dir = Dir::new();
    let store = dir.open().await;
    let harbour = Harbour {
        dir,
        store,
        models: vec![],
        second: 1000,
    };
    for number in 0..=STEP {
        harbour.push(0, number).await;
    }
    let grace = Duration::ZERO;
    assert_eq!(
        harbour
            .store
            .collect(harbour.now(), Duration::from_secs(1))
            .await
            .unwrap(),
        Freed::default()
    );
    let freed = harbour.store.collect(harbour.now(), grace).await.unwrap();
    assert_eq!(freed.blobs, STEP + 1);
    assert!(harbour.dir.files("blobs/sha256").is_empty());

    harbour.push(0, 0).await;
    harbour.store.tasks.close(Duration::from_mins(1)).await;
    assert_eq!(
        harbour.store.collect(harbour.now(), grace).await.unwrap(),
        Freed::default()
    );
}

#[tokio::test]
async fn the_next_look_is_when_the_oldest_is_due() {
    let dir = Dir::new();
    let store = dir.open().await;
    let mut harbour = Harbour {
        dir,
        store,
        models: vec![],
        second: 1000,
    };
    let hour = Duration::from_hours(1);
    let look = async |harbour: &Harbour| harbour.store.collect_if_due(harbour.now(), hour).await.unwrap();
    assert_eq!(look(&harbour).await, hour, "nothing is loose");
    harbour.push(0, 0).await;
    harbour.second += 600;
    harbour.push(0, 1).await;
    assert_eq!(look(&harbour).await, Duration::from_mins(50));
    harbour.second += 3000;
    assert_eq!(
        look(&harbour).await,
        Duration::from_mins(10),
        "the first is gone, the second is not due"
    );
    assert!(!harbour.dir.blob(&blob(0).1).exists() && harbour.dir.blob(&blob(1).1).exists());
    harbour.second -= 3000;
    assert_eq!(look(&harbour).await, hour, "the clock was set back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_is_accepted_beside_a_collection_has_its_blobs() {
    let dir = Dir::new();
    let store = dir.open().await;
    let harbour = Harbour {
        dir,
        store,
        models: vec![],
        second: 1000,
    };
    let (store, now) = (harbour.store.clone(), harbour.now());
    let turn = Arc::new(Mutex::new(()));
    let turns = Arc::clone(&turn);
    let collecting = harbour.store.tasks.spawn(async move {
        let closing = store.tasks.closing();
        while !closing.is_cancelled() {
            let _turn = turns.lock().await;
            store.collect(now, Duration::ZERO).await.unwrap();
        }
    });
    let image = Kind::Image(1);
    let mut accepted = 0;
    for round in 0..100 {
        // A collection that is always under way may win every time.
        let _alone = if round % 4 == 0 { Some(turn.lock().await) } else { None };
        harbour.push(0, 0).await;
        let put = harbour.put(0, image, true);
        if harbour.store.push_manifest(put).await.unwrap() != Pushed::Done {
            continue;
        }
        accepted += 1;
        let sight = harbour.store.sight(&repo(0), &blob(0).1).await.unwrap();
        assert!(sight.visible());
        assert!(
            harbour
                .store
                .open_blob(&blob(0).1, &sight.blob.unwrap())
                .await
                .unwrap()
                .is_some()
        );
        assert!(harbour.dir.blob(&blob(0).1).exists());
        let deleted = harbour
            .store
            .delete_manifest(&repo(0), &manifest(image).digest(), now)
            .await;
        assert_eq!(deleted.unwrap(), Deleted::Done);
    }
    assert!(accepted > 0);
    harbour.store.tasks.close(Duration::from_mins(1)).await;
    collecting.await.unwrap();
}
