use super::*;
use crate::store::index::tests::{digest, fresh, image, landing, put, repo, tag, unseen};

#[tokio::test]
async fn nothing_is_seen_of_what_nobody_brought() {
    let (_dir, index) = fresh();
    let sight = index.sight(&repo("a"), &digest("x")).await.unwrap();
    assert_eq!(sight, unseen());
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
    index.land(landing(1, layer, 5, there.as_str())).await.unwrap();

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
    index.land(landing(1, layer, 5, "docker.io/a")).await.unwrap();
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
async fn claims_of_a_size_must_agree_until_the_bytes_are_counted() {
    let (_dir, index) = fresh();
    let (name, layer) = ("docker.io/a", digest("layer"));
    let claimed = async || index.sight(&repo(name), &layer).await.unwrap().link.unwrap().size;
    let claim = async |size| {
        let manifest = image([(layer, size)]);
        index.put_manifest(put(name, &manifest, None)).await.unwrap();
        claimed().await
    };
    assert_eq!(claim(5).await, Some(5));
    assert_eq!(claim(5).await, Some(5));
    assert_eq!(claim(6).await, None, "either may be wrong");
    assert_eq!(claim(5).await, None, "and saying it again proves nothing");
    index.land(landing(1, layer, 7, name)).await.unwrap();
    assert_eq!(claimed().await, Some(7));
    assert_eq!(claim(5).await, Some(7), "counted");
}

#[tokio::test]
async fn a_size_that_no_file_can_have_is_none() {
    let (_dir, index) = fresh();
    let (name, layer) = ("docker.io/a", digest("layer"));
    let manifest = image([(layer, u64::MAX)]);
    index.put_manifest(put(name, &manifest, None)).await.unwrap();
    let link = index.sight(&repo(name), &layer).await.unwrap().link.unwrap();
    assert_eq!(link.size, None);
}
