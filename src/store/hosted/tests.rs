#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the store, and harm it, behind its back"
)]

use std::fs;

use bytes::Bytes;

use super::*;
use crate::oci::Algorithm;
use crate::store::tests::{BIG, Dir, content, tidied};

fn repo(name: &str) -> RepoKey {
    name.parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1000).unwrap()
}

/// Pushes a blob to `team/app`.
async fn push(store: &Store, bytes: &[u8], digest: &Digest) {
    let app = repo("team/app");
    let begun = store.begin_upload(&app, "anonymous", Algorithm::Sha256, now());
    let (_, mut upload) = begun.await.unwrap();
    upload.append(&[Bytes::copy_from_slice(bytes)]).unwrap();
    let received = upload.verify(digest).await.unwrap();
    store.commit_upload(received, &app, now()).await.unwrap();
}

/// A store with a blob in `team/app`.
async fn harbour() -> (Dir, Store, Digest) {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    push(&store, &bytes, &digest).await;
    (dir, store, digest)
}

async fn delete(store: &Store, name: &str, digest: &Digest) -> Result<Deleted, Error> {
    store.delete_blob(&repo(name), digest).await
}

async fn opens(store: &Store, name: &str, digest: &Digest) -> bool {
    let sight = store.sight(&repo(name), digest).await.unwrap();
    let Some(row) = sight.blob.filter(|_| sight.visible()) else {
        return false;
    };
    store.open_blob(digest, &row).await.unwrap().is_some()
}

fn beside(dir: &Dir) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.0.path().join("store/index/index.sqlite3")).unwrap()
}

#[tokio::test]
async fn content_leaves_the_disk_with_the_last_repository_that_has_it() {
    let (dir, store, digest) = harbour().await;
    assert!(
        store
            .mount(&digest, &repo("team/app"), &repo("team/b"), now())
            .await
            .unwrap()
    );
    assert_eq!(delete(&store, "team/app", &digest).await.unwrap(), Deleted::Done);
    assert!(!opens(&store, "team/app", &digest).await);
    assert!(opens(&store, "team/b", &digest).await);
    assert_eq!(delete(&store, "team/b", &digest).await.unwrap(), Deleted::Done);
    assert!(!opens(&store, "team/b", &digest).await);
    assert!(!dir.blob(&digest).exists() && dir.files("trash").is_empty());
}

#[tokio::test]
async fn what_is_read_is_read_to_its_end() {
    let (_dir, store, digest) = harbour().await;
    let row = store.sight(&repo("team/app"), &digest).await.unwrap().blob.unwrap();
    let blob = store.open_blob(&digest, &row).await.unwrap().unwrap();
    assert_eq!(delete(&store, "team/app", &digest).await.unwrap(), Deleted::Done);
    let (read, length) = blob.extent(0..100).read(0, vec![0; 100].into()).await.unwrap();
    assert_eq!((&read[..], length), (&content(100).0[..], 100));
}

#[tokio::test]
async fn who_leaves_while_a_blob_is_deleted_leaves_nothing_in_the_trash() {
    let (dir, store, digest) = harbour().await;
    let app = repo("team/app");
    let mut deleting = Box::pin(store.delete_blob(&app, &digest));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(deleting.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    drop(deleting);
    store.tasks.close(std::time::Duration::from_secs(30)).await;
    assert!(!dir.blob(&digest).exists() && dir.files("trash").is_empty());
}

#[tokio::test]
async fn a_deletion_that_is_not_committed_takes_no_file_away() {
    let (dir, store, digest) = harbour().await;
    let fails_at_commit = "
        CREATE TABLE y (b INTEGER PRIMARY KEY);
        CREATE TABLE x (a INTEGER REFERENCES y (b) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER t AFTER DELETE ON blob BEGIN INSERT INTO x VALUES (1); END;";
    beside(&dir).execute_batch(fails_at_commit).unwrap();
    let refused = delete(&store, "team/app", &digest).await.unwrap_err();
    assert!(matches!(refused, Error::Batch { .. }), "{refused}");
    assert!(opens(&store, "team/app", &digest).await);
    beside(&dir).execute_batch("DROP TRIGGER t").unwrap();
    assert_eq!(delete(&store, "team/app", &digest).await.unwrap(), Deleted::Done);
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_now_is_removed_after_the_next_start() {
    let (dir, store, digest) = harbour().await;
    // Where its file should go, something is in the way.
    let obstacle = dir.0.path().join("store/trash").join(digest.encoded());
    fs::create_dir(&obstacle).unwrap();
    fs::write(obstacle.join("x"), "").unwrap();
    assert_eq!(delete(&store, "team/app", &digest).await.unwrap(), Deleted::Done);
    assert!(!opens(&store, "team/app", &digest).await && dir.blob(&digest).exists());
    store.close().await.unwrap();
    drop(store);
    fs::remove_dir_all(&obstacle).unwrap();
    tidied(&dir).await;
    assert!(!dir.blob(&digest).exists() && dir.files("trash").is_empty());
}

#[tokio::test]
async fn a_damaged_blob_is_not_mounted() {
    let (dir, store, digest) = harbour().await;
    fs::write(dir.blob(&digest), "damaged").unwrap();
    let (app, b) = (repo("team/app"), repo("team/b"));
    assert!(!store.mount(&digest, &app, &b, now()).await.unwrap());
    assert!(!opens(&store, "team/b", &digest).await);
}

#[tokio::test]
async fn a_small_blob_whose_file_is_gone_is_not_mounted_from_memory() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(100);
    push(&store, &bytes, &digest).await;
    assert!(opens(&store, "team/app", &digest).await, "in memory from here on");
    fs::remove_file(dir.blob(&digest)).unwrap();
    let mounted = store.mount(&digest, &repo("team/app"), &repo("team/b"), now()).await;
    assert!(!mounted.unwrap());
    assert!(!opens(&store, "team/app", &digest).await, "it was found out");
}
