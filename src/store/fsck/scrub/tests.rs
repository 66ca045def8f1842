#![expect(clippy::disallowed_methods, reason = "the tests harm the store behind its back")]

use std::fs;

use super::*;
use crate::store::tests::{Dir, content, put};

const DAY: Duration = Duration::from_hours(24);

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

/// Small blobs, in the order in which they are looked at.
async fn filled(dir: &Dir) -> (Store, Vec<Digest>) {
    let store = dir.open().await;
    let mut digests = Vec::new();
    for length in 1..=5 {
        let (bytes, digest) = content(length);
        put(&store, &bytes, &digest).await;
        digests.push(digest);
    }
    digests.sort_by_key(ToString::to_string);
    (store, digests)
}

fn harm(dir: &Dir, digest: &Digest) {
    let mut bytes = fs::read(dir.blob(digest)).unwrap();
    bytes[0] ^= 1;
    fs::write(dir.blob(digest), bytes).unwrap();
}

async fn is_stored(store: &Store, digest: &Digest) -> bool {
    store.index.blob(digest).await.unwrap().is_some()
}

#[tokio::test]
async fn content_is_proven_once_in_a_period_and_what_is_damaged_goes() {
    let dir = Dir::new();
    let (store, digests) = filled(&dir).await;
    harm(&dir, &digests[2]);
    assert_eq!(store.scrub_if_due(now(), DAY).await.unwrap(), DAY);
    assert!(!is_stored(&store, &digests[2]).await && !dir.blob(&digests[2]).exists());

    harm(&dir, &digests[0]);
    assert_eq!(store.scrub_if_due(now() + DAY / 2, DAY).await.unwrap(), DAY / 2);
    assert!(is_stored(&store, &digests[0]).await, "not yet");
    store.scrub_if_due(now() + DAY, DAY).await.unwrap();
    assert!(!is_stored(&store, &digests[0]).await);
}

#[tokio::test]
async fn a_round_goes_on_where_it_was() {
    let dir = Dir::new();
    let (store, digests) = filled(&dir).await;
    harm(&dir, &digests[0]);
    harm(&dir, &digests[4]);
    let (began, behind) = (now(), Some(digests[1]));
    let done = false;
    store.index.note_scrub(Round { began, behind, done }).await.unwrap();
    assert_eq!(store.scrub_if_due(now() + DAY / 2, DAY).await.unwrap(), DAY / 2);
    assert!(is_stored(&store, &digests[0]).await, "it was looked at before");
    assert!(!is_stored(&store, &digests[4]).await);
}

#[tokio::test]
async fn what_landed_last_is_proven_soon_after_an_unclean_stop_and_only_then() {
    for unclean in [false, true] {
        let dir = Dir::new();
        let (store, digests) = filled(&dir).await;
        let (began, behind, done) = (now(), None, true);
        store.index.note_scrub(Round { began, behind, done }).await.unwrap();
        if !unclean {
            store.close().await.unwrap();
        }
        drop(store);
        harm(&dir, &digests[3]);
        let store = dir.open().await;
        let scrub = Scrub::Every(DAY);
        let keeping = store
            .tasks
            .spawn(store.clone().keep_scrubbed(Clock::manual(now()), scrub));
        if unclean {
            while is_stored(&store, &digests[3]).await {
                tokio::task::yield_now().await;
            }
        }
        assert!(store.tasks.close(Duration::from_mins(1)).await);
        keeping.await.unwrap();
        assert_eq!(is_stored(&store, &digests[3]).await, !unclean);
    }
}
