//! What is counted while something goes, or comes, and nobody waits for it.

use std::task::Poll;

use super::*;
use crate::store::index::FileStep;

#[tokio::test]
async fn what_goes_is_counted_until_its_file_is_gone() {
    let dir = Dir::new();
    let store = open(&dir, 60 * ONE).await;
    for n in 0..40 {
        cache(&store, n).await;
    }
    let mut going = pin!(store.budget.evict(store.index.last_use(), u64::MAX));
    loop {
        let counted = store.budget.ledger.evictable();
        let taken = on_disk(&dir);
        assert!(counted >= taken, "{counted} of {taken}");
        match poll!(&mut going) {
            Poll::Ready(more) => break assert!(!more.unwrap().more),
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
    assert_eq!((on_disk(&dir), store.budget.ledger.evictable()), (0, 0));
}

#[tokio::test]
async fn who_leaves_while_room_is_made_leaves_no_file_behind() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    for n in 0..3 {
        cache(&store, n).await;
    }
    {
        let mut left = pin!(store.budget.evict(store.index.last_use(), ONE));
        assert!(poll!(&mut left).is_pending());
    }
    assert!(store.tasks.close(Duration::from_secs(30)).await);
    assert_eq!(kept(&store, 3).await, [2]);
    assert_eq!(dir.files("blobs/sha256"), [dir.blob(&one(2).1)]);
}

#[tokio::test]
async fn what_is_written_counts_also_when_nobody_waits_for_it() {
    // Not written within one look.
    const LONG: usize = 32 * 1024 * 1024;
    let dir = Dir::new();
    let store = open(&dir, 2 * LONG as u64).await;
    let (bytes, digest) = content(LONG);
    let staged = store
        .stage(MIRROR, &remote(), &digest, Some(LONG as u64))
        .await
        .unwrap();
    {
        let mut left = pin!(staged.write(0, vec![bytes.into()]));
        assert!(poll!(&mut left).is_pending());
    }
    drop(staged);
    assert!(store.tasks.close(Duration::from_secs(30)).await);
    let taken = on_disk(&dir);
    assert_eq!((taken > 0, store.budget.ledger.evictable()), (true, taken));
}

#[tokio::test]
async fn a_blob_that_comes_back_while_it_is_removed_stays() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    let digest = cache(&store, 0).await;
    // As it is between the two steps of an eviction.
    let seen = blob_row(&store, &digest).await;
    let none = |_hosted| FileStep::none();
    store.index.drop_blob(&digest, seen, none).await.unwrap();
    cache(&store, 0).await;
    store.clear(&digest).await;
    assert!(is_kept(&store, 0).await && dir.blob(&digest).exists());
}

#[tokio::test]
async fn what_is_pinned_while_room_is_made_stays() {
    let dir = Dir::new();
    let store = open(&dir, 3 * ONE).await;
    let pinned = cache(&store, 0).await;
    cache(&store, 1).await;
    let pin = format!("{MIRROR}/a@{pinned}").parse().unwrap();
    store.configure_pins(&[pin]);
    while store.budget.evict(store.index.last_use(), 2 * ONE).await.unwrap().more {}
    assert_eq!(kept(&store, 2).await, [0]);
}
