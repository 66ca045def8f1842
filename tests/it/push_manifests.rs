//! Manifests that are pushed (distribution-spec end-7, `protocol` 1.8): kept byte for byte, with everything they name.

use crate::support::client::{Answer, Ended};
use crate::support::image::{Content, Image, OCI_MANIFEST};
use crate::support::manifest_path;
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;

fn assert_is(answer: &Answer, manifest: &Content, media_type: &str, digest: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((answer.body == manifest.all(), answer.ended), (true, Ended::Clean));
    assert_eq!(answer.header("content-type"), Some(media_type));
    assert_eq!(answer.header("docker-content-digest"), Some(digest));
    assert_eq!(answer.header("cache-status"), Some("wharf; hit"));
}

#[tokio::test]
async fn a_pushed_image_is_pulled_back_byte_for_byte() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    wharf.mounts_image("hub/a/b", "team/app", &image).await;
    upstream.stop().await;
    let target = manifest_path("team/app", "v1");
    let pushed = wharf.put_manifest(&target, OCI_MANIFEST, &image.manifest.all()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let location = manifest_path("team/app", image.digest());
    assert_eq!(pushed.header("location"), Some(location.as_str()));
    assert_eq!(pushed.header("docker-content-digest"), Some(image.digest()));
    assert_eq!(pushed.header("content-length"), Some("0"));
    for target in [&target, &location] {
        assert_is(&wharf.get(target).await, &image.manifest, OCI_MANIFEST, image.digest());
        let head = wharf.head(target).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some(OCI_MANIFEST)));
        assert_eq!(head.header("content-length"), Some(&*image.manifest.len().to_string()));
    }
}
