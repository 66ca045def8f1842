#![expect(clippy::disallowed_methods, reason = "the tests damage the store behind its back")]

mod damage;
mod starts;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::oci::{Algorithm, RemoteName, RepoName};

pub(super) const MIRROR: &str = "docker.io";

/// Takes an index back to the first schema.
pub(super) const BACK: &str = "
    DROP TABLE pin; DROP TRIGGER blob_comes; DROP TRIGGER blob_changes; DROP TRIGGER blob_goes; DROP TRIGGER link_comes;
    DROP TRIGGER link_is_proven; DROP TRIGGER link_goes; DROP TRIGGER repository_is_hosted;
    DROP INDEX blob_by_use; DROP INDEX staged_by_use; DROP VIEW hosted; DROP TABLE counted;
    ALTER TABLE blob DROP COLUMN allocated; ALTER TABLE blob DROP COLUMN used; ALTER TABLE blob DROP COLUMN hosted;
    ALTER TABLE staged DROP COLUMN used;
    DROP TABLE upload; DROP TABLE pushed; DROP TABLE names; DROP TABLE loose;
    DROP TABLE unlinked; DROP VIEW visible; DROP TABLE listing;
    ALTER TABLE link DROP COLUMN idle_since; ALTER TABLE tag DROP COLUMN idle_since;
    DROP INDEX tag_by_digest; DROP INDEX link_by_digest; PRAGMA user_version = 1;";

pub(super) struct Dir(pub(super) tempfile::TempDir);

impl Dir {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub(super) async fn try_open(&self) -> Result<Store, Error> {
        self.open_with(&Tasks::new()).await
    }

    async fn open_with(&self, tasks: &Tasks) -> Result<Store, Error> {
        Store::open(&self.config(), tasks.clone()).await
    }

    pub(super) fn config(&self) -> Config {
        Config {
            path: self.0.path().join("store"),
            ..Config::default()
        }
    }

    pub(super) fn files(&self, under: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.0.path().join("store").join(under))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.0.path().join("store/blobs/sha256").join(digest.encoded())
    }
}

pub(super) fn remote() -> RemoteName {
    "library/alpine".parse::<RepoName>().unwrap().into()
}

fn repo() -> RepoKey {
    RepoKey::mirrored(MIRROR, &remote())
}

pub(super) fn content(length: usize) -> (Vec<u8>, Digest) {
    let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    (bytes, digest)
}

pub(super) async fn put(store: &Store, bytes: &[u8], digest: &Digest) {
    let staged = store
        .stage(MIRROR, &remote(), digest, Some(bytes.len() as u64))
        .await
        .unwrap();
    staged.write(0, vec![Bytes::copy_from_slice(bytes)]).await.unwrap();
    keep(store, staged).await;
}

/// Proves and commits what has arrived whole.
async fn keep(store: &Store, staged: Staged) {
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, &repo()).await.unwrap();
}

pub(super) async fn get(store: &Store, digest: &Digest) -> Option<Vec<u8>> {
    let row = store.sight(&repo(), digest).await.unwrap().blob?;
    let blob = store.open_blob(digest, &row).await.unwrap()?;
    let room = vec![0; usize::try_from(blob.length()).unwrap()].into_boxed_slice();
    let (bytes, read) = blob.extent(0..blob.length()).read(0, room).await.unwrap();
    Some(bytes[..read].to_vec())
}

/// Big enough not to be kept in memory.
pub(super) const BIG: usize = 300_000;

#[tokio::test]
async fn only_what_is_proven_and_committed_is_visible() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    staged.write(0, vec![bytes.clone().into()]).await.unwrap();
    assert_eq!(get(&store, &digest).await, None);
    let verified = staged.verify().await.unwrap();
    assert_eq!(get(&store, &digest).await, None);
    store.commit(verified, MIRROR, &repo()).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
    assert!(dir.files("staging").is_empty());
}

#[tokio::test]
async fn wrong_bytes_are_not_verified_and_a_discard_leaves_nothing() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (mut bytes, digest) = content(BIG);
    bytes[BIG / 2] ^= 1;
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    staged.write(0, vec![bytes.into()]).await.unwrap();
    let Err(Unproven::Mismatch { staged, .. }) = staged.verify().await else {
        panic!("one bit is wrong")
    };
    store.discard(staged).await.unwrap();
    assert!(dir.files("staging").is_empty() && dir.files("blobs/sha256").is_empty());
    assert_eq!(store.resume_at(MIRROR, &digest, None).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_partial_of_another_length_counts_for_nothing() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let staged = store
        .stage(MIRROR, &remote(), &digest, Some(BIG as u64 * 2))
        .await
        .unwrap();
    staged
        .write(0, vec![bytes.clone().into(), bytes.clone().into()])
        .await
        .unwrap();
    drop(staged);
    let staged = store.stage(MIRROR, &remote(), &digest, Some(BIG as u64)).await.unwrap();
    assert!(!staged.is_resumed());
    staged.write(0, vec![bytes.clone().into()]).await.unwrap();
    keep(&store, staged).await;
    assert_eq!(
        get(&store, &digest).await,
        Some(bytes),
        "and what lay beyond its end is cut off"
    );
}

/// The kernel tells of it once: whoever went on with the file would be told that all is well.
#[tokio::test]
async fn a_partial_whose_write_back_failed_is_begun_anew() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (_, digest) = content(BIG);
    drop(store.stage(MIRROR, &remote(), &digest, None).await.unwrap());
    let file = &dir.files("staging")[0];
    fs::remove_file(file).unwrap();
    // It takes every byte, and is no file that could be synced.
    symlink("/dev/null", file).unwrap();
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    let mib = Bytes::from(vec![0; 1 << 20]);
    staged.write(0, vec![mib; 64]).await.unwrap();
    while staged.arriving().is_syncing() {
        tokio::task::yield_now().await;
    }
    assert!(dir.files("staging").is_empty(), "whoever fetches it again begins anew");
    assert_eq!(
        staged.arriving().present().0,
        64 << 20,
        "whoever follows still reads it"
    );
    drop(staged);
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    assert!(!staged.is_resumed());
}

/// Runs what recovery leaves for the background to its end.
pub(super) async fn tidied(dir: &Dir) {
    let tasks = Tasks::new();
    let store = dir.open_with(&tasks).await.unwrap();
    looked(&store).await;
    store.close().await.unwrap();
    assert!(tasks.close(Duration::from_secs(30)).await);
}

/// Waits until the look for what a crash has left is over.
async fn looked(store: &Store) {
    while store.running.doubts().is_some() {
        tokio::task::yield_now().await;
    }
}
