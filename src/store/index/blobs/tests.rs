use super::*;
use crate::store::index::tests::{digest, fresh, landing, repo};

#[tokio::test]
async fn a_blob_that_was_fetched_anew_is_not_dropped_for_the_old_ones_damage() {
    let (_dir, index) = fresh();
    let layer = digest("layer");
    let (old, new) = (
        BlobRow {
            size: 5,
            modified_ns: 7,
        },
        BlobRow {
            size: 5,
            modified_ns: 8,
        },
    );
    index.land(landing(1, layer, 5, "docker.io/a")).await.unwrap();
    assert!(index.reprove_blob(&layer, old, 8).await.unwrap());
    assert!(!index.reprove_blob(&layer, old, 9).await.unwrap());

    let untouched = |_| panic!("the file of another row");
    assert_eq!(index.drop_blob(&layer, old, untouched).await.unwrap(), Dropped::Not);
    assert_eq!(index.blob(&layer).await.unwrap(), Some(new));
    let dropped = index.drop_blob(&layer, new, |_| FileStep::none()).await.unwrap();
    assert_eq!(dropped, Dropped::Cached);
    let seen = index.sight(&repo("docker.io/a"), &layer).await.unwrap();
    assert!(
        seen.blob.is_none() && seen.visible(),
        "it may be fetched and shown again"
    );
}

#[tokio::test]
async fn a_file_is_taken_from_a_blobs_place_only_while_no_row_says_that_it_is_the_blob() {
    let (_dir, index) = fresh();
    let (stored, stray) = (digest("stored"), digest("stray"));
    index.land(landing(1, stored, 5, "docker.io/a")).await.unwrap();
    let untouched = FileStep::new([], || panic!("somebody's blob"));
    assert!(!index.unless_stored(&stored, untouched).await.unwrap());
    assert!(index.unless_stored(&stray, FileStep::none()).await.unwrap());
    assert_eq!(index.unstored(vec![stray, stored]).await.unwrap(), [stray]);
}
