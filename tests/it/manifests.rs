//! P1 and P5 for manifests: one HEAD per tag and freshness window, one GET per digest, bytes exactly as they came.

use crate::support::client::{Answer, Ended};
use crate::support::image::{Content, DOCKER_MANIFEST, Image, OCI_INDEX, OCI_MANIFEST, sha512};
use crate::support::manifest_path;
use crate::support::script::{Act, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

async fn harbour() -> (Upstream, Wharf, Image) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    (upstream, wharf, image)
}

/// A wharf that asks about a tag every time.
async fn watchful(upstream: &Upstream) -> Wharf {
    Setup::new()
        .mirror(Mirror::of("hub", upstream).set("fresh_for", "\"0s\""))
        .start()
        .await
}

fn assert_is(answer: &Answer, manifest: &Content, media_type: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((answer.body == manifest.all(), answer.ended), (true, Ended::Clean));
    assert_eq!(answer.header("content-type"), Some(media_type));
    assert_eq!(answer.header("docker-content-digest"), Some(manifest.digest()));
    assert_eq!(
        answer.header("content-length"),
        Some(manifest.len().to_string().as_str())
    );
}

#[tokio::test]
async fn a_fresh_tag_is_asked_for_once_by_head_and_fetched_by_digest() {
    let (upstream, wharf, image) = harbour().await;
    for _ in 0..10 {
        assert_is(
            &wharf.get(&manifest_path("hub/a/b", "v1")).await,
            &image.manifest,
            OCI_MANIFEST,
        );
    }
    assert_eq!(
        upstream.count(&On::manifests().head().of("v1")),
        1,
        "{}",
        upstream.story()
    );
    assert_eq!(
        upstream.count(&On::manifests().get().of(image.digest())),
        1,
        "{}",
        upstream.story()
    );
    assert_eq!(upstream.count(&On::any()), 2, "{}", upstream.story());
}

#[tokio::test]
async fn a_tag_that_has_not_moved_costs_one_head_and_no_get() {
    let (upstream, _, image) = harbour().await;
    let wharf = watchful(&upstream).await;
    for _ in 0..5 {
        assert_is(
            &wharf.get(&manifest_path("hub/a/b", "v1")).await,
            &image.manifest,
            OCI_MANIFEST,
        );
    }
    assert_eq!(upstream.count(&On::manifests().get()), 1, "{}", upstream.story());
    assert_eq!(upstream.count(&On::manifests().head()), 5, "{}", upstream.story());
}

#[tokio::test]
async fn a_tag_that_has_moved_is_fetched_anew_by_its_digest() {
    let (upstream, _, old) = harbour().await;
    let wharf = watchful(&upstream).await;
    assert_is(
        &wharf.get(&manifest_path("hub/a/b", "v1")).await,
        &old.manifest,
        OCI_MANIFEST,
    );
    let new = Image::docker(2, &[1000]);
    upstream.put_image("a/b", "v1", &new);
    assert_is(
        &wharf.get(&manifest_path("hub/a/b", "v1")).await,
        &new.manifest,
        DOCKER_MANIFEST,
    );
    assert_is(
        &wharf.get(&manifest_path("hub/a/b", old.digest())).await,
        &old.manifest,
        OCI_MANIFEST,
    );
    assert_eq!(upstream.count(&On::manifests().get()), 2, "{}", upstream.story());
    assert_eq!(
        upstream.count(&On::manifests().get().of("v1")),
        0,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn a_herd_for_one_tag_costs_one_head_and_one_get() {
    let (upstream, wharf, image) = harbour().await;
    let target = manifest_path("hub/a/b", "v1");
    let mut clients = Vec::new();
    for _ in 0..48 {
        let mut client = wharf.connect().await;
        client.ask("GET", &target, &[]).await;
        clients.push(client);
    }
    for client in clients {
        assert_is(
            &client.answer(false).await.unwrap().whole().await,
            &image.manifest,
            OCI_MANIFEST,
        );
    }
    assert_eq!(upstream.count(&On::manifests().head()), 1, "{}", upstream.story());
    assert_eq!(upstream.count(&On::manifests().get()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn a_digest_is_fetched_once_and_then_never_asked_for_again() {
    let (upstream, wharf, image) = harbour().await;
    let target = manifest_path("hub/a/b", image.digest());
    for _ in 0..3 {
        assert_is(&wharf.get(&target).await, &image.manifest, OCI_MANIFEST);
    }
    assert_eq!(upstream.count(&On::any()), 1, "{}", upstream.story());
    upstream.stop().await;
    assert_is(&wharf.get(&target).await, &image.manifest, OCI_MANIFEST);
}

#[tokio::test]
async fn head_says_what_get_says_and_downloads_nothing() {
    let (upstream, wharf, image) = harbour().await;
    for reference in ["v1", image.digest()] {
        let target = manifest_path("hub/a/b", reference);
        let head = wharf.head(&target).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(upstream.count(&On::manifests().get()), 0, "{}", upstream.story());
        for (name, value) in [
            ("content-type", OCI_MANIFEST.to_owned()),
            ("content-length", image.manifest.len().to_string()),
            ("docker-content-digest", image.digest().to_owned()),
            ("etag", format!("\"{}\"", image.digest())),
        ] {
            assert_eq!(head.header(name), Some(value.as_str()), "{reference} {name}");
        }
    }
    let get = wharf.get(&manifest_path("hub/a/b", "v1")).await;
    assert_is(&get, &image.manifest, OCI_MANIFEST);
    assert_eq!(get.header("etag"), Some(format!("\"{}\"", image.digest()).as_str()));
    assert_eq!(
        upstream.count(&On::manifests().head().of("v1")),
        1,
        "HEAD and GET share one resolution"
    );
}

#[tokio::test]
async fn the_images_of_an_index_are_fetched_only_when_asked_for() {
    let (upstream, amd64, arm64) = (Upstream::start(), Image::oci(1, &[100]), Image::docker(2, &[100]));
    let index = upstream.put_index("a/b", "multi", &[&amd64, &arm64]);
    let wharf = Wharf::of(&upstream).await;
    assert_is(&wharf.get(&manifest_path("hub/a/b", "multi")).await, &index, OCI_INDEX);
    assert_eq!(upstream.count(&On::manifests().get()), 1, "{}", upstream.story());
    assert_is(
        &wharf.get(&manifest_path("hub/a/b", arm64.digest())).await,
        &arm64.manifest,
        DOCKER_MANIFEST,
    );
    assert_eq!(upstream.count(&On::manifests().get()), 2, "{}", upstream.story());
    assert_eq!(
        upstream.count(&On::manifests().of(amd64.digest())),
        0,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn accept_and_range_change_nothing_about_a_manifest() {
    let (_upstream, wharf, image) = harbour().await;
    for header in [
        ("Accept", "application/json"),
        ("Accept", OCI_INDEX),
        ("Range", "bytes=0-9"),
        ("Accept-Encoding", "gzip"),
    ] {
        let answer = wharf
            .send("GET", &manifest_path("hub/a/b", "v1"), &[header])
            .await
            .whole()
            .await;
        assert_is(&answer, &image.manifest, OCI_MANIFEST);
    }
}

#[tokio::test]
async fn a_manifest_that_the_client_has_is_not_sent_again() {
    let (_upstream, wharf, image) = harbour().await;
    for reference in ["v1", image.digest()] {
        let target = manifest_path("hub/a/b", reference);
        for tag in [
            image.digest().to_owned(),
            format!("\"{}\"", image.digest()),
            format!("W/\"{}\"", image.digest()),
        ] {
            let answer = wharf
                .send("GET", &target, &[("If-None-Match", &tag)])
                .await
                .whole()
                .await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{reference} {tag}");
            assert!(answer.header("etag").is_some());
        }
    }
}

#[tokio::test]
async fn an_upstream_that_tells_little_by_head_is_understood() {
    for acts in [
        vec![Act::Status(405)],
        vec![Act::Without("docker-content-digest")],
        vec![Act::Without("content-length")],
        vec![
            Act::Without("docker-content-digest"),
            Act::Without("content-length"),
            Act::Without("content-type"),
        ],
    ] {
        let (upstream, wharf, image) = harbour().await;
        upstream.script(On::manifests().head(), acts.clone());
        let head = wharf.head(&manifest_path("hub/a/b", "v1")).await;
        assert_eq!(
            (head.status, head.header("docker-content-digest")),
            (200, Some(image.digest())),
            "{acts:?}"
        );
        assert_eq!(
            head.header("content-length"),
            Some(image.manifest.len().to_string().as_str()),
            "{acts:?}"
        );
        assert_is(
            &wharf.get(&manifest_path("hub/a/b", "v1")).await,
            &image.manifest,
            OCI_MANIFEST,
        );
    }
}

#[tokio::test]
async fn the_media_type_is_read_from_the_body_before_the_header() {
    for said in [
        "text/plain; charset=utf-8",
        "application/json",
        "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
    ] {
        let (upstream, wharf, image) = harbour().await;
        upstream.script(On::manifests(), [Act::Header("content-type", said.to_owned())]);
        assert_is(
            &wharf.get(&manifest_path("hub/a/b", "v1")).await,
            &image.manifest,
            OCI_MANIFEST,
        );
    }
}

#[tokio::test]
async fn a_sha512_reference_is_answered_by_its_own_digest() {
    let (upstream, wharf, image) = harbour().await;
    let digest = sha512(&image.manifest.all());
    upstream.holds(|registry| registry.put_manifest("a/b", &digest, OCI_MANIFEST, &image.manifest));
    let answer = wharf.get(&manifest_path("hub/a/b", &digest)).await;
    assert_eq!(
        (answer.status, answer.header("docker-content-digest")),
        (200, Some(digest.as_str()))
    );
    assert!(answer.body == image.manifest.all());
}
