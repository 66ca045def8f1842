//! Holds a store to its model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Step;
use super::model::{BLOBS, MAX, REPOSITORIES, blob, manifest, repository, takes};
use super::world::{PATIENCE, World, latest};
use crate::oci::{Digest, RepoKey};
use crate::store::content::disk;

/// What is kept, and how much of the disk is taken.
#[derive(Debug)]
pub(super) struct Stock {
    kept: Vec<usize>,
    taken: u64,
}

impl World {
    pub(super) async fn stock(&self) -> Stock {
        let mut kept = Vec::new();
        for n in 0..BLOBS {
            if self.store.index.blob(&blob(n).1).await.unwrap().is_some() {
                kept.push(n);
            }
        }
        Stock {
            kept,
            taken: self.taken(),
        }
    }

    /// Bytes that cannot go now, and count.
    pub(super) async fn cannot_go(&self) -> u64 {
        let mut bytes: u64 = self.hands.uploads.iter().map(|(_, takes)| takes).sum();
        let fetched = self.hands.fetch.as_ref().map(|(n, _)| *n);
        bytes += fetched.map_or(0, takes);
        // What is fetched may have come another way meanwhile.
        let open: BTreeSet<_> = self.hands.reading.iter().map(|(n, _)| *n).chain(fetched).collect();
        for n in open.union(&self.model.once_pinned).copied() {
            // What is counted of the pinned is known late, too.
            let counts = !self.model.is_hosted(n) || self.model.once_pinned.contains(&n);
            if counts && self.store.index.blob(&blob(n).1).await.unwrap().is_some() {
                bytes += takes(n);
            }
        }
        bytes
    }

    pub(super) async fn check(&mut self, before: &Stock, step: &Step) {
        let after = self.stock().await;
        if matches!(
            step,
            Step::Pull(_) | Step::Half(_) | Step::Fetch(_) | Step::Land | Step::Leave(..)
        ) {
            assert!(
                after.taken <= before.taken.max(MAX),
                "{} bytes after {step:?}",
                after.taken
            );
            self.check_order(before, &after);
        }
        self.store.budget.make_room().await.unwrap();
        let settled = self.stock().await;
        self.check_order(&after, &settled);
        assert!(
            settled.taken <= MAX.max(self.cannot_go().await),
            "{} bytes after {step:?}",
            settled.taken
        );
        self.check_reading(&settled, step).await;
        for r in 0..REPOSITORIES {
            self.check_hosted(r).await;
        }
        self.check_books(step).await;
    }

    /// What cannot go counts as pulled when it should have.
    fn check_order(&mut self, before: &Stock, after: &Stock) {
        let open = [
            self.hands.reading.as_ref().map(|(n, _)| *n),
            self.hands.fetch.as_ref().map(|(n, _)| *n),
        ];
        for n in open.into_iter().flatten().chain(self.model.once_pinned.clone()) {
            self.model.may_pull(n);
        }
        let counted = |n: &usize| !self.model.is_hosted(*n);
        let (stayed, gone): (Vec<_>, Vec<_>) = before
            .kept
            .iter()
            .filter(|n| counted(n))
            .partition(|n| after.kept.contains(n));
        assert!(
            !gone.iter().any(|n| self.model.pinned.contains(n)),
            "{gone:?} went, of {:?}",
            self.model.pinned
        );
        self.model.check_order(&gone, &stayed);
    }

    async fn check_reading(&mut self, now: &Stock, step: &Step) {
        let Some((n, open)) = &self.hands.reading else {
            return;
        };
        let (bytes, _) = blob(*n);
        let room = vec![0; bytes.len()].into_boxed_slice();
        let (read, length) = open.extent(0..bytes.len() as u64).read(0, room).await.unwrap();
        assert!(read[..length] == bytes[..], "{n} is read");
        if !now.kept.contains(n) {
            let deleted = matches!(step, Step::DeleteBlob(..) | Step::Collect);
            assert!(deleted, "{n} went while it was read");
            self.hands.reading = None;
        }
    }

    /// What the repository has, it has whole; and what it has not, it does not show.
    async fn check_hosted(&self, r: usize) {
        let (repo, hosted) = (repository(r), &self.model.hosted[r]);
        for n in 0..BLOBS {
            let shown = self.shown(&repo, n).await;
            assert_eq!(shown, hosted.blobs.contains(&n), "{n} in {repo}");
        }
        for (n, m) in &hosted.manifests {
            assert!(hosted.blobs.contains(n) && hosted.blobs.contains(m));
            let pushed = self.store.pushed(&repo, &manifest(*n, *m).digest()).await.unwrap();
            assert!(pushed.is_some(), "the manifest of {n} and {m} in {repo}");
        }
        let tagged = self.tagged(r).await;
        assert_eq!(tagged, hosted.tagged.map(|(n, m)| manifest(n, m).digest()), "in {repo}");
    }

    /// Whether the repository shows the blob: then it has its bytes. No pull.
    async fn shown(&self, repo: &RepoKey, n: usize) -> bool {
        let (bytes, digest) = blob(n);
        let sight = self.store.sight(repo, &digest).await.unwrap();
        if !sight.visible() {
            return false;
        }
        let row = sight.blob.expect("what is hosted is stored");
        let open = self
            .store
            .open_file(&digest, &row)
            .await
            .unwrap()
            .expect("and its file is good");
        let room = vec![0; bytes.len()].into_boxed_slice();
        let (read, length) = open.extent(0..bytes.len() as u64).read(0, room).await.unwrap();
        assert!(read[..length] == bytes[..], "{n} in {repo}");
        true
    }

    /// After a crash in this step, which has come to its end or has not: the model follows.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most steps leave nothing in doubt")]
    pub(super) async fn settle(&mut self, step: &Step) {
        match *step {
            Step::Push(r, n) | Step::MountCached(r, n) | Step::Mount(r, n) if self.shown(&repository(r), n).await => {
                self.model.hosted[r].blobs.insert(n);
            }
            Step::DeleteBlob(r, n) => self.may_go_from(r, n).await,
            Step::Collect => {
                for r in 0..REPOSITORIES {
                    for n in 0..BLOBS {
                        self.may_go_from(r, n).await;
                    }
                }
            }
            Step::Tag(r, n, m) => self.settle_manifest(r, (n, m)).await,
            Step::Untag(r) if self.tagged(r).await.is_none() => self.model.hosted[r].tagged = None,
            Step::DeleteManifest(r) => {
                if let Some(first) = self.model.hosted[r].manifests.first().copied() {
                    self.settle_manifest(r, first).await;
                }
            }
            _ => {}
        }
        self.hands.uploads.clear();
        for id in self.store.index.uploads().await.unwrap() {
            let stamp = disk::stamp(&self.store.layout.upload(&id)).unwrap();
            self.hands.uploads.push((id, stamp.map_or(0, |stamp| stamp.allocated)));
        }
    }

    async fn may_go_from(&mut self, r: usize, n: usize) {
        if !self.model.hosted[r].names(n) && !self.shown(&repository(r), n).await {
            self.model.hosted[r].blobs.remove(&n);
        }
    }

    /// With its tag, in one.
    async fn settle_manifest(&mut self, r: usize, of: (usize, usize)) {
        let digest = manifest(of.0, of.1).digest();
        let (here, tagged) = (
            self.store.pushed(&repository(r), &digest).await.unwrap(),
            self.tagged(r).await,
        );
        let hosted = &mut self.model.hosted[r];
        if here.is_some() {
            hosted.manifests.insert(of);
        } else {
            hosted.manifests.remove(&of);
            hosted.tagged = hosted.tagged.filter(|tagged| *tagged != of);
        }
        if tagged == Some(digest) {
            hosted.tagged = Some(of);
        }
    }

    async fn tagged(&self, r: usize) -> Option<Digest> {
        let row = self.store.tag(&repository(r), &latest()).await.unwrap();
        row.map(|row| row.digest)
    }

    /// Files and rows are the same, and the sum is theirs.
    async fn check_books(&self, step: &Step) {
        let agree = async {
            while !self.agrees().await {
                tokio::task::yield_now().await;
            }
        };
        let agreed = tokio::time::timeout(PATIENCE, agree).await;
        assert!(
            agreed.is_ok(),
            "index and disk after {step:?}: {:?}",
            self.stock().await
        );
    }

    async fn agrees(&self) -> bool {
        let mut counted = 0;
        let mut files: BTreeMap<_, _> = self
            .dir
            .files("blobs/sha256")
            .into_iter()
            .map(|file| (file.clone(), disk::stamp(&file)))
            .collect();
        for n in 0..BLOBS {
            let digest = blob(n).1;
            let stored = self.store.index.blob(&digest).await.unwrap().is_some();
            match files.remove(&self.dir.blob(&digest)) {
                Some(Ok(Some(stamp))) if stored => counted += if self.model.is_hosted(n) { 0 } else { stamp.allocated },
                None if !stored => {}
                Some(_) | None => return false,
            }
        }
        let partials = self.store.index.partials().await.unwrap().into_iter();
        let partials: Vec<_> = partials.map(|(id, _)| self.store.layout.staging(id)).collect();
        let uploads: Vec<_> = self
            .hands
            .uploads
            .iter()
            .map(|(id, _)| self.store.layout.upload(id))
            .collect();
        // A row may have no file.
        let explained = |under: &str, rows: &[PathBuf]| self.dir.files(under).iter().all(|file| rows.contains(file));
        files.is_empty()
            && explained("staging", &partials)
            && explained("uploads", &uploads)
            && explained("trash", &[])
            && *self.store.index.counted().bytes() == counted
    }

    fn taken(&self) -> u64 {
        let hosted: Vec<_> = (0..BLOBS)
            .filter(|n| self.model.is_hosted(*n))
            .map(|n| self.dir.blob(&blob(n).1))
            .collect();
        let files = ["trash", "blobs/sha256", "staging", "uploads"].map(|under| self.dir.files(under));
        let counted = files.into_iter().flatten().filter(|file| !hosted.contains(file));
        // One may go while we look.
        counted
            .filter_map(|file| disk::stamp(&file).unwrap())
            .map(|stamp| stamp.allocated)
            .sum()
    }
}
