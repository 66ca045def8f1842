//! Random histories of pushes, mounts, deletions, moved tags and collections, against a model of what may go.

mod harbour;
mod model;

use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::Mutex;

use super::*;
use crate::store::{Deleted, Pushed};

use harbour::{Harbour, blob, manifest, repo};
use model::{GRACE, Kind, act};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_is_reachable_stays_and_what_is_not_goes_after_the_grace(acts in prop::collection::vec(act(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut harbour = Harbour::new().await;
            for act in &acts {
                harbour.act(act).await;
                harbour.check().await;
            }
            harbour.second += GRACE;
            harbour.collect().await;
            harbour.check().await;
            assert!(harbour.dir.files("trash").is_empty());
        });
    }
}

#[tokio::test]
async fn more_than_one_step_is_done_at_once_and_a_closing_wharf_begins_none() {
    let harbour = Harbour::new().await;
    for number in 0..=STEP {
        harbour.push(0, number).await;
    }
    let grace = Duration::ZERO;
    assert_eq!(
        harbour
            .store
            .collect(harbour.now(), Duration::from_secs(1))
            .await
            .unwrap(),
        Freed::default()
    );
    let freed = harbour.store.collect(harbour.now(), grace).await.unwrap();
    assert_eq!(freed.blobs, STEP + 1);
    assert!(harbour.dir.files("blobs/sha256").is_empty());

    harbour.push(0, 0).await;
    harbour.store.tasks.close(Duration::from_mins(1)).await;
    assert_eq!(
        harbour.store.collect(harbour.now(), grace).await.unwrap(),
        Freed::default()
    );
}

#[tokio::test]
async fn the_next_look_is_when_the_oldest_is_due() {
    let mut harbour = Harbour::new().await;
    let hour = Duration::from_hours(1);
    let look = async |harbour: &Harbour| harbour.store.collect_if_due(harbour.now(), hour).await.unwrap();
    assert_eq!(look(&harbour).await, hour, "nothing is loose");
    harbour.push(0, 0).await;
    harbour.second += 600;
    harbour.push(0, 1).await;
    assert_eq!(look(&harbour).await, Duration::from_mins(50));
    harbour.second += 3000;
    assert_eq!(
        look(&harbour).await,
        Duration::from_mins(10),
        "the first is gone, the second is not due"
    );
    assert!(!harbour.dir.blob(&blob(0).1).exists() && harbour.dir.blob(&blob(1).1).exists());
    harbour.second -= 3000;
    assert_eq!(look(&harbour).await, hour, "the clock was set back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_is_accepted_beside_a_collection_has_its_blobs() {
    let harbour = Harbour::new().await;
    let (store, now) = (harbour.store.clone(), harbour.now());
    let turn = Arc::new(Mutex::new(()));
    let turns = Arc::clone(&turn);
    let collecting = harbour.store.tasks.spawn(async move {
        let closing = store.tasks.closing();
        while !closing.is_cancelled() {
            let _turn = turns.lock().await;
            store.collect(now, Duration::ZERO).await.unwrap();
        }
    });
    let image = Kind::Image(1);
    let mut accepted = 0;
    for round in 0..100 {
        // A collection that is always under way may win every time.
        let _alone = if round % 4 == 0 { Some(turn.lock().await) } else { None };
        harbour.push(0, 0).await;
        let put = harbour.put(0, image, true);
        if harbour.store.push_manifest(put).await.unwrap() != Pushed::Done {
            continue;
        }
        accepted += 1;
        let sight = harbour.store.sight(&repo(0), &blob(0).1).await.unwrap();
        assert!(sight.visible());
        assert!(
            harbour
                .store
                .open_blob(&blob(0).1, &sight.blob.unwrap())
                .await
                .unwrap()
                .is_some()
        );
        assert!(harbour.dir.blob(&blob(0).1).exists());
        let deleted = harbour
            .store
            .delete_manifest(&repo(0), &manifest(image).digest(), now)
            .await;
        assert_eq!(deleted.unwrap(), Deleted::Done);
    }
    assert!(accepted > 0);
    harbour.store.tasks.close(Duration::from_mins(1)).await;
    collecting.await.unwrap();
}
