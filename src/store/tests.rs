#![expect(clippy::disallowed_methods, reason = "the tests damage the store behind its back")]

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use super::*;
use crate::oci::{Algorithm, RemoteName, RepoName};

const MIRROR: &str = "docker.io";

pub(super) struct Dir(pub(super) tempfile::TempDir);

impl Dir {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub(super) async fn try_open(&self) -> Result<Store, Error> {
        let config = Config {
            path: self.0.path().join("store"),
            ..Config::default()
        };
        Store::open(&config, Tasks::new()).await
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
async fn a_partial_is_resumed_where_it_ended_also_after_a_restart() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (first, rest) = bytes.split_at(100_000);
    let staged = store.stage(MIRROR, &remote(), &digest, Some(BIG as u64)).await.unwrap();
    staged.write(0, vec![Bytes::copy_from_slice(first)]).await.unwrap();
    drop(staged);
    store.close().await.unwrap();
    drop(store);

    let store = dir.open().await;
    assert_eq!(store.resume_at(MIRROR, &digest, None).await.unwrap(), Some(100_000));
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    assert!(staged.is_resumed());
    assert_eq!(staged.arriving().length(), Some(BIG as u64));
    staged.write(100_000, vec![Bytes::copy_from_slice(rest)]).await.unwrap();
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, &repo()).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
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
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, &repo()).await.unwrap();
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

type Damage = (&'static str, fn(&Path));

/// What can happen to a blob's file behind our back.
fn damages() -> [Damage; 6] {
    fn later(path: &Path) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
    }
    fn flip(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
        later(path);
    }
    [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("truncated", |path| {
            fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
        }),
        ("emptied", |path| fs::write(path, b"").unwrap()),
        ("longer", |path| {
            fs::write(path, [fs::read(path).unwrap(), b"x".to_vec()].concat()).unwrap();
        }),
        ("flipped", flip),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ]
}

#[tokio::test]
async fn damage_behind_our_back_is_a_miss_and_the_content_can_come_again() {
    for length in [1000, BIG] {
        for (how, damage) in damages() {
            let dir = Dir::new();
            let (bytes, digest) = content(length);
            {
                let store = dir.open().await;
                put(&store, &bytes, &digest).await;
                store.close().await.unwrap();
            }
            damage(&dir.blob(&digest));
            let store = dir.open().await;
            assert_eq!(get(&store, &digest).await, None, "{how}, {length} bytes");
            assert!(
                store.sight(&repo(), &digest).await.unwrap().blob.is_none(),
                "{how}: the row is gone"
            );
            put(&store, &bytes, &digest).await;
            assert_eq!(get(&store, &digest).await, Some(bytes), "{how}, {length} bytes");
        }
    }
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_proven_and_served() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    put(&store, &bytes, &digest).await;
    let before = store.sight(&repo(), &digest).await.unwrap().blob.unwrap();
    let file = fs::File::options().write(true).open(dir.blob(&digest)).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
    let after = store.sight(&repo(), &digest).await.unwrap().blob.unwrap();
    assert_ne!(before.modified_ns, after.modified_ns, "the proof is kept");
}

#[tokio::test]
async fn a_commit_cut_between_rename_and_row_becomes_a_partial_again() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    {
        let store = dir.open().await;
        let staged = store.stage(MIRROR, &remote(), &digest, Some(BIG as u64)).await.unwrap();
        staged.write(0, vec![bytes.clone().into()]).await.unwrap();
        drop(staged);
        store.close().await.unwrap();
    }
    fs::rename(&dir.files("staging")[0], dir.blob(&digest)).unwrap();
    let store = dir.open().await;
    assert!(dir.files("blobs/sha256").is_empty());
    assert_eq!(
        store.resume_at(MIRROR, &digest, None).await.unwrap(),
        None,
        "nothing is missing"
    );
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, &repo()).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn a_partial_of_what_has_come_another_way_goes_at_the_next_start() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    let store = dir.open().await;
    let staged = store
        .stage("other", &remote(), &digest, Some(BIG as u64))
        .await
        .unwrap();
    staged
        .write(0, vec![Bytes::copy_from_slice(&bytes[..1000])])
        .await
        .unwrap();
    put(&store, &bytes, &digest).await;
    drop((staged, store));

    let store = dir.open().await;
    assert!(dir.files("staging").is_empty());
    assert_eq!(store.resume_at("other", &digest, None).await.unwrap(), Some(0));
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn what_no_row_explains_is_tidied_and_foreign_files_are_left_alone() {
    let dir = Dir::new();
    dir.open().await.close().await.unwrap();
    let root = dir.0.path().join("store");
    fs::write(root.join("staging/4711"), b"a partial without a row").unwrap();
    fs::write(root.join("staging/notes.txt"), b"somebody's").unwrap();
    fs::write(root.join("trash/x"), b"rubbish").unwrap();
    let tasks = Tasks::new();
    let config = Config {
        path: root.clone(),
        ..Config::default()
    };
    let _store = Store::open(&config, tasks.clone()).await.unwrap();
    assert!(tasks.close(Duration::from_secs(30)).await);
    assert_eq!(dir.files("staging"), [root.join("staging/notes.txt")]);
    assert!(dir.files("trash").is_empty());
}

/// Runs what recovery leaves for the background to its end.
pub(super) async fn tidied(dir: &Dir) {
    let tasks = Tasks::new();
    let config = Config {
        path: dir.0.path().join("store"),
        ..Config::default()
    };
    let store = Store::open(&config, tasks.clone()).await.unwrap();
    while store.running.doubts().is_some() {
        tokio::task::yield_now().await;
    }
    store.close().await.unwrap();
    assert!(tasks.close(Duration::from_secs(30)).await);
}

#[tokio::test]
async fn a_blob_whose_row_a_crash_has_taken_goes_and_those_with_a_row_stay() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    let store = dir.open().await;
    put(&store, &bytes, &digest).await;
    // Without `close`: as a process that is killed leaves it.
    drop(store);
    let stray = dir.blob(&Digest::of(Algorithm::Sha256, b"stray"));
    let foreign = stray.with_file_name("notes.txt");
    fs::write(&stray, b"renamed, and then the power went").unwrap();
    fs::write(&foreign, b"somebody's").unwrap();
    tidied(&dir).await;
    let mut left = [dir.blob(&digest), foreign.clone()];
    left.sort();
    assert_eq!(dir.files("blobs/sha256"), left);
    assert!(dir.files("trash").is_empty());

    fs::write(&stray, b"put there behind our back").unwrap();
    tidied(&dir).await;
    assert!(stray.exists(), "after a clean end nobody looks");
}

#[tokio::test]
async fn a_blob_whose_commit_failed_behind_its_rename_is_looked_for_also_after_a_clean_end() {
    let dir = Dir::new();
    // As if killed before: the end of the look that follows can be seen, and nothing looks again while this one runs.
    fs::create_dir(dir.0.path().join("store")).unwrap();
    fs::write(dir.0.path().join("store/running"), "").unwrap();
    let store = dir.open().await;
    assert!(store.running.doubts().is_some());
    while store.running.doubts().is_some() {
        tokio::task::yield_now().await;
    }
    let (bytes, digest) = content(BIG);
    let beside = rusqlite::Connection::open(dir.0.path().join("store/index/index.sqlite3")).unwrap();
    let refuse = "CREATE TRIGGER t BEFORE DELETE ON staged BEGIN SELECT RAISE (ABORT, 'no'); END";
    beside.execute_batch(refuse).unwrap();
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    staged.write(0, vec![bytes.into()]).await.unwrap();
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, &repo()).await.unwrap_err();
    beside.execute_batch("DROP TRIGGER t").unwrap();
    // A fetch that brings something else takes the row with it.
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    store.discard(staged).await.unwrap();
    assert_eq!(dir.files("blobs/sha256"), [dir.blob(&digest)]);
    store.close().await.unwrap();
    drop((store, beside));
    tidied(&dir).await;
    assert!(dir.files("blobs/sha256").is_empty());
}

#[tokio::test]
async fn a_damaged_blob_leaves_no_rubbish_whenever_who_asked_for_it_leaves() {
    for polls in 1..8 {
        let dir = Dir::new();
        let rubbish = dir.0.path().join("store/trash/old");
        fs::create_dir_all(rubbish.parent().unwrap()).unwrap();
        fs::write(&rubbish, "old").unwrap();
        let store = dir.open().await;
        while rubbish.exists() {
            tokio::task::yield_now().await;
        }
        let (bytes, digest) = content(BIG);
        put(&store, &bytes, &digest).await;
        fs::write(dir.blob(&digest), "short").unwrap();
        let row = store.index.blob(&digest).await.unwrap().unwrap();
        let mut left = polls;
        let mut opening = pin!(store.open_blob(&digest, &row));
        poll_fn(|cx| {
            left -= 1;
            let opened = opening.as_mut().poll(cx).is_ready();
            if opened || left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert!(store.tasks.close(Duration::from_secs(30)).await);
        store.close().await.unwrap();
        assert!(dir.files("trash").is_empty(), "{polls}");
    }
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let dir = Dir::new();
    let _first = dir.open().await;
    assert!(matches!(dir.try_open().await, Err(Error::Locked { .. })));
}
