//! The store under test, and what its users have in hand.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use jiff::Timestamp;

use super::Step;
use super::model::{MAX, Model, blob, half, manifest, repository, takes};
use crate::oci::{Algorithm, Pin, Reference, RepoKey, Tag};
use crate::store::tests::{Dir, MIRROR, remote};
use crate::store::{
    Blob, Conditions, Config, Deleted, Error, PushManifest, Pushed, PutManifest, Size, Staged, Store, Upload, UploadId,
};
use crate::tasks::Tasks;

/// How long what nobody names stays; every look at the clock is much later.
const GRACE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_hours(1);
/// Far above anything that recovery needs.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) dir: Dir,
    pub(super) store: Store,
    tasks: Tasks,
    now: Timestamp,
    pub(super) model: Model,
    pub(super) hands: Hands,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Hands {
    pub(super) fetch: Option<(usize, Staged)>,
    pub(super) reading: Option<(usize, Blob)>,
    /// With the bytes that they take on the disk.
    pub(super) uploads: Vec<(UploadId, u64)>,
}

pub(super) fn mirrored() -> RepoKey {
    RepoKey::mirrored(MIRROR, &remote())
}

async fn open(dir: &Dir) -> (Store, Tasks) {
    let config = Config {
        max_size: Size::Bytes(MAX),
        min_free: Size::Bytes(0),
        ..dir.config()
    };
    let tasks = Tasks::new();
    (Store::open(&config, tasks.clone()).await.unwrap(), tasks)
}

impl World {
    pub(super) async fn lives(steps: Vec<Step>) {
        let dir = Dir::new();
        let (store, tasks) = open(&dir).await;
        let mut world = Self {
            dir,
            store,
            tasks,
            now: Timestamp::UNIX_EPOCH,
            model: Model::default(),
            hands: Hands::default(),
        };
        for step in steps.into_iter().chain([Step::Crash, Step::Restart]) {
            let before = world.stock().await;
            world = world.step(&step).await;
            world.check(&before, &step).await;
        }
    }

    async fn step(mut self, step: &Step) -> Self {
        self.now += STEP;
        if matches!(step, Step::Restart | Step::Crash) {
            return self.ends(matches!(step, Step::Restart)).await;
        }
        if let Step::Leave(n, looks) = step {
            self.cut(&Step::Pull(*n), *looks).await;
        } else if let Step::CrashIn(step, looks) = step {
            self.cut(step, *looks).await;
            self = self.ends(false).await;
            self.settle(step).await;
        } else {
            self.does(step).await;
        }
        self
    }

    /// Looks at a step so many times, and then no more.
    async fn cut(&mut self, step: &Step, looks: u8) {
        let told = self.model.hosted.clone();
        {
            let mut doing = pin!(self.does(step));
            for _ in 0..looks {
                if poll!(&mut doing).is_ready() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        self.model.hosted = told;
        for n in 0..super::BLOBS {
            self.model.may_pull(n);
        }
    }

    /// The process ends, in good order or not, and another one begins.
    async fn ends(mut self, in_order: bool) -> Self {
        // The bytes that are on the disk stay a partial; nobody holds what was open.
        let uploads = std::mem::take(&mut self.hands).uploads;
        assert!(self.tasks.close(PATIENCE).await);
        if in_order {
            self.store.close().await.unwrap();
        }
        let Self {
            dir, store, model, now, ..
        } = self;
        drop(store);
        let (store, tasks) = open(&dir).await;
        Self {
            dir,
            store,
            tasks,
            now,
            model,
            hands: Hands {
                uploads,
                ..Hands::default()
            },
        }
    }

    async fn does(&mut self, step: &Step) {
        match *step {
            Step::Pull(n) => self.pull(n).await,
            Step::PullManifest(n, m) => self.pull_manifest(n, m).await,
            Step::Half(n) => drop(self.fetch(n).await),
            Step::Fetch(n) => {
                if self.hands.fetch.is_none() {
                    self.hands.fetch = self.fetch(n).await.map(|staged| (n, staged));
                }
            }
            Step::Land => {
                if let Some((n, staged)) = self.hands.fetch.take() {
                    self.land(n, staged).await;
                }
            }
            Step::Open(n) => self.hands.reading = self.reads(n).await.map(|blob| (n, blob)),
            Step::Close => self.hands.reading = None,
            Step::Push(r, n) => self.push(r, n).await,
            Step::Upload(r, n) => self.upload(r, n).await,
            Step::Cancel => {
                if let Some((id, _)) = self.hands.uploads.pop() {
                    assert!(self.store.cancel_upload(&id).await.unwrap());
                }
            }
            Step::MountCached(r, n) => self.mount(r, n, &mirrored()).await,
            Step::Mount(r, n) => self.mount(r, n, &repository(1 - r)).await,
            Step::Tag(r, n, m) => self.tag(r, n, m).await,
            Step::Untag(r) => self.untag(r).await,
            Step::DeleteManifest(r) => self.delete_manifest(r).await,
            Step::DeleteBlob(r, n) => self.delete_blob(r, n).await,
            Step::Collect => self.collect().await,
            Step::Pin(n) => {
                self.model.once_pinned.insert(n);
                self.store.add_pin(&pin(n), self.now).await.unwrap();
                self.model.pinned.insert(n);
            }
            Step::Unpin(n) => {
                self.model.pinned.remove(&n);
                self.store.remove_pin(&pin(n)).await.unwrap();
            }
            Step::Restart | Step::Crash | Step::Leave(..) | Step::CrashIn(..) => {}
        }
    }

    /// The mirror's blob, if it is kept; that is a pull.
    async fn reads(&mut self, n: usize) -> Option<Blob> {
        let digest = blob(n).1;
        let sight = self.store.sight(&mirrored(), &digest).await.unwrap();
        let row = sight.blob.filter(|_| sight.visible())?;
        let blob = self.store.open_blob(&digest, &row).await.unwrap();
        self.model.pulls(n);
        blob
    }

    async fn pull(&mut self, n: usize) {
        if self.reads(n).await.is_some() {
            return;
        }
        if let Some(staged) = self.fetch(n).await {
            self.land(n, staged).await;
        }
    }

    /// Half of a blob, unless somebody fetches it already or there is no room.
    async fn fetch(&mut self, n: usize) -> Option<Staged> {
        if self.hands.fetch.as_ref().is_some_and(|(fetched, _)| *fetched == n) {
            return None;
        }
        let (bytes, digest) = blob(n);
        let cannot_go = self.cannot_go().await;
        let staged = match self
            .store
            .stage(MIRROR, &remote(), &digest, Some(bytes.len() as u64))
            .await
        {
            Ok(staged) => staged,
            Err(Error::NoRoom { .. }) => {
                assert!(
                    takes(n) + cannot_go > MAX,
                    "there is room for {n} besides {cannot_go} bytes"
                );
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let (from, to) = (staged.arriving().present().0, half(n));
        let from = usize::try_from(from).unwrap();
        if from < to {
            staged.write(from as u64, vec![bytes.slice(from..to)]).await.unwrap();
        }
        Some(staged)
    }

    async fn land(&mut self, n: usize, staged: Staged) {
        let (bytes, _) = blob(n);
        let from = staged.arriving().present().0;
        let rest = bytes.slice(usize::try_from(from).unwrap()..);
        if !rest.is_empty() {
            staged.write(from, vec![rest]).await.unwrap();
        }
        let verified = staged.verify().await.unwrap();
        drop(self.store.commit(verified, MIRROR, &mirrored()).await.unwrap());
        self.model.pulls(n);
    }

    async fn pull_manifest(&mut self, n: usize, m: usize) {
        let manifest = Arc::new(manifest(n, m));
        let digest = manifest.digest();
        let put = PutManifest {
            repo: mirrored(),
            mirror: Some(MIRROR.to_owned()),
            manifest,
            tag: None,
        };
        self.store.put_manifest(put).await.unwrap();
        self.store.manifest(&digest).await.unwrap().unwrap();
        // Both at once: it is not told which one goes first.
        self.model.may_pull(n);
        self.model.pulls(m);
    }

    async fn push(&mut self, r: usize, n: usize) {
        let (bytes, digest) = blob(n);
        let (_, mut upload) = self.begin(r).await;
        upload.append(&[bytes]).unwrap();
        let (received, repo) = (upload.verify(&digest).await.unwrap(), repository(r));
        self.store.commit_upload(received, &repo, self.now).await.unwrap();
        self.model.pulls(n);
        self.model.hosted[r].blobs.insert(n);
    }

    async fn upload(&mut self, r: usize, n: usize) {
        let (id, mut upload) = self.begin(r).await;
        self.hands.uploads.push((id, takes(n)));
        upload.append(&[blob(n).0.slice(..half(n))]).unwrap();
    }

    async fn begin(&self, r: usize) -> (UploadId, Upload) {
        let (repo, now) = (repository(r), self.now);
        let begun = self.store.begin_upload(&repo, "anonymous", Algorithm::Sha256, now);
        let (row, upload) = begun.await.unwrap();
        (row.id, upload)
    }

    async fn mount(&mut self, r: usize, n: usize, from: &RepoKey) {
        let sight = self.store.sight(from, &blob(n).1).await.unwrap();
        let has = sight.blob.is_some() && sight.visible();
        let mounted = self
            .store
            .mount(&blob(n).1, from, &repository(r), self.now)
            .await
            .unwrap();
        assert_eq!(mounted, has, "{n} of {from}");
        if mounted {
            self.model.hosted[r].blobs.insert(n);
        }
    }

    async fn tag(&mut self, r: usize, n: usize, m: usize) {
        let manifest = Arc::new(manifest(n, m));
        let push = PushManifest {
            repo: repository(r),
            reference: Reference::Tag(latest()),
            about: manifest.about().unwrap(),
            manifest,
            tags: Vec::new(),
            conditions: Conditions::default(),
            allow_missing: false,
            now: self.now,
        };
        let pushed = self.store.push_manifest(push).await.unwrap();
        let hosted = &mut self.model.hosted[r];
        let whole = hosted.blobs.contains(&n) && hosted.blobs.contains(&m);
        assert_eq!(pushed == Pushed::Done, whole, "{pushed:?}");
        if whole {
            hosted.manifests.insert((n, m));
            hosted.tagged = Some((n, m));
        }
    }

    async fn untag(&mut self, r: usize) {
        let deleted = self.store.delete_tag(&repository(r), &latest()).await.unwrap();
        let was = self.model.hosted[r].tagged.take();
        assert_eq!(deleted == Deleted::Done, was.is_some());
    }

    async fn delete_manifest(&mut self, r: usize) {
        let Some((n, m)) = self.model.hosted[r].manifests.first().copied() else {
            return;
        };
        let digest = manifest(n, m).digest();
        let deleted = self.store.delete_manifest(&repository(r), &digest, self.now).await;
        assert_eq!(deleted.unwrap(), Deleted::Done);
        let hosted = &mut self.model.hosted[r];
        hosted.manifests.remove(&(n, m));
        hosted.tagged = hosted.tagged.filter(|tagged| *tagged != (n, m));
    }

    async fn delete_blob(&mut self, r: usize, n: usize) {
        let deleted = self.store.delete_blob(&repository(r), &blob(n).1).await.unwrap();
        let hosted = &mut self.model.hosted[r];
        match deleted {
            Deleted::Done => assert!(hosted.blobs.remove(&n) && !hosted.names(n)),
            Deleted::Absent => assert!(!hosted.blobs.contains(&n)),
            Deleted::Named { .. } => assert!(hosted.names(n)),
        }
    }

    async fn collect(&mut self) {
        self.store.collect(self.now, GRACE).await.unwrap();
        for hosted in &mut self.model.hosted {
            let named = hosted.clone();
            hosted.blobs.retain(|n| named.names(*n));
        }
    }
}

fn pin(n: usize) -> Pin {
    format!("{MIRROR}/a@{}", blob(n).1).parse().unwrap()
}

pub(super) fn latest() -> Tag {
    "latest".parse().unwrap()
}
