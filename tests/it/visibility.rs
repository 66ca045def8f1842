//! Who may see a blob: content is stored once, and served only to a repository that its own upstream let in.

use std::time::Duration;

use crate::support::client::{Answer, Ended};
use crate::support::image::{Content, Image, MIB, OCI_MANIFEST};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path, quiet};

/// `team/secret` holds a blob, `public/app` does not; the secret is in the cache.
async fn harbour() -> (Upstream, Wharf, Content) {
    let (upstream, secret) = (Upstream::start(), Content::seeded(1, MIB));
    upstream.put_blob("team/secret", &secret);
    upstream.put_image("public/app", "v1", &Image::oci(1, &[10]));
    let wharf = Wharf::of(&upstream).await;
    assert_eq!(wharf.get(&blob_path("hub/team/secret", &secret)).await.status, 200);
    wharf.landed(&blob_path("hub/team/secret", &secret)).await;
    (upstream, wharf, secret)
}

#[tokio::test]
async fn a_private_digest_is_not_visible_through_another_repository() {
    let (upstream, wharf, secret) = harbour().await;
    let target = blob_path("hub/public/app", &secret);
    for (method, range) in [("GET", None), ("HEAD", None), ("GET", Some(("Range", "bytes=0-9")))] {
        let answer = wharf.send(method, &target, range.as_slice()).await.whole().await;
        assert_eq!(answer.status, 404, "{method} {range:?}");
    }
    assert!(
        upstream.count(&On::blobs().repo("public/app")) > 0,
        "its own upstream repository decides"
    );
    upstream.stop().await;
    let answer = wharf.get(&target).await;
    assert!(answer.status >= 400, "offline nothing can be proven");
    assert_eq!(wharf.get(&blob_path("hub/team/secret", &secret)).await.status, 200);
}

#[tokio::test]
async fn a_private_manifest_is_not_visible_through_another_repository() {
    let (upstream, wharf, _) = harbour().await;
    let secret = Image::oci(7, &[10]);
    upstream.put_image("team/secret", "v1", &secret);
    assert_eq!(wharf.get(&manifest_path("hub/team/secret", "v1")).await.status, 200);
    let target = manifest_path("hub/public/app", secret.digest());
    assert_eq!(
        (wharf.get(&target).await.status, wharf.head(&target).await.status),
        (404, 404)
    );
    upstream.stop().await;
    assert!(wharf.get(&target).await.status >= 400);
}

#[tokio::test]
async fn a_repository_that_has_the_blob_too_proves_it_with_one_head_and_no_download() {
    let (upstream, wharf, blob) = harbour().await;
    upstream.put_blob("public/app", &blob);
    for _ in 0..3 {
        let answer = wharf.get(&blob_path("hub/public/app", &blob)).await;
        assert_eq!((answer.status, answer.body == blob.all()), (200, true));
    }
    assert_eq!(upstream.count(&On::blobs().get()), 1, "{}", upstream.story());
    assert_eq!(
        upstream.count(&On::blobs().head().repo("public/app")),
        1,
        "{}",
        upstream.story()
    );
    upstream.stop().await;
    assert_eq!(
        wharf.get(&blob_path("hub/public/app", &blob)).await.status,
        200,
        "what is proven stays so"
    );
}

#[tokio::test]
async fn a_manifest_of_another_mirror_that_names_a_digest_opens_nothing() {
    let (home, stranger) = (Upstream::start(), Upstream::start());
    let image = Image::oci(1, &[MIB]);
    let secret = image.layer(0);
    home.put_blob("team/secret", secret);
    stranger.put_manifest("evil/app", "v1", OCI_MANIFEST, &image.manifest);
    let setup = Setup::new()
        .mirror(Mirror::of("home", &home))
        .mirror(Mirror::of("stranger", &stranger));
    let wharf = setup.start().await;
    assert_eq!(wharf.get(&blob_path("home/team/secret", secret)).await.status, 200);
    wharf.landed(&blob_path("home/team/secret", secret)).await;
    assert_eq!(wharf.get(&manifest_path("stranger/evil/app", "v1")).await.status, 200);

    let target = blob_path("stranger/evil/app", secret);
    assert_eq!(
        (wharf.get(&target).await.status, wharf.head(&target).await.status),
        (404, 404)
    );

    stranger.put_image("kind/app", "v1", &image);
    assert_eq!(wharf.get(&manifest_path("stranger/kind/app", "v1")).await.status, 200);
    let proven = wharf.get(&blob_path("stranger/kind/app", secret)).await;
    assert_eq!((proven.status, proven.body == secret.all()), (200, true));
    assert_eq!(
        stranger.count(&On::blobs().get().repo("kind/app")),
        0,
        "a HEAD is enough: {}",
        stranger.story()
    );
}

#[tokio::test]
async fn a_descriptor_with_urls_or_of_a_nondistributable_type_opens_nothing() {
    let (upstream, wharf, secret) = harbour().await;
    let plain = "application/vnd.oci.image.layer.v1.tar+gzip";
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (tag, media_type, urls) in [
        ("urls", plain, vec!["https://example.com/x"]),
        ("foreign", foreign, vec![]),
    ] {
        let image = Image::oci(3, &[10]);
        let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest.all()).unwrap();
        manifest["layers"][0] = secret.descriptor(media_type);
        if !urls.is_empty() {
            manifest["layers"][0]["urls"] = serde_json::json!(urls);
        }
        upstream.put_manifest("public/app", tag, OCI_MANIFEST, &Content::of(manifest.to_string()));
        assert_eq!(wharf.get(&manifest_path("hub/public/app", tag)).await.status, 200);
        let answer = wharf.get(&blob_path("hub/public/app", &secret)).await;
        assert_eq!(answer.status, 404, "{tag}");
    }
}

#[tokio::test]
async fn a_refusal_of_one_repository_does_not_end_the_pull_of_another() {
    for status in [404, 403, 401] {
        let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, MIB), Gate::shut());
        upstream.put_blob("has/it", &blob);
        upstream.script(
            On::blobs().repo("has/not"),
            [Act::Status(status), Act::HoldHead(gate.clone())],
        );
        let wharf = Wharf::of(&upstream).await;
        let (mut refused, mut served) = (wharf.connect().await, wharf.connect().await);
        refused.ask("GET", &blob_path("hub/has/not", &blob), &[]).await;
        upstream
            .until("the first to be asked for", |upstream| {
                upstream.count(&On::blobs()) == 1
            })
            .await;
        served.ask("GET", &blob_path("hub/has/it", &blob), &[]).await;
        // Time to take a seat in the first one's flight, if that is what happens.
        quiet(Duration::from_millis(100), std::future::pending::<()>()).await;
        gate.open();

        let refused = refused.answer(false).await.unwrap().whole().await;
        assert_eq!(
            refused.status,
            if status == 404 { 404 } else { 403 },
            "{}",
            refused.text()
        );
        let served = served.answer(false).await.unwrap().whole().await;
        assert_eq!(
            (served.status, served.body == blob.all()),
            (200, true),
            "{status}: {}",
            upstream.story()
        );
    }
}

#[tokio::test]
async fn joining_a_flight_takes_the_same_proof_as_reading_the_store() {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, MIB), Gate::at(MIB / 2));
    upstream.put_blob("has/it", &blob);
    upstream.put_image("has/not", "v1", &Image::oci(1, &[10]));
    upstream.script(On::blobs().repo("has/it"), [Act::Hold(gate.clone())]);
    let wharf = Wharf::of(&upstream).await;
    let mut pilot = wharf.open(&blob_path("hub/has/it", &blob)).await;
    pilot.exactly(MIB / 2).await;
    for method in ["GET", "HEAD"] {
        let answer = wharf.send(method, &blob_path("hub/has/not", &blob), &[]).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    gate.open();
    assert_eq!(pilot.rest().await.1, Ended::Clean);
}

/// Asks for a manifest by digest in `first`, and as long as its GET is held in `second`.
async fn two_at_once(upstream: &Upstream, wharf: &Wharf, first: &str, second: &str) -> (Answer, Answer) {
    let gate = Gate::shut();
    upstream.script(On::manifests().get(), [Act::HoldHead(gate.clone())]);
    two_held_by(gate, upstream, wharf, first, second).await
}

async fn two_held_by(gate: Gate, upstream: &Upstream, wharf: &Wharf, first: &str, second: &str) -> (Answer, Answer) {
    let asked = upstream.count(&On::any());
    let mut clients = (wharf.connect().await, wharf.connect().await);
    clients.0.ask("GET", first, &[]).await;
    upstream
        .until("the first to be asked for", |upstream| {
            upstream.count(&On::any()) > asked
        })
        .await;
    clients.1.ask("GET", second, &[]).await;
    // Time to take a seat in the first one's flight, if that is what happens.
    quiet(Duration::from_millis(100), std::future::pending::<()>()).await;
    gate.open();
    (
        clients.0.answer(false).await.unwrap().whole().await,
        clients.1.answer(false).await.unwrap().whole().await,
    )
}

#[tokio::test]
async fn one_manifest_asked_for_in_two_repositories_at_once_is_fetched_once_and_proven_for_each() {
    for named in [false, true] {
        let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
        upstream.put_image("first/app", "v1", &image);
        upstream.put_index("second/app", "multi", &[&image]);
        let wharf = Wharf::of(&upstream).await;
        if named {
            assert_eq!(wharf.get(&manifest_path("hub/second/app", "multi")).await.status, 200);
        }
        let paths = ["hub/first/app", "hub/second/app"].map(|name| manifest_path(name, image.digest()));
        let (first, second) = two_at_once(&upstream, &wharf, &paths[0], &paths[1]).await;
        for answer in [first, second] {
            assert_eq!((answer.status, answer.body == image.manifest.all()), (200, true));
        }
        let count = |on: On| upstream.count(&on.of(image.digest()));
        assert_eq!(count(On::manifests().get()), 1, "{}", upstream.story());
        // An index of its own that names it is right enough; without one its upstream repository is asked.
        let heads = count(On::manifests().head().repo("second/app"));
        assert_eq!(heads, usize::from(!named), "{}", upstream.story());
    }
}

#[tokio::test]
async fn a_manifest_that_another_repository_fetches_at_this_moment_opens_nothing() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("has/it", "v1", &image);
    upstream.put_image("has/not", "v1", &Image::oci(2, &[10]));
    let wharf = Wharf::of(&upstream).await;
    let paths = ["hub/has/it", "hub/has/not"].map(|name| manifest_path(name, image.digest()));
    let (served, refused) = two_at_once(&upstream, &wharf, &paths[0], &paths[1]).await;
    assert_eq!((served.status, refused.status), (200, 404), "{}", upstream.story());
}

#[tokio::test]
async fn a_refusal_of_one_repository_does_not_end_the_manifest_of_another() {
    for status in [404, 403, 401] {
        let (upstream, image, gate) = (Upstream::start(), Image::oci(1, &[10]), Gate::shut());
        upstream.put_image("has/it", "v1", &image);
        let refusal = [Act::Status(status), Act::HoldHead(gate.clone())];
        upstream.script(On::manifests().repo("has/not"), refusal);
        let wharf = Wharf::of(&upstream).await;
        let paths = ["hub/has/not", "hub/has/it"].map(|name| manifest_path(name, image.digest()));
        let (refused, served) = two_held_by(gate, &upstream, &wharf, &paths[0], &paths[1]).await;
        assert_eq!(refused.status, if status == 404 { 404 } else { 403 }, "{status}");
        assert_eq!(served.status, 200, "{status}: {}", upstream.story());
    }
}

/// Who asks by tag while somebody fetches the same manifest by its digest must not lose the tag over it.
#[tokio::test]
async fn a_tag_moves_also_when_its_manifest_is_fetched_for_somebody_else() {
    let (upstream, old, new) = (Upstream::start(), Image::oci(1, &[10]), Image::oci(2, &[10]));
    upstream.put_image("a/b", "v1", &old);
    let mirror = Mirror::of("hub", &upstream).set("fresh_for", "\"0s\"");
    let mut wharf = Setup::new().mirror(mirror).start().await;
    let tag = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&tag).await.status, 200);
    upstream.put_image("a/b", "v1", &new);
    let (_, led) = two_at_once(&upstream, &wharf, &manifest_path("hub/a/b", new.digest()), &tag).await;
    assert!(led.body == new.manifest.all(), "{}", upstream.story());
    upstream.stop().await;
    wharf.kill();
    wharf.restart().await;
    assert!(wharf.get(&tag).await.body == new.manifest.all(), "the tag went back");
}
