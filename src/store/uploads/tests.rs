#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the store, and harm it, behind its back"
)]

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
    store.commit_upload(received, &repo(), at(2)).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
    assert!(dir.files("uploads").is_empty());
    assert_eq!(store.upload(&row.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_where_its_file_ends() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    let (first, rest) = bytes.split_at(100_001);
    let store = dir.open().await;
    let row = begin(&store).await;
    append(&mut open(&store, &row).await, first).unwrap();
    drop(store);

    let store = dir.open().await;
    assert_eq!(store.upload(&row.id).await.unwrap(), Some(row.clone()));
    assert_eq!(store.uploaded(&row.id).await.unwrap(), 100_001);
    let mut upload = open(&store, &row).await;
    assert_eq!(upload.received(), 100_001);
    append(&mut upload, rest).unwrap();
    let received = upload.verify(&digest).await.unwrap();
    store.commit_upload(received, &repo(), at(2)).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn the_closing_digest_may_be_of_another_algorithm_than_what_came_was_hashed_by() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let long = Digest::of(Algorithm::Sha512, &bytes);
    assert_ne!(long.algorithm(), digest.algorithm());
    let received = received(&store, &bytes, &long).await;
    store.commit_upload(received, &repo(), at(2)).await.unwrap();
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
        store.commit_upload(received, &repo(), at(2)).await.unwrap();
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

/// The longest file that the file system of `path` can hold, in bytes.
fn longest(path: &std::path::Path) -> u64 {
    let file = fs::File::create(path).unwrap();
    let (mut fits, mut too_long) = (0, i64::MAX.cast_unsigned());
    while fits + 1 < too_long {
        let middle = fits + (too_long - fits) / 2;
        match file.set_len(middle) {
            Ok(()) => fits = middle,
            Err(_) => too_long = middle,
        }
    }
    fs::remove_file(path).unwrap();
    fits
}

#[tokio::test]
async fn a_write_that_fails_half_way_leaves_the_session_where_it_was() {
    let dir = Dir::new();
    let store = dir.open().await;
    let row = begin(&store).await;
    let path = file(&dir, &row.id);
    let almost = longest(&path) - 10;
    fs::File::create(&path).unwrap().set_len(almost).unwrap();
    let mut upload = open(&store, &row).await;
    append(&mut upload, &[1; 15]).unwrap_err();
    assert_eq!(upload.received(), almost);
    assert_eq!(fs::metadata(&path).unwrap().len(), almost, "half a write is taken back");
    append(&mut upload, &[1; 9]).unwrap();
    assert_eq!(upload.received(), almost + 9);
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_session_stays() {
    let dir = Dir::new();
    let store = dir.open().await;
    let row = begin(&store).await;
    symlink("/dev/full", file(&dir, &row.id)).unwrap();
    let mut upload = open(&store, &row).await;
    let error = append(&mut upload, b"hello").unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!((upload.received(), upload.is_lost()), (0, false));
    assert_eq!(store.upload(&row.id).await.unwrap(), Some(row));
}

/// From now on; gives the connection that can undo it.
fn refuse(what: &str, dir: &Dir) -> rusqlite::Connection {
    let beside = rusqlite::Connection::open(dir.0.path().join("store/index/index.sqlite3")).unwrap();
    let refuse = format!("CREATE TRIGGER t BEFORE {what} BEGIN SELECT RAISE (ABORT, 'no'); END");
    beside.execute_batch(&refuse).unwrap();
    beside
}

#[tokio::test]
async fn a_commit_that_the_index_refuses_leaves_the_upload_as_it_was() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let received = received(&store, &bytes, &digest).await;
    let id = received.id();
    let beside = refuse("DELETE ON upload", &dir);
    let refused = store.commit_upload(received, &repo(), at(2)).await;
    assert!(
        matches!(refused, Err(Uncommitted::Kept(Error::Write { .. }))),
        "{refused:?}"
    );
    assert!(dir.files("blobs/sha256").is_empty());
    assert_eq!(fs::read(file(&dir, &id)).unwrap(), bytes);

    beside.execute_batch("DROP TRIGGER t").unwrap();
    let row = store.upload(&id).await.unwrap().unwrap();
    let received = open(&store, &row).await.verify(&digest).await.unwrap();
    store.commit_upload(received, &repo(), at(3)).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn a_commit_cut_between_rename_and_row_leaves_what_its_client_was_promised() {
    for promised in [true, false] {
        let dir = Dir::new();
        let store = dir.open().await;
        let (bytes, digest) = content(BIG);
        let received = received(&store, &bytes, &digest).await.promised(promised);
        let id = received.id();
        let beside = refuse("DELETE ON upload", &dir);
        store.commit_upload(received, &repo(), at(2)).await.unwrap_err();
        beside.execute_batch("DROP TRIGGER t").unwrap();
        drop((store, beside));
        fs::rename(file(&dir, &id), dir.blob(&digest)).unwrap();

        let store = dir.open().await;
        let here = store.uploaded(&id).await.unwrap();
        assert_eq!(here, if promised { BIG as u64 } else { 0 });
        let row = store.upload(&id).await.unwrap().unwrap();
        if promised {
            let received = open(&store, &row).await.verify(&digest).await.unwrap();
            store.commit_upload(received, &repo(), at(3)).await.unwrap();
            assert_eq!(get(&store, &digest).await, Some(bytes));
        }
    }
}

#[tokio::test]
async fn an_upload_does_not_take_the_file_of_a_blob_that_is_stored() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (lost, landed) = (
        received(&store, &bytes, &digest).await.promised(true),
        received(&store, &bytes, &digest).await,
    );
    let id = lost.id();
    let beside = refuse("DELETE ON upload", &dir);
    store.commit_upload(lost, &repo(), at(2)).await.unwrap_err();
    beside.execute_batch("DROP TRIGGER t").unwrap();
    fs::remove_file(file(&dir, &id)).unwrap();
    store.commit_upload(landed, &repo(), at(2)).await.unwrap();
    drop((store, beside));

    let store = dir.open().await;
    assert_eq!(store.uploaded(&id).await.unwrap(), 0);
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn of_two_uploads_of_one_content_that_fail_to_land_the_one_without_a_file_is_gone() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (one, other) = (
        received(&store, &bytes, &digest).await,
        received(&store, &bytes, &digest).await,
    );
    let _beside = refuse("INSERT ON blob", &dir);
    let lands = async |received: &Received| {
        let modified_ns = received.make_durable().await.unwrap().modified_ns;
        let (size, repo) = (received.size(), repo());
        let landed = store.land_upload(received, BlobRow { size, modified_ns }, &repo, at(2));
        landed.await.unwrap_err()
    };
    let refused = (lands(&one).await, lands(&other).await);
    let kept = store.unlanded(&one, refused.0).await;
    assert!(matches!(kept, Uncommitted::Kept(_)), "{kept:?}");
    assert_eq!(fs::read(file(&dir, &one.id())).unwrap(), bytes);
    let gone = store.unlanded(&other, refused.1).await;
    assert!(matches!(gone, Uncommitted::Discarded(_)), "{gone:?}");
    assert_eq!(store.upload(&other.id()).await.unwrap(), None);
}

/// A session whose file takes every byte, and cannot be synced.
async fn without_sync(dir: &Dir, store: &Store) -> (UploadRow, Upload) {
    let row = begin(store).await;
    symlink("/dev/null", file(dir, &row.id)).unwrap();
    let upload = open(store, &row).await;
    (row, upload)
}

#[tokio::test]
async fn bytes_that_cannot_be_synced_are_gone() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (row, mut upload) = without_sync(&dir, &store).await;
    append(&mut upload, &bytes).unwrap();
    let received = upload.verify(&digest).await.unwrap();
    let lost = store.commit_upload(received, &repo(), at(2)).await;
    assert!(matches!(lost, Err(Uncommitted::Discarded(_))), "{lost:?}");
    assert_eq!(store.upload(&row.id).await.unwrap(), None);
    assert!(dir.files("uploads").is_empty());
    assert_eq!(get(&store, &digest).await, None);
}

/// The kernel tells of it once: whoever went on with the file would be told that all is well.
#[tokio::test]
async fn bytes_that_cannot_be_synced_are_gone_also_where_their_session_cannot_be_forgotten() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (row, mut upload) = without_sync(&dir, &store).await;
    append(&mut upload, &bytes).unwrap();
    let received = upload.verify(&digest).await.unwrap();
    refuse("DELETE ON upload", &dir);
    let lost = store.commit_upload(received, &repo(), at(2)).await;
    assert!(matches!(lost, Err(Uncommitted::Discarded(_))), "{lost:?}");
    assert_eq!(store.upload(&row.id).await.unwrap(), Some(row));
    assert!(dir.files("uploads").is_empty(), "whoever goes on begins anew");
}

#[tokio::test]
async fn bytes_whose_write_back_failed_are_gone_for_whoever_goes_on() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (_, mut upload) = without_sync(&dir, &store).await;
    let mib = Bytes::from(vec![0; 1 << 20]);
    upload.append(&vec![mib; 64]).unwrap();
    while upload.is_syncing() {
        tokio::task::yield_now().await;
    }
    assert!(upload.is_lost());
    upload.append(&[Bytes::from_static(b"more")]).unwrap_err();
    let verified = upload.verify(&Digest::of(Algorithm::Sha512, b"")).await;
    assert!(matches!(verified, Err(Unreceived::Unreadable { .. })), "{verified:?}");
    assert!(dir.files("uploads").is_empty(), "whoever goes on begins anew");
}

#[tokio::test]
async fn bytes_that_cannot_be_found_again_are_looked_for_at_the_next_start() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let received = received(&store, &bytes, &digest).await;
    fs::remove_file(file(&dir, &received.id())).unwrap();
    let blobs = dir.0.path().join("store/blobs/sha256");
    fs::rename(&blobs, dir.0.path().join("elsewhere")).unwrap();
    fs::write(&blobs, "no directory").unwrap();
    store.commit_upload(received, &repo(), at(2)).await.unwrap_err();
    assert!(store.running.doubts().is_some());
}

#[tokio::test]
async fn a_file_without_a_session_goes_and_a_session_without_a_file_stays() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (empty, begun) = (begin(&store).await, begin(&store).await);
    append(&mut open(&store, &begun).await, b"hello").unwrap();
    drop(store);
    let (orphan, foreign) = (
        file(&dir, &UploadId::new()),
        dir.0.path().join("store/uploads/notes.txt"),
    );
    fs::write(&orphan, b"of a session that a power cut took").unwrap();
    fs::write(&foreign, b"somebody's").unwrap();

    let store = dir.open().await;
    while orphan.exists() {
        tokio::task::yield_now().await;
    }
    assert!(foreign.exists());
    assert_eq!(open(&store, &begun).await.received(), 5);
    assert_eq!(open(&store, &empty).await.received(), 0);
    assert_eq!(store.upload(&empty.id).await.unwrap(), Some(empty));
}

#[tokio::test]
async fn a_damaged_blob_that_was_pushed_is_put_aside_and_healed_by_a_new_push() {
    for length in [1000, BIG] {
        let dir = Dir::new();
        let store = dir.open().await;
        let (bytes, digest) = content(length);
        let pushed = received(&store, &bytes, &digest).await;
        store.commit_upload(pushed, &repo(), at(2)).await.unwrap();
        fs::write(dir.blob(&digest), &bytes[..length - 1]).unwrap();
        assert_eq!(get(&store, &digest).await, None);
        let aside = dir.files("quarantine");
        assert_eq!(aside.len(), 1);
        assert_eq!(fs::read(&aside[0]).unwrap(), &bytes[..length - 1]);
        assert!(store.sight(&repo(), &digest).await.unwrap().blob.is_none());

        let again = received(&store, &bytes, &digest).await;
        store.commit_upload(again, &repo(), at(3)).await.unwrap();
        assert_eq!(get(&store, &digest).await, Some(bytes));
    }
}
