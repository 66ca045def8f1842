use super::*;
use crate::store::index::tests::{beside, digest, fresh, image, put, repo, unseen};

#[tokio::test]
async fn a_manifest_is_kept_whole_or_not_at_all() {
    let (dir, index) = fresh();
    let (name, layer) = ("docker.io/a", digest("layer"));
    let manifest = image([(layer, 5)]);
    let beside = beside(&dir);
    beside
        .execute_batch("CREATE TRIGGER t BEFORE INSERT ON tag BEGIN SELECT RAISE (ABORT, 'no'); END")
        .unwrap();
    let refused = index
        .put_manifest(put(name, &manifest, Some("latest")))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Write { fact, .. } if **fact == Fact::Manifest(manifest.digest())),
        "{refused}"
    );
    for asked in [layer, manifest.digest()] {
        let seen = index.sight(&repo(name), &asked).await.unwrap();
        assert_eq!(seen, unseen());
    }
    assert_eq!(index.manifest(&manifest.digest()).await.unwrap(), None);

    beside.execute_batch("DROP TRIGGER t").unwrap();
    index.put_manifest(put(name, &manifest, Some("latest"))).await.unwrap();
    assert!(index.sight(&repo(name), &layer).await.unwrap().link.is_some());
}

#[tokio::test]
async fn ten_thousand_names_in_a_manifest_are_one_quick_write() {
    let (_dir, index) = fresh();
    let layers = (0..9_990).map(|n| (digest(&n), n));
    let manifest = image(layers);
    let start = std::time::Instant::now();
    index
        .put_manifest(put("docker.io/a", &manifest, Some("latest")))
        .await
        .unwrap();
    assert!(
        start.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let last = index.sight(&repo("docker.io/a"), &digest(&9_989)).await.unwrap();
    assert_eq!(
        last.link,
        Some(Link {
            proven: false,
            size: Some(9_989)
        })
    );
}

#[tokio::test]
async fn bytes_that_are_not_what_their_digest_says_count_for_nothing_until_they_come_again() {
    let (dir, index) = fresh();
    let manifest = image([(digest("layer"), 5)]);
    index.put_manifest(put("docker.io/a", &manifest, None)).await.unwrap();
    let harm = "UPDATE manifest SET bytes = x'7b7d'";
    beside(&dir).execute(harm, []).unwrap();
    assert_eq!(index.manifest(&manifest.digest()).await.unwrap(), None);
    index.put_manifest(put("docker.io/a", &manifest, None)).await.unwrap();
    let stored = index.manifest(&manifest.digest()).await.unwrap().unwrap();
    assert_eq!(&stored.bytes, manifest.bytes());
}
