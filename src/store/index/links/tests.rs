use super::*;
use crate::store::index::tests::{digest, fresh, image, landing, put, repo, tag};

#[tokio::test]
async fn nothing_is_seen_of_what_nobody_brought() {
    let (_dir, index) = fresh();
    let sight = index.sight(&repo("a"), &digest("x")).await.unwrap();
    assert_eq!(
        sight,
        Sight {
            link: None,
            blob: None,
            manifest: false,
            entered_here: false
        }
    );
    assert!(!sight.visible());
    assert_eq!(index.blob(&digest("x")).await.unwrap(), None);
    assert_eq!(index.manifest(&digest("x")).await.unwrap(), None);
    assert_eq!(index.tag(&repo("a"), &tag("latest")).await.unwrap(), None);
}

#[tokio::test]
async fn a_manifest_makes_what_it_names_visible_in_its_repository_alone() {
    let (_dir, index) = fresh();
    let (here, there, layer) = (repo("docker.io/a"), repo("docker.io/b"), digest("layer"));
    let manifest = image([(layer, 5)]);
    index.put_manifest(put(here.as_str(), &manifest, None)).await.unwrap();
    index.land(landing(1, layer, 5, &[there.as_str()])).await.unwrap();

    let named = index.sight(&here, &layer).await.unwrap();
    assert_eq!(
        named.link,
        Some(Link {
            proven: false,
            size: Some(5)
        })
    );
    assert!(named.visible(), "named, and it entered through the same mirror");
    assert!(index.sight(&here, &manifest.digest()).await.unwrap().visible());
    assert!(!index.sight(&there, &manifest.digest()).await.unwrap().visible());
    assert!(!index.sight(&repo("docker.io/c"), &layer).await.unwrap().visible());
}

#[tokio::test]
async fn naming_a_digest_does_not_show_what_entered_through_another_mirror() {
    let (_dir, index) = fresh();
    let (private, layer) = (repo("quay.io/private"), digest("layer"));
    index.land(landing(1, layer, 5, &["docker.io/a"])).await.unwrap();
    index
        .link(&private, Some("quay.io"), &layer, false, Some(5))
        .await
        .unwrap();
    let seen = index.sight(&private, &layer).await.unwrap();
    assert!(seen.blob.is_some() && !seen.entered_here && !seen.visible());

    index.link(&private, Some("quay.io"), &layer, true, None).await.unwrap();
    assert!(
        index.sight(&private, &layer).await.unwrap().visible(),
        "its own upstream has answered for it"
    );
    index
        .link(&private, Some("quay.io"), &layer, false, None)
        .await
        .unwrap();
    assert!(
        index.sight(&private, &layer).await.unwrap().visible(),
        "and that is not taken back by a manifest"
    );
}

#[tokio::test]
async fn the_first_claim_of_a_size_stays_until_the_bytes_are_counted() {
    let (_dir, index) = fresh();
    let (name, layer) = ("docker.io/a", digest("layer"));
    let claimed = async || index.sight(&repo(name), &layer).await.unwrap().link.unwrap().size;
    index
        .put_manifest(put(name, &image([(layer, u64::MAX)]), None))
        .await
        .unwrap();
    assert_eq!(claimed().await, None, "no file is that long");
    index.put_manifest(put(name, &image([(layer, 5)]), None)).await.unwrap();
    index.put_manifest(put(name, &image([(layer, 6)]), None)).await.unwrap();
    assert_eq!(claimed().await, Some(5));
    index.land(landing(1, layer, 7, &[name])).await.unwrap();
    assert_eq!(claimed().await, Some(7));
}
