//! A disk and an index that fail.

use super::*;
use crate::store::Unreceived;

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

#[tokio::test]
async fn a_commit_that_the_index_refuses_leaves_the_upload_as_it_was() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let received = received(&store, &bytes, &digest).await;
    let id = received.id();
    let refused = commit_refused(&dir, &store, received).await;
    assert!(matches!(refused, Uncommitted::Kept(Error::Write { .. })), "{refused:?}");
    assert!(dir.files("blobs/sha256").is_empty());
    assert_eq!(fs::read(file(&dir, &id)).unwrap(), bytes);
    is_committed_after_all(&store, &id, bytes, &digest).await;
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
        let (stamp, repo) = (received.make_durable().await.unwrap(), repo());
        let landed = store.land_upload(received, stamp, &repo, at(2));
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

/// Such a session with all of `bytes`, proven.
async fn received_without_sync(dir: &Dir, store: &Store, bytes: &[u8], digest: &Digest) -> (UploadRow, Received) {
    let (row, mut upload) = without_sync(dir, store).await;
    append(&mut upload, bytes).unwrap();
    (row, upload.verify(digest).await.unwrap())
}

#[tokio::test]
async fn bytes_that_cannot_be_synced_are_gone() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (row, received) = received_without_sync(&dir, &store, &bytes, &digest).await;
    let lost = commit(&store, received).await;
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
    let (row, received) = received_without_sync(&dir, &store, &bytes, &digest).await;
    refuse("DELETE ON upload", &dir);
    let lost = commit(&store, received).await;
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
    commit(&store, received).await.unwrap_err();
    assert!(store.running.doubts().is_some());
}
