#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the store, and harm it, behind its back"
)]

mod broken;
mod starts;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::oci::Digest;
use crate::store::Unreceived;
use crate::store::tests::{BIG, Dir, content};

fn repo() -> RepoKey {
    "team/app".parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn begin(store: &Store) -> UploadRow {
    let begun = store.begin_upload(&repo(), "anonymous", Algorithm::Sha256, at(1)).await;
    begun.unwrap().0
}

async fn open(store: &Store, row: &UploadRow) -> Upload {
    store.open_upload(&row.id, row.algorithm).await.unwrap()
}

fn append(upload: &mut Upload, bytes: &[u8]) -> Result<(), Error> {
    let chunks = bytes.chunks(bytes.len().div_ceil(3).max(1)).map(Bytes::copy_from_slice);
    upload.append(&chunks.collect::<Vec<_>>())
}

/// A session with all of `bytes`, proven.
async fn received(store: &Store, bytes: &[u8], digest: &Digest) -> Received {
    let row = begin(store).await;
    let mut upload = open(store, &row).await;
    append(&mut upload, bytes).unwrap();
    upload.verify(digest).await.unwrap()
}

async fn commit(store: &Store, received: Received) -> Result<(), Uncommitted> {
    store.commit_upload(received, &repo(), at(2)).await
}

/// Commits what has arrived, while the index refuses it.
async fn commit_refused(dir: &Dir, store: &Store, received: Received) -> Uncommitted {
    let beside = refuse("DELETE ON upload", dir);
    let refused = commit(store, received).await.unwrap_err();
    beside.execute_batch("DROP TRIGGER t").unwrap();
    refused
}

/// From now on; gives the connection that can undo it.
fn refuse(what: &str, dir: &Dir) -> rusqlite::Connection {
    let beside = rusqlite::Connection::open(dir.0.path().join("store/index/index.sqlite3")).unwrap();
    let refuse = format!("CREATE TRIGGER t BEFORE {what} BEGIN SELECT RAISE (ABORT, 'no'); END");
    beside.execute_batch(&refuse).unwrap();
    beside
}

/// The session's client asks once more for what was refused.
async fn is_committed_after_all(store: &Store, id: &UploadId, bytes: Vec<u8>, digest: &Digest) {
    let row = store.upload(id).await.unwrap().unwrap();
    let received = open(store, &row).await.verify(digest).await.unwrap();
    commit(store, received).await.unwrap();
    assert_eq!(get(store, digest).await, Some(bytes));
}

async fn get(store: &Store, digest: &Digest) -> Option<Vec<u8>> {
    let sight = store.sight(&repo(), digest).await.unwrap();
    assert!(sight.blob.is_none() || sight.visible());
    let blob = store.open_blob(digest, &sight.blob?).await.unwrap()?;
    let room = vec![0; usize::try_from(blob.length()).unwrap()].into_boxed_slice();
    if blob.length() == 0 {
        return Some(Vec::new());
    }
    let (bytes, read) = blob.extent(0..blob.length()).read(0, room).await.unwrap();
    Some(bytes[..read].to_vec())
}

fn file(dir: &Dir, id: &UploadId) -> PathBuf {
    dir.0.path().join("store/uploads").join(id.to_string())
}

#[tokio::test]
async fn what_was_pushed_is_visible_once_committed_and_its_session_is_over() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let row = begin(&store).await;
    assert!(!file(&dir, &row.id).exists(), "no byte, no file");
    let mut upload = open(&store, &row).await;
    append(&mut upload, &bytes).unwrap();
    assert_eq!(upload.received(), BIG as u64);
    let received = upload.verify(&digest).await.unwrap();
    assert_eq!(get(&store, &digest).await, None);
    commit(&store, received).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
    assert!(dir.files("uploads").is_empty());
    assert_eq!(store.upload(&row.id).await.unwrap(), None);
}

#[tokio::test]
async fn the_closing_digest_may_be_of_another_algorithm_than_what_came_was_hashed_by() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let long = Digest::of(Algorithm::Sha512, &bytes);
    assert_ne!(long.algorithm(), digest.algorithm());
    let received = received(&store, &bytes, &long).await;
    commit(&store, received).await.unwrap();
    assert_eq!(get(&store, &long).await, Some(bytes));
    assert_eq!(dir.files("blobs/sha512").len(), 1);
}

#[tokio::test]
async fn a_blob_without_bytes_needs_none() {
    let dir = Dir::new();
    let store = dir.open().await;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, b"");
        let upload = open(&store, &begin(&store).await).await;
        let received = upload.verify(&digest).await.unwrap();
        commit(&store, received).await.unwrap();
        assert_eq!(get(&store, &digest).await, Some(Vec::new()));
    }
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_not_received() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (mut bytes, digest) = content(BIG);
    bytes[BIG / 2] ^= 1;
    for digest in [digest, Digest::of(Algorithm::Sha512, b"other")] {
        let row = begin(&store).await;
        let mut upload = open(&store, &row).await;
        append(&mut upload, &bytes).unwrap();
        let Err(Unreceived::Mismatch { upload, found }) = upload.verify(&digest).await else {
            panic!("one bit is wrong")
        };
        assert_eq!(found, Digest::of(digest.algorithm(), &bytes));
        drop(upload);
        assert!(store.cancel_upload(&row.id).await.unwrap());
        assert!(!store.cancel_upload(&row.id).await.unwrap());
    }
    assert!(dir.files("uploads").is_empty() && dir.files("blobs/sha256").is_empty());
}

#[tokio::test]
async fn a_damaged_blob_that_was_pushed_is_put_aside_and_healed_by_a_new_push() {
    for length in [1000, BIG] {
        let dir = Dir::new();
        let store = dir.open().await;
        let (bytes, digest) = content(length);
        let pushed = received(&store, &bytes, &digest).await;
        commit(&store, pushed).await.unwrap();
        fs::write(dir.blob(&digest), &bytes[..length - 1]).unwrap();
        assert_eq!(get(&store, &digest).await, None);
        let aside = dir.files("quarantine");
        assert_eq!(aside.len(), 1);
        assert_eq!(fs::read(&aside[0]).unwrap(), &bytes[..length - 1]);
        assert!(store.sight(&repo(), &digest).await.unwrap().blob.is_none());

        let again = received(&store, &bytes, &digest).await;
        commit(&store, again).await.unwrap();
        assert_eq!(get(&store, &digest).await, Some(bytes));
    }
}
