//! Blobs that are here already (distribution-spec end-11): given to another repository without an upload, and never to
//! whoever may not read them.

use crate::support::client::Answer;
use crate::support::image::{Content, Image, OCI_MANIFEST, sha512};
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const APP: &str = "team/app";
const OTHER: &str = "team/other";

async fn harbour() -> (Wharf, Content) {
    let (wharf, blob) = (Setup::new().start().await, Content::seeded(1, 1000));
    wharf.push_blob(APP, &blob).await;
    (wharf, blob)
}

fn assert_mounted(answer: &Answer, name: &str, digest: &str) {
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), Some(&*format!("/v2/{name}/blobs/{digest}")));
    assert_eq!(answer.header("docker-content-digest"), Some(digest));
    assert_eq!(answer.header("content-length"), Some("0"));
}

/// Not possible: an ordinary upload has begun, and can be gone on with.
async fn assert_begun(wharf: &Wharf, answer: &Answer) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let status = wharf.get(answer.header("location").unwrap()).await;
    assert_eq!(status.status, 204, "{}", status.text());
}

#[tokio::test]
async fn a_blob_of_another_repository_is_there_at_once() {
    let (wharf, blob) = harbour().await;
    let from = format!("&from={APP}");
    assert_mounted(&wharf.mount(OTHER, blob.digest(), &from).await, OTHER, blob.digest());
    assert_eq!(wharf.get(&blob_path(OTHER, &blob)).await.body, blob.all());
    assert_mounted(&wharf.mount(OTHER, blob.digest(), &from).await, OTHER, blob.digest());
    assert_mounted(&wharf.mount(APP, blob.digest(), &from).await, APP, blob.digest());
    let encoded = blob.digest().replace(':', "%3A");
    let answer = wharf
        .mount("team/third", &encoded, "&from=team%2Fapp&origin=x.example")
        .await;
    assert_mounted(&answer, "team/third", blob.digest());
}

#[tokio::test]
async fn without_a_source_any_repository_will_do() {
    let (wharf, blob) = harbour().await;
    assert_mounted(&wharf.mount(OTHER, blob.digest(), "").await, OTHER, blob.digest());
    assert!(wharf.has_blob(OTHER, &blob).await);
    assert_begun(&wharf, &wharf.mount(OTHER, Content::of("absent").digest(), "").await).await;
}

#[tokio::test]
async fn a_sha512_blob_is_mounted_by_that_digest() {
    let (wharf, blob) = harbour().await;
    let digest = sha512(&blob.all());
    wharf.push_bytes(APP, &digest, &blob.all()).await;
    assert_mounted(
        &wharf.mount(OTHER, &digest, &format!("&from={APP}")).await,
        OTHER,
        &digest,
    );
    assert_eq!(wharf.status(&format!("/v2/{OTHER}/blobs/{digest}")).await, 200);
    assert!(!wharf.has_blob(OTHER, &blob).await, "that one has another name");
}

#[tokio::test]
async fn what_cannot_be_mounted_is_uploaded() {
    let (wharf, blob) = harbour().await;
    wharf.push_blob("team/third", &Content::of("other")).await;
    let absent = Content::of("absent");
    for (digest, from) in [
        (blob.digest(), "&from=team/third"),
        (blob.digest(), "&from=team/nobody"),
        (blob.digest(), "&from=Not/A/Name"),
        (blob.digest(), "&from=unknown.example/x"),
        (blob.digest(), "&from=library/alpine"),
        (absent.digest(), "&from=team/app"),
    ] {
        assert_begun(&wharf, &wharf.mount(OTHER, digest, from).await).await;
        assert!(!wharf.has_blob(OTHER, &blob).await, "{from}");
    }
    let answer = wharf.mount(OTHER, "sha256:bad", "&from=team/app").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "DIGEST_INVALID"));
    let target = format!("/v2/{OTHER}/blobs/uploads/?from={APP}");
    let answer = wharf.sends("POST", &target, &[("Content-Length", "0")], b"").await;
    assert_begun(&wharf, &answer).await;
}

#[tokio::test]
async fn a_manifest_is_no_blob_to_mount() {
    let wharf = Setup::new().start().await;
    let image = Image::oci(1, &[10]);
    wharf.push_image(APP, "v1", &image).await;
    assert_begun(
        &wharf,
        &wharf.mount(OTHER, image.digest(), &format!("&from={APP}")).await,
    )
    .await;
}

#[tokio::test]
async fn deleting_at_one_end_leaves_the_other() {
    let (wharf, blob) = harbour().await;
    let third = "team/third";
    for name in [OTHER, third] {
        wharf.mount(name, blob.digest(), &format!("&from={APP}")).await;
    }
    for (gone, left) in [(APP, vec![OTHER, third]), (third, vec![OTHER]), (OTHER, vec![])] {
        assert_eq!(wharf.delete(&blob_path(gone, &blob)).await.status, 202);
        assert!(!wharf.has_blob(gone, &blob).await);
        for name in left {
            assert!(wharf.has_blob(name, &blob).await, "{name}");
        }
    }
}

#[tokio::test]
async fn a_base_layer_from_an_upstream_is_not_uploaded_again() {
    let (upstream, base) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("library/alpine", "3", &base);
    let wharf = Wharf::of(&upstream).await;
    wharf.mounts_image("hub/library/alpine", APP, &base).await;
    wharf.push_manifest(APP, "v1", OCI_MANIFEST, &base.manifest.all()).await;
    upstream.stop().await;
    for blob in &base.blobs {
        assert_eq!(wharf.get(&blob_path(APP, blob)).await.body, blob.all());
    }
    assert_eq!(
        upstream.count(&On::blobs().get()),
        base.blobs.len(),
        "{}",
        upstream.story()
    );
    let anywhere = wharf.mount(OTHER, base.layer(0).digest(), "").await;
    assert_mounted(&anywhere, OTHER, base.layer(0).digest());
}

#[tokio::test]
async fn what_a_mirror_has_not_got_yet_is_not_fetched_for_a_mount() {
    let (upstream, base) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("a/b", "v1", &base);
    let wharf = Wharf::of(&upstream).await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    assert_begun(&wharf, &wharf.mount(APP, base.layer(0).digest(), "&from=hub/a/b").await).await;
    assert_eq!(upstream.count(&On::blobs()), 0, "{}", upstream.story());
}

/// `secret/app` of a mirror is in the cache; another repository of it, and another mirror, only name what it has.
#[tokio::test]
async fn a_mirrored_repository_gives_only_what_its_upstream_let_it_see() {
    let (home, stranger) = (Upstream::start(), Upstream::start());
    let image = Image::oci(1, &[1000]);
    let secret = image.layer(0);
    home.put_image("secret/app", "v1", &image);
    stranger.put_manifest("evil/app", "v1", OCI_MANIFEST, &image.manifest);
    let setup = Setup::new()
        .mirror(Mirror::of("home", &home))
        .mirror(Mirror::of("stranger", &stranger));
    let wharf = setup.start().await;
    assert_eq!(wharf.get(&blob_path("home/secret/app", secret)).await.status, 200);
    wharf.landed(&blob_path("home/secret/app", secret)).await;
    assert_eq!(wharf.get(&manifest_path("stranger/evil/app", "v1")).await.status, 200);
    for from in ["stranger/evil/app", "home/public/app"] {
        assert_begun(
            &wharf,
            &wharf.mount(APP, secret.digest(), &format!("&from={from}")).await,
        )
        .await;
        assert!(!wharf.has_blob(APP, secret).await, "{from}");
    }
    let known = wharf.mount(APP, secret.digest(), "&from=home/secret/app").await;
    assert_mounted(&known, APP, secret.digest());
}

#[tokio::test]
async fn who_may_push_but_not_pull_mounts_nothing() {
    let (mut wharf, blob) = harbour().await;
    wharf.kill();
    wharf.reconfigure(&Setup::new().table("access", "anonymous = [\"push\"]"));
    wharf.restart().await;
    for from in ["", "&from=team/app"] {
        let answer = wharf.mount(OTHER, blob.digest(), from).await;
        assert_eq!(answer.status, 202, "{from}");
    }
}
