mod leaving;

use std::pin::pin;

use bytes::Bytes;
use futures_util::poll;
use jiff::Timestamp;

use super::*;
use crate::oci::{Algorithm, Digest, RepoKey};
use crate::store::tests::{BIG, Dir, MIRROR, content, get, put, remote};
use crate::store::{BlobRow, Upload, UploadRow};

/// What a blob of a little more than `BIG` bytes takes.
const ONE: u64 = 300 * 1024;

fn within(dir: &Dir, max_size: u64) -> Config {
    Config {
        max_size: Size::Bytes(max_size),
        min_free: Size::Bytes(0),
        ..dir.config()
    }
}

async fn open(dir: &Dir, max_size: u64) -> Store {
    Store::open(&within(dir, max_size), Tasks::new()).await.unwrap()
}

/// Content that is not like another's.
fn one(n: usize) -> (Vec<u8>, Digest) {
    content(BIG + n)
}

async fn cache(store: &Store, n: usize) -> Digest {
    let (bytes, digest) = one(n);
    put(store, &bytes, &digest).await;
    digest
}

async fn is_kept(store: &Store, n: usize) -> bool {
    let stored = store.index.blob(&one(n).1).await.unwrap();
    stored.is_some()
}

async fn kept(store: &Store, of: usize) -> Vec<usize> {
    let mut kept = Vec::new();
    for n in 0..of {
        if is_kept(store, n).await {
            kept.push(n);
        }
    }
    kept
}

/// Bytes on the disk below these directories.
fn on_disk(dir: &Dir) -> u64 {
    let files = ["blobs/sha256", "staging", "uploads"].map(|under| dir.files(under));
    let files = files.into_iter().flatten();
    // One may go while we look.
    files
        .filter_map(|file| disk::stamp(&file).unwrap())
        .map(|stamp| stamp.allocated)
        .sum()
}

fn app() -> RepoKey {
    "team/app".parse().unwrap()
}

async fn begin(store: &Store) -> (UploadRow, Upload) {
    let (app, now) = (app(), Timestamp::UNIX_EPOCH);
    let begun = store.begin_upload(&app, "anonymous", Algorithm::Sha256, now);
    begun.await.unwrap()
}

async fn push(store: &Store, n: usize) -> Digest {
    let (bytes, digest) = one(n);
    let (_, mut upload) = begin(store).await;
    upload.append(&[Bytes::from(bytes)]).unwrap();
    let (received, app) = (upload.verify(&digest).await.unwrap(), app());
    let landed = store.commit_upload(received, &app, Timestamp::UNIX_EPOCH);
    landed.await.unwrap();
    digest
}

async fn blob_row(store: &Store, digest: &Digest) -> BlobRow {
    store.index.blob(digest).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_least_recently_pulled_makes_room_and_no_more_goes_than_must() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    for n in 0..3 {
        cache(&store, n).await;
    }
    assert_eq!(kept(&store, 3).await, [0, 1, 2]);
    get(&store, &one(0).1).await.unwrap();
    cache(&store, 3).await;
    assert_eq!(kept(&store, 4).await, [0, 2, 3]);
    assert!(on_disk(&dir) <= 3 * ONE, "{}", on_disk(&dir));
    assert_eq!(dir.files("blobs/sha256").len(), 3);
    assert!(dir.files("trash").is_empty());
}

#[tokio::test]
async fn who_waits_for_a_turn_finds_room_in_what_was_pulled_meanwhile() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    for n in 0..3 {
        cache(&store, n).await;
    }
    let turn = store.budget.turn.acquire().await.unwrap();
    let mut waiting = pin!(store.budget.reserve(Incoming::Partial(99), ONE));
    // Far more than it takes to come to its turn.
    for _ in 0..500 {
        assert!(poll!(&mut waiting).is_pending());
        store.index.flush().await.unwrap();
    }
    for n in 0..3 {
        get(&store, &one(n).1).await.unwrap();
    }
    drop(turn);
    waiting.await.unwrap();
    assert_eq!(kept(&store, 3).await, [1, 2]);
}

#[tokio::test]
async fn what_could_not_fit_even_so_is_refused_at_once_and_nothing_goes_for_it() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    cache(&store, 0).await;
    let wanted = 3 * ONE + 1;
    let refused = store.stage(MIRROR, &remote(), &one(1).1, Some(wanted)).await;
    assert!(
        matches!(refused, Err(Error::NoRoom { needed, full: false }) if needed >= wanted),
        "{refused:?}"
    );
    assert!(is_kept(&store, 0).await);
    assert!(dir.files("staging").is_empty() && store.index.partials().await.unwrap().is_empty());
    assert_eq!(
        store.budget.ledger.evictable(),
        ONE.next_multiple_of(4096).min(on_disk(&dir))
    );
}

#[tokio::test]
async fn what_is_open_is_no_victim() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    for n in 0..3 {
        cache(&store, n).await;
    }
    let digest = one(0).1;
    let blob = store
        .open_blob(&digest, &blob_row(&store, &digest).await)
        .await
        .unwrap()
        .unwrap();
    // Pulled less recently than both others, and sent still.
    for n in [1, 2] {
        get(&store, &one(n).1).await.unwrap();
    }
    let extent = blob.extent(0..7);
    drop(blob);
    cache(&store, 3).await;
    assert_eq!(kept(&store, 4).await, [0, 2, 3]);
    let refused = store.stage(MIRROR, &remote(), &one(4).1, Some(3 * ONE)).await;
    assert!(matches!(refused, Err(Error::NoRoom { .. })), "{refused:?}");
    assert_eq!(kept(&store, 4).await, [0, 2, 3], "and nothing goes in vain");
    drop(extent);
    drop(store.stage(MIRROR, &remote(), &one(4).1, Some(3 * ONE)).await.unwrap());
    assert_eq!(kept(&store, 4).await, [0_usize; 0]);
}

#[tokio::test]
async fn what_is_pushed_is_neither_counted_nor_evicted_until_its_last_repository_goes() {
    let dir = Dir::new();
    let store = open(&dir, 2 * ONE).await;
    for n in 0..3 {
        push(&store, n).await;
    }
    cache(&store, 3).await;
    cache(&store, 2).await;
    assert_eq!(kept(&store, 4).await, [0, 1, 2, 3]);
    for n in 4..8 {
        cache(&store, n).await;
    }
    assert_eq!(kept(&store, 8).await, [0, 1, 2, 6, 7]);
    // A mirror's repository has this one, too.
    store.delete_blob(&app(), &one(2).1).await.unwrap();
    assert!(is_kept(&store, 2).await);
    assert!(store.budget.ledger.excess(u64::MAX) > 0);
    store.budget.make_room().await.unwrap();
    assert_eq!(
        kept(&store, 8).await,
        [0, 1, 7],
        "the one that became counted was pulled before 6"
    );
}

#[tokio::test]
async fn without_a_length_room_is_found_step_by_step() {
    let dir = Dir::new();
    let store = open(&dir, 4 * ONE).await;
    for n in 0..4 {
        cache(&store, n).await;
    }
    let (bytes, digest) = one(4);
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    assert_eq!(kept(&store, 4).await, [1, 2, 3]);
    staged.write(0, vec![Bytes::from(bytes.clone())]).await.unwrap();
    let rest = vec![Bytes::from(vec![0; 3 * BIG])];
    staged.write(BIG as u64, rest).await.unwrap();
    assert_eq!(kept(&store, 4).await, [0_usize; 0]);
    let refused = staged.write(4 * BIG as u64, vec![Bytes::from(vec![0; 100_000])]).await;
    assert!(matches!(refused, Err(Error::NoRoom { .. })), "{refused:?}");
    assert_eq!(
        staged.arriving().present().0,
        4 * BIG as u64,
        "nothing of it is written"
    );
    assert!(on_disk(&dir) <= 4 * ONE);
}

#[tokio::test]
async fn an_idle_partial_is_counted_and_goes_in_its_turn_and_one_that_arrives_stays() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    cache(&store, 0).await;
    let (bytes, digest) = one(1);
    let staged = store
        .stage(MIRROR, &remote(), &digest, Some(BIG as u64 + 1))
        .await
        .unwrap();
    staged
        .write(0, vec![Bytes::copy_from_slice(&bytes[..200_000])])
        .await
        .unwrap();
    cache(&store, 2).await;
    cache(&store, 3).await;
    assert_eq!(kept(&store, 4).await, [2, 3], "and the one that arrives");
    drop(staged);
    get(&store, &one(2).1).await.unwrap();
    get(&store, &one(3).1).await.unwrap();
    cache(&store, 4).await;
    assert_eq!(kept(&store, 5).await, [2, 3, 4]);
    assert!(dir.files("staging").is_empty());
    assert_eq!(store.resume_at(MIRROR, &digest, None).await.unwrap(), Some(0));
}

#[tokio::test]
async fn an_upload_has_room_made_for_it_and_is_never_refused() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    for n in 0..3 {
        cache(&store, n).await;
    }
    let (row, mut upload) = begin(&store).await;
    for n in 1..=8 {
        upload.append(&[Bytes::from(vec![0; BIG])]).unwrap();
        let ahead = store.budget.ledger.held(Incoming::Upload(row.id));
        assert!(ahead > n * BIG as u64 + 4096, "{ahead}");
        store.budget.make_room().await.unwrap();
        let its_own = (n * BIG as u64).next_multiple_of(4096);
        assert!(on_disk(&dir) <= its_own.max(3 * ONE));
    }
    assert_eq!(kept(&store, 3).await, [0_usize; 0]);
    drop(upload);
    store.cancel_upload(&row.id).await.unwrap();
    cache(&store, 3).await;
    assert_eq!(store.budget.ledger.excess(u64::MAX), 0, "it holds nothing any more");
}

#[tokio::test]
async fn what_an_earlier_process_has_left_under_way_is_counted() {
    let dir = Dir::new();
    let store = open(&dir, 4 * ONE).await;
    let (bytes, digest) = one(0);
    let staged = store.stage(MIRROR, &remote(), &digest, Some(BIG as u64)).await.unwrap();
    staged
        .write(0, vec![Bytes::copy_from_slice(&bytes[..200_000])])
        .await
        .unwrap();
    drop(staged);
    let (_, mut upload) = begin(&store).await;
    upload.append(&[Bytes::from(bytes)]).unwrap();
    drop(upload);
    cache(&store, 1).await;
    store.close().await.unwrap();
    drop(store);

    let left = on_disk(&dir);
    let store = open(&dir, left).await;
    assert_eq!(store.budget.ledger.reserve(Incoming::Partial(99), 1, u64::MAX), Err(1));
    store.budget.ledger.end(Incoming::Partial(99));
    let store = {
        store.close().await.unwrap();
        drop(store);
        open(&dir, left - 1).await
    };
    store.budget.make_room().await.unwrap();
    assert!(dir.files("staging").is_empty(), "the least recently pulled");
}

#[tokio::test]
async fn a_disk_that_others_fill_takes_what_is_cached() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    cache(&store, 0).await;
    store.close().await.unwrap();
    drop(store);
    let config = Config {
        min_free: Size::Percent(100),
        ..within(&dir, 3 * ONE)
    };
    let store = Store::open(&config, Tasks::new()).await.unwrap();
    assert!(is_kept(&store, 0).await);
    store.budget.make_room().await.unwrap();
    assert!(!is_kept(&store, 0).await && dir.files("blobs/sha256").is_empty());
    let refused = store.stage(MIRROR, &remote(), &one(1).1, Some(1)).await;
    assert!(matches!(refused, Err(Error::NoRoom { full: true, .. })), "{refused:?}");
}

#[tokio::test]
async fn what_lands_is_never_counted_twice() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    let (bytes, digest) = one(0);
    let staged = store
        .stage(MIRROR, &remote(), &digest, Some(bytes.len() as u64))
        .await
        .unwrap();
    staged.write(0, vec![bytes.into()]).await.unwrap();
    let verified = staged.verify().await.unwrap();
    let (size, staged) = (verified.size(), verified.into_staged());
    let repo = RepoKey::mirrored(MIRROR, &remote());
    store.land(&staged, digest, size, MIRROR, &repo).await.unwrap();
    let reserved = store.budget.ledger.held(Incoming::Partial(staged.id()));
    assert_eq!((reserved, store.budget.ledger.evictable()), (0, on_disk(&dir)));
    staged.landed();
    assert_eq!(store.budget.ledger.evictable(), on_disk(&dir));
}
