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

    let untouched = FileStep::new([], || panic!("the file of another row"));
    assert!(!index.drop_blob(&layer, old, untouched).await.unwrap());
    assert_eq!(index.blob(&layer).await.unwrap(), Some(new));
    assert!(index.drop_blob(&layer, new, FileStep::none()).await.unwrap());
    let seen = index.sight(&repo("docker.io/a"), &layer).await.unwrap();
    assert!(
        seen.blob.is_none() && seen.visible(),
        "it may be fetched and shown again"
    );
}
