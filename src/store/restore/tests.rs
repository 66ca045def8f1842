#![expect(clippy::disallowed_methods, reason = "the tests harm the store behind its back")]

use std::fs;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::oci::RepoKey;
use crate::store::Store;
use crate::store::tests::{BACK, BIG, Dir, content, get, put, remote};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn app() -> RepoKey {
    "team/app".parse().unwrap()
}

fn config(dir: &Dir) -> Config {
    Config {
        path: dir.0.path().join("store"),
        ..Config::default()
    }
}

fn index_file(dir: &Dir) -> PathBuf {
    dir.0.path().join("store/index").join(copy::FILE)
}

async fn push(store: &Store, bytes: &[u8], digest: &Digest, second: i64) {
    let (app, now) = (app(), at(second));
    let begun = store.begin_upload(&app, "anonymous", Algorithm::Sha256, now);
    let (_, mut upload) = begun.await.unwrap();
    upload.append(&[Bytes::copy_from_slice(bytes)]).unwrap();
    let received = upload.verify(digest).await.unwrap();
    store.commit_upload(received, &app, now).await.unwrap();
}

async fn has(store: &Store, digest: &Digest) -> bool {
    let sight = store.sight(&app(), digest).await.unwrap();
    sight.blob.is_some() && sight.visible()
}

/// Cached and pushed blobs, a copy, and then more of both.
async fn filled(dir: &Dir) -> [Digest; 4] {
    let store = dir.open().await;
    let [cached, pushed, later_cached, later_pushed] = [BIG, 7, BIG + 1, 8].map(content);
    put(&store, &cached.0, &cached.1).await;
    push(&store, &pushed.0, &pushed.1, 1).await;
    store.back_up(at(100)).await.unwrap();
    put(&store, &later_cached.0, &later_cached.1).await;
    push(&store, &later_pushed.0, &later_pushed.1, 200).await;
    store.close().await.unwrap();
    [cached.1, pushed.1, later_cached.1, later_pushed.1]
}

#[tokio::test]
async fn what_was_there_before_the_copy_is_served_and_no_file_is_lost() {
    let dir = Dir::new();
    let [cached, pushed, later_cached, later_pushed] = filled(&dir).await;
    fs::remove_file(index_file(&dir)).unwrap();
    assert!(matches!(dir.try_open().await, Err(Error::Missing { .. })));

    let restored = restore(&config(&dir), None, at(300)).unwrap();
    assert_eq!((restored.made_at, restored.repositories), (Some(at(100)), 2));
    assert_eq!((restored.gone, restored.taken_in, restored.aside), (0, 2, None));
    let store = dir.open().await;
    assert_eq!(get(&store, &cached).await.map(|bytes| bytes.len()), Some(BIG));
    assert!(has(&store, &pushed).await);
    assert!(
        !has(&store, &later_pushed).await,
        "nobody knows any more where it was pushed to"
    );
    assert_eq!(
        get(&store, &later_cached).await.map(|bytes| bytes.len()),
        Some(BIG + 1),
        "proven again"
    );
    for digest in [later_cached, later_pushed] {
        assert!(dir.blob(&digest).exists(), "the sweep of an unclean stop leaves it");
    }
}

#[tokio::test]
async fn what_was_taken_in_is_proven_before_it_is_served() {
    let dir = Dir::new();
    let [_, _, later_cached, _] = filled(&dir).await;
    fs::remove_file(index_file(&dir)).unwrap();
    let mut bytes = fs::read(dir.blob(&later_cached)).unwrap();
    bytes[BIG / 2] ^= 1;
    fs::write(dir.blob(&later_cached), bytes).unwrap();
    restore(&config(&dir), None, at(300)).unwrap();
    assert_eq!(get(&dir.open().await, &later_cached).await, None);
}

#[tokio::test]
async fn a_blob_whose_file_is_gone_or_another_is_not_there() {
    let dir = Dir::new();
    let [cached, pushed, ..] = filled(&dir).await;
    fs::remove_file(dir.blob(&pushed)).unwrap();
    fs::write(dir.blob(&cached), "short").unwrap();
    let restored = restore(&config(&dir), None, at(300)).unwrap();
    assert_eq!(restored.gone, 1, "the cached one is fetched again");
    let store = dir.open().await;
    assert!(!has(&store, &pushed).await);
    let (bytes, digest) = content(7);
    push(&store, &bytes, &digest, 301).await;
    assert!(has(&store, &pushed).await, "and can be pushed again");
}

#[tokio::test]
async fn the_index_that_was_there_is_set_aside_with_its_log() {
    let dir = Dir::new();
    filled(&dir).await;
    let was = fs::read(index_file(&dir)).unwrap();
    fs::write(dir.0.path().join("store/index/index.sqlite3-wal"), "a log").unwrap();
    let restored = restore(&config(&dir), None, at(300)).unwrap();
    let aside = restored.aside.unwrap();
    assert_eq!(fs::read(&aside).unwrap(), was);
    assert_eq!(fs::read(format!("{}-wal", aside.display())).unwrap(), b"a log");
    assert!(!dir.0.path().join("store/index/index.sqlite3-wal").exists());
    let again = restore(&config(&dir), Some(&aside), at(301)).unwrap();
    assert_ne!(again.aside.unwrap(), aside);
}

#[tokio::test]
async fn a_copy_that_cannot_be_right_changes_nothing() {
    let dir = Dir::new();
    filled(&dir).await;
    let (was, copied) = (
        fs::read(index_file(&dir)).unwrap(),
        dir.0.path().join("store/backup").join(copy::FILE),
    );
    let sound = fs::read(&copied).unwrap();
    let wrong = |path: &Path| restore(&config(&dir), Some(path), at(300)).unwrap_err();

    let stranger = dir.0.path().join("stranger");
    assert!(matches!(wrong(&stranger), Error::NoCopy { .. }));
    fs::write(&stranger, "").unwrap();
    assert!(matches!(wrong(&stranger), Error::NotACopy { .. }));
    fs::write(
        &stranger,
        "a text that is long enough to be looked at by sqlite, which reads a whole header",
    )
    .unwrap();
    assert!(matches!(wrong(&stranger), Error::Copy { .. }));
    let mut harmed = sound.clone();
    harmed[4096..8192].fill(0x5a);
    fs::write(&stranger, &harmed).unwrap();
    assert!(matches!(
        wrong(&stranger),
        Error::DamagedCopy { .. } | Error::Copy { .. }
    ));
    fs::write(&stranger, &sound).unwrap();
    rusqlite::Connection::open(&stranger)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let newer = wrong(&stranger);
    assert!(matches!(newer, Error::Newer { found: 99, .. }), "{newer:?}");
    assert_eq!(fs::read(index_file(&dir)).unwrap(), was);
}

#[tokio::test]
async fn a_store_in_use_is_refused_with_its_holders_name() {
    let dir = Dir::new();
    filled(&dir).await;
    let _store = dir.open().await;
    let refused = restore(&config(&dir), None, at(300)).unwrap_err();
    assert!(
        refused.to_string().contains(&format!("pid {}", std::process::id())),
        "{refused}"
    );
}

#[tokio::test]
async fn no_id_of_a_partial_is_given_again() {
    let dir = Dir::new();
    let store = dir.open().await;
    store.back_up(at(100)).await.unwrap();
    let staged = store.stage("hub", &remote(), &content(3).1, None).await.unwrap();
    staged.write(0, vec![Bytes::from_static(b"abc")]).await.unwrap();
    drop(staged);
    store.close().await.unwrap();
    drop(store);
    let left = dir.files("staging");
    assert_eq!(left.len(), 1);
    restore(&config(&dir), None, at(300)).unwrap();
    let store = dir.open().await;
    let staged = store.stage("hub", &remote(), &content(4).1, None).await.unwrap();
    staged.write(0, vec![Bytes::from_static(b"d")]).await.unwrap();
    assert!(
        dir.files("staging")
            .iter()
            .all(|file| !left.contains(file) || fs::read(file).unwrap() == b"abc")
    );
}

#[tokio::test]
async fn a_copy_of_an_older_wharf_is_brought_up_to_date() {
    let dir = Dir::new();
    filled(&dir).await;
    let copied = dir.0.path().join("store/backup").join(copy::FILE);
    rusqlite::Connection::open(&copied)
        .unwrap()
        .execute_batch(BACK)
        .unwrap();
    restore(&config(&dir), None, at(300)).unwrap();
    dir.open().await;
    assert_eq!(dir.files("backup"), [copied], "it was no migration of the index");
}

#[tokio::test]
async fn loose_blobs_begin_their_grace_anew() {
    let dir = Dir::new();
    filled(&dir).await;
    restore(&config(&dir), None, at(300)).unwrap();
    let index = rusqlite::Connection::open(index_file(&dir)).unwrap();
    let since: i64 = index
        .query_row("SELECT since FROM loose", [], |row| row.get(0))
        .unwrap();
    assert_eq!(since, at(300).as_microsecond());
}

#[tokio::test]
async fn what_no_repository_has_goes_after_the_grace_unless_it_is_pushed_again() {
    let dir = Dir::new();
    let [cached, _, later_cached, later_pushed] = filled(&dir).await;
    restore(&config(&dir), None, at(300)).unwrap();
    let store = dir.open().await;
    let grace = Duration::from_secs(10);
    assert_eq!(store.collect(at(309), grace).await.unwrap().blobs, 0);
    let (bytes, _) = content(8);
    push(&store, &bytes, &later_pushed, 305).await;
    store.collect(at(310), grace).await.unwrap();
    assert!(!dir.blob(&later_cached).exists());
    assert!(has(&store, &later_pushed).await && dir.blob(&later_pushed).exists());
    assert_eq!(get(&store, &cached).await.map(|bytes| bytes.len()), Some(BIG));
}
