//! What clients delete (distribution-spec end-9, end-10): gone at once, in one repository, and nothing that is needed.

use crate::support::client::Answer;
use crate::support::image::{Content, Image, OCI_INDEX, OCI_MANIFEST, sha512};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const APP: &str = "team/app";
const OTHER: &str = "team/other";

async fn harbour() -> (Wharf, Image) {
    let (wharf, image) = (Setup::new().start().await, Image::oci(1, &[1000]));
    wharf.push_image(APP, "v1", &image).await;
    (wharf, image)
}

fn assert_gone(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (202, Some("0")),
        "{}",
        answer.text()
    );
}

/// Refused because `by` names it.
fn assert_needed(answer: &Answer, by: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (405, "DENIED"));
    assert!(answer.header("allow").is_some());
    assert!(answer.text().contains(by), "{}", answer.text());
}

fn assert_absent(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (404, code));
}

impl Wharf {
    async fn tags(&self, name: &str) -> Vec<String> {
        let list = self.get(&format!("/v2/{name}/tags/list")).await;
        let list: serde_json::Value = serde_json::from_slice(&list.body).unwrap();
        let tags = list["tags"].as_array().unwrap().iter();
        tags.map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_tag_goes_at_once_and_alone() {
    let (wharf, image) = harbour().await;
    wharf
        .push_manifest(APP, "v2", OCI_MANIFEST, &image.manifest.all())
        .await;
    assert!(wharf.has_manifest(APP, "v1").await);
    assert_gone(&wharf.delete(&manifest_path(APP, "v1")).await);
    assert_eq!(wharf.status(&manifest_path(APP, "v1")).await, 404);
    assert_eq!(wharf.tags(APP).await, ["v2"]);
    assert!(wharf.has_manifest(APP, "v2").await && wharf.has_manifest(APP, image.digest()).await);
    assert_absent(&wharf.delete(&manifest_path(APP, "v1")).await, "MANIFEST_UNKNOWN");
    assert_gone(&wharf.delete(&manifest_path(APP, "v2")).await);
    assert!(wharf.tags(APP).await.is_empty());
    assert!(
        wharf.has_manifest(APP, image.digest()).await,
        "it is there until it is deleted itself"
    );
}

#[tokio::test]
async fn a_manifest_goes_with_every_tag_that_points_to_it() {
    let (wharf, image) = harbour().await;
    let bytes = image.manifest.all();
    for tag in ["v2", "latest"] {
        wharf.push_manifest(APP, tag, OCI_MANIFEST, &bytes).await;
    }
    wharf.push_image(APP, "stays", &Image::oci(2, &[10])).await;
    assert_gone(&wharf.delete(&manifest_path(APP, image.digest())).await);
    for reference in ["v1", "v2", "latest", image.digest()] {
        assert_eq!(wharf.status(&manifest_path(APP, reference)).await, 404, "{reference}");
    }
    assert_eq!(wharf.tags(APP).await, ["stays"]);
    assert_absent(
        &wharf.delete(&manifest_path(APP, image.digest())).await,
        "MANIFEST_UNKNOWN",
    );
    assert!(
        wharf.has_blob(APP, image.layer(0)).await,
        "a push that goes on now finds it still"
    );
    wharf.push_manifest(APP, "again", OCI_MANIFEST, &bytes).await;
    assert!(wharf.has_manifest(APP, image.digest()).await);
}

#[tokio::test]
async fn a_sha512_manifest_is_deleted_by_that_digest() {
    let (wharf, image) = harbour().await;
    let bytes = image.manifest.all();
    let digest = sha512(&bytes);
    wharf
        .push_manifest(APP, &format!("{digest}?tag=v512"), OCI_MANIFEST, &bytes)
        .await;
    assert_gone(&wharf.delete(&manifest_path(APP, &digest)).await);
    assert_eq!(wharf.tags(APP).await, ["v1"]);
    assert!(
        wharf.has_manifest(APP, image.digest()).await,
        "that one has another name"
    );
}

#[tokio::test]
async fn a_child_of_an_index_stays_until_the_index_is_gone() {
    let (wharf, image) = harbour().await;
    let fat = Image::index(&[&image]);
    wharf.push_manifest(APP, "fat", OCI_INDEX, &fat.all()).await;
    assert_needed(&wharf.delete(&manifest_path(APP, image.digest())).await, fat.digest());
    assert!(wharf.has_manifest(APP, "v1").await);
    assert_gone(&wharf.delete(&manifest_path(APP, "v1")).await);
    assert_gone(&wharf.delete(&manifest_path(APP, fat.digest())).await);
    assert!(wharf.has_manifest(APP, image.digest()).await);
    assert_gone(&wharf.delete(&manifest_path(APP, image.digest())).await);
}

#[tokio::test]
async fn a_blob_stays_while_a_manifest_of_its_repository_names_it() {
    let (wharf, image) = harbour().await;
    let layer = image.layer(0);
    wharf.push_blob(OTHER, layer).await;
    assert_needed(&wharf.delete(&blob_path(APP, layer)).await, image.digest());
    assert_gone(&wharf.delete(&blob_path(OTHER, layer)).await);
    assert!(!wharf.has_blob(OTHER, layer).await && wharf.has_blob(APP, layer).await);
    assert_absent(&wharf.delete(&blob_path(OTHER, layer)).await, "BLOB_UNKNOWN");
    assert_gone(&wharf.delete(&manifest_path(APP, image.digest())).await);
    assert_gone(&wharf.delete(&blob_path(APP, layer)).await);
    assert!(!wharf.has_blob(APP, layer).await);
    let put = wharf
        .put_manifest(&manifest_path(APP, "v1"), OCI_MANIFEST, &image.manifest.all())
        .await;
    assert_eq!((put.status, put.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
    wharf.push_image(APP, "v1", &image).await;
}

#[tokio::test]
async fn what_one_repository_deletes_another_one_keeps() {
    let (wharf, image) = harbour().await;
    wharf.push_image(OTHER, "v1", &image).await;
    assert_gone(&wharf.delete(&manifest_path(APP, image.digest())).await);
    for blob in &image.blobs {
        assert_gone(&wharf.delete(&blob_path(APP, blob)).await);
        assert!(!wharf.has_blob(APP, blob).await && wharf.has_blob(OTHER, blob).await);
    }
    assert!(!wharf.has_manifest(APP, "v1").await && wharf.has_manifest(OTHER, "v1").await);
    assert_gone(&wharf.delete(&manifest_path(OTHER, image.digest())).await);
    let files = || std::fs::read_dir(wharf.store().join("blobs/sha256")).unwrap().count();
    for (left, blob) in image.blobs.iter().enumerate().rev() {
        assert_gone(&wharf.delete(&blob_path(OTHER, blob)).await);
        assert_eq!(files(), left, "content that nobody has leaves the disk");
    }
    assert_eq!(std::fs::read_dir(wharf.store().join("trash")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_never_there_is_a_404() {
    let (wharf, image) = harbour().await;
    let absent = Content::of("absent");
    for (target, code) in [
        (manifest_path(APP, "v9"), "MANIFEST_UNKNOWN"),
        (manifest_path(APP, absent.digest()), "MANIFEST_UNKNOWN"),
        (manifest_path(APP, image.layer(0).digest()), "MANIFEST_UNKNOWN"),
        (blob_path(APP, &absent), "BLOB_UNKNOWN"),
        (format!("/v2/{APP}/blobs/{}", image.digest()), "BLOB_UNKNOWN"),
        (manifest_path("team/nobody", "v1"), "NAME_UNKNOWN"),
        (manifest_path("team/nobody", image.digest()), "NAME_UNKNOWN"),
        (blob_path("team/nobody", image.layer(0)), "NAME_UNKNOWN"),
    ] {
        assert_absent(&wharf.delete(&target).await, code);
    }
    let answer = wharf.delete(&manifest_path(APP, "sha256:bad")).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn a_deleted_referrer_is_no_longer_listed() {
    let (wharf, image) = harbour().await;
    let subject = image.manifest.descriptor(OCI_MANIFEST);
    let body = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject });
    let sbom = Content::of(body.to_string());
    wharf.push_manifest(APP, sbom.digest(), OCI_INDEX, &sbom.all()).await;
    let referrers = format!("/v2/{APP}/referrers/{}", image.digest());
    assert!(wharf.get(&referrers).await.text().contains(sbom.digest()));
    assert_gone(&wharf.delete(&manifest_path(APP, image.digest())).await);
    assert!(
        wharf.get(&referrers).await.text().contains(sbom.digest()),
        "a subject protects nothing, and needs nothing"
    );
    assert_gone(&wharf.delete(&manifest_path(APP, sbom.digest())).await);
    assert!(!wharf.get(&referrers).await.text().contains(sbom.digest()));
}

#[tokio::test]
async fn what_is_deleted_stays_so_after_a_kill() {
    let (mut wharf, image) = harbour().await;
    let fat = Image::index(&[&image]);
    wharf.push_manifest(APP, "fat", OCI_INDEX, &fat.all()).await;
    assert_gone(&wharf.delete(&manifest_path(APP, "v1")).await);
    assert_gone(&wharf.delete(&manifest_path(APP, fat.digest())).await);
    wharf.kill();
    wharf.restart().await;
    assert!(wharf.tags(APP).await.is_empty());
    assert!(!wharf.has_manifest(APP, fat.digest()).await);
    assert!(wharf.has_manifest(APP, image.digest()).await);
}

#[tokio::test]
async fn a_cached_layer_survives_the_deletion_of_the_pushed_one() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    wharf.mounts_image("hub/a/b", APP, &image).await;
    assert_gone(&wharf.delete(&blob_path(APP, image.layer(0))).await);
    assert!(!wharf.has_blob(APP, image.layer(0)).await);
    upstream.stop().await;
    assert!(wharf.has_blob("hub/a/b", image.layer(0)).await);
}

/// As the conformance suites clean up: tags, then manifests from the last one on, then blobs; each gone at once.
#[tokio::test]
async fn a_repository_can_be_emptied() {
    let (wharf, image) = harbour().await;
    let fat = Image::index(&[&image]);
    let nested = Image::index(&[
        &image,
        &Image {
            manifest: fat.clone(),
            media_type: OCI_INDEX,
            blobs: Vec::new(),
        },
    ]);
    wharf.push_manifest(APP, "fat", OCI_INDEX, &fat.all()).await;
    wharf.push_manifest(APP, "nested", OCI_INDEX, &nested.all()).await;
    let manifests = [nested.digest(), fat.digest(), image.digest()].map(|digest| manifest_path(APP, digest));
    let tags = ["v1", "fat", "nested"].map(|tag| manifest_path(APP, tag));
    let blobs = image.blobs.iter().map(|blob| blob_path(APP, blob));
    for target in tags.into_iter().chain(manifests).chain(blobs) {
        assert_gone(&wharf.delete(&target).await);
        assert_eq!(wharf.status(&target).await, 404, "{target}");
    }
}
