//! P4, P5 and P6 on bad days: every way in which a registry fails, and what it does to every kind of request. The table is also
//! README's.

mod ask;
mod fault;
mod readme;
mod table;
mod world;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use table::TABLE;
use world::{Asked, World};

/// Worlds at a time; most of their time is spent waiting.
const WORLDS: usize = 6;

/// Each fault of each row, in a world of its own.
async fn all_hold(asked: Asked) {
    let (mut cells, room) = (JoinSet::new(), Arc::new(Semaphore::new(WORLDS)));
    for row in TABLE {
        for fault in row.faults {
            let room = Arc::clone(&room);
            cells.spawn(async move {
                let _place = room.acquire().await;
                let held = tokio::spawn(async move { World::new(*fault, asked).await.holds_to(row).await });
                held.await.map_err(|error| format!("{fault:?}, {asked:?}: {error}"))
            });
        }
    }
    let failed: Vec<_> = cells.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn a_cached_tag_answers_whatever_the_registry_does() {
    all_hold(Asked::CachedTag).await;
}

#[tokio::test]
async fn a_cached_digest_answers_whatever_the_registry_does_and_asks_nobody() {
    all_hold(Asked::CachedDigest).await;
}

#[tokio::test]
async fn who_asks_for_an_uncached_tag_hears_the_truth() {
    all_hold(Asked::UncachedTag).await;
}

#[tokio::test]
async fn who_asks_for_an_uncached_blob_hears_the_truth() {
    all_hold(Asked::UncachedBlob).await;
}

#[tokio::test]
async fn a_blob_under_way_comes_whole_or_is_cut_and_never_wrong() {
    all_hold(Asked::UnderWay).await;
}
