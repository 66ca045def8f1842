use super::*;
use crate::store::index::tests::{MIRROR, beside, digest, fresh, image, landing, open, put};

const NAME: &str = "docker.io/a";

/// Lands blobs that are named by numbers.
async fn land(index: &Index, blobs: std::ops::Range<u64>) {
    for n in blobs {
        index.land(landing(100 + n, digest(&n), 5, NAME)).await.unwrap();
    }
}

/// The blobs and the partials, the one pulled least recently first.
async fn order(dir: &tempfile::TempDir, index: &Index) -> Vec<String> {
    const READ: &str = "
        SELECT name FROM (SELECT used, digest AS name FROM blob UNION ALL SELECT used, 'partial ' || id FROM staged)
        ORDER BY used";
    index.flush().await.unwrap();
    let beside = beside(dir);
    let mut read = beside.prepare(READ).unwrap();
    let names = read.query_map([], |row| row.get(0)).unwrap();
    names.collect::<rusqlite::Result<_>>().unwrap()
}

fn texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(sql::text).collect()
}

#[tokio::test]
async fn what_is_pulled_goes_to_the_end_and_a_manifest_takes_along_what_it_names() {
    let (dir, index) = fresh();
    land(&index, 0..4).await;
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| digest(&n));
    assert_eq!(order(&dir, &index).await, texts(&[a, b, c, d]));
    index.note_pull(Pulled::Blob(b));
    assert_eq!(order(&dir, &index).await, texts(&[a, c, d, b]));
    let manifest = image([(a, 5)]);
    index.put_manifest(put(NAME, &manifest, None)).await.unwrap();
    index.note_pull(Pulled::Manifest(manifest.digest()));
    assert_eq!(order(&dir, &index).await, texts(&[c, d, b, a]));
    land(&index, 2..3).await;
    assert_eq!(order(&dir, &index).await, texts(&[d, b, a, c]), "fetched anew");
}

#[tokio::test]
async fn a_partial_is_used_when_it_is_taken_up_and_when_it_is_left() {
    let (dir, index) = fresh();
    let remote = "library/a".parse().unwrap();
    let id = index.partial(MIRROR, &remote, &digest("x")).await.unwrap().id;
    land(&index, 0..1).await;
    let partial = format!("partial {id}");
    let blob = sql::text(&digest(&0));
    assert_eq!(order(&dir, &index).await, [partial.clone(), blob.clone()]);
    index.note_pull(Pulled::Partial(id));
    assert_eq!(order(&dir, &index).await, [blob.clone(), partial.clone()]);
    land(&index, 0..1).await;
    index.partial(MIRROR, &remote, &digest("x")).await.unwrap();
    assert_eq!(order(&dir, &index).await, [blob.clone(), partial.clone()]);
}

#[tokio::test]
async fn the_order_goes_on_after_a_restart() {
    let (dir, index) = fresh();
    land(&index, 0..3).await;
    index.note_pull(Pulled::Blob(digest(&0)));
    let last = index.last_use();
    index.close().await.unwrap();
    drop(index);
    let index = open(&dir);
    assert_eq!(index.last_use(), last);
    index.note_pull(Pulled::Blob(digest(&1)));
    assert_eq!(order(&dir, &index).await, texts(&[2, 0, 1].map(|n| digest(&n))));
}
