//! `offline`: whatever is asked of wharf, it asks nobody; and what clients are told of where an answer came from.

use crate::support::client::Answer;
use crate::support::image::{Content, Image, KIB};
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

fn mirror(upstream: &Upstream) -> Mirror {
    Mirror::of("hub", upstream).set("fresh_for", "\"0s\"")
}

async fn filled(upstream: &Upstream, image: &Image) -> Wharf {
    upstream.put_image("a/b", "v1", image);
    let wharf = Setup::new().mirror(mirror(upstream)).start().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    assert_eq!(wharf.get("/v2/hub/a/b/tags/list").await.status, 200);
    for blob in &image.blobs {
        wharf.landed(&blob_path("hub/a/b", blob)).await;
    }
    wharf
}

fn assert_stale(answer: &Answer, detail: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let status = answer.header("cache-status").unwrap();
    assert!(status.starts_with("wharf; hit; ttl=-"), "{status}");
    assert!(status.ends_with(&format!("; detail={detail}")), "{status}");
    let warning = answer.header("warning").unwrap();
    assert!(warning.starts_with("299 - \"") && warning.contains(detail), "{warning}");
}

#[tokio::test]
async fn offline_asks_nobody_serves_what_is_cached_and_says_why_the_rest_is_not() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10 * KIB]));
    let mut wharf = filled(&upstream, &image).await;
    wharf.kill();
    wharf.reconfigure(&Setup::new().mirror(mirror(&upstream).set("offline", "true")));
    wharf.restart().await;
    let connections = upstream.connections();

    for headers in [&[][..], &[("Cache-Control", "no-cache")]] {
        for method in ["GET", "HEAD"] {
            let tag = wharf
                .send(method, &manifest_path("hub/a/b", "v1"), headers)
                .await
                .whole()
                .await;
            assert_stale(&tag, "offline");
        }
        let list = wharf.send("GET", "/v2/hub/a/b/tags/list", headers).await.whole().await;
        assert_stale(&list, "offline");
    }
    let digest = wharf.get(&manifest_path("hub/a/b", image.digest())).await;
    assert_eq!(
        (digest.status, digest.header("cache-status")),
        (200, Some("wharf; hit"))
    );
    assert_eq!(
        wharf.get(&blob_path("hub/a/b", image.layer(0))).await.body,
        image.layer(0).all()
    );

    let stranger = Content::of("a stranger");
    for target in [
        manifest_path("hub/a/b", "other"),
        manifest_path("hub/a/b", stranger.digest()),
        blob_path("hub/a/b", &stranger),
        // Stored, but nobody can say whether this repository has it.
        blob_path("hub/c/d", image.layer(0)),
        "/v2/hub/c/d/tags/list".to_owned(),
        format!("/v2/hub/a/b/referrers/{}", image.digest()),
    ] {
        let answer = wharf.get(&target).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (504, "UNAVAILABLE"),
            "{target}"
        );
        assert!(
            answer.text().contains("mirror \\\"hub\\\" is offline"),
            "{}",
            answer.text()
        );
        assert_eq!(wharf.head(&target).await.status, 504, "{target}");
    }
    assert_eq!(upstream.connections(), connections, "{}", upstream.story());
}

#[tokio::test]
async fn a_client_that_wants_no_cache_has_the_upstream_asked() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    let target = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&target).await.status, 200);
    let new = Image::oci(2, &[]);
    upstream.put_image("a/b", "v1", &new);
    let digest = |answer: Answer| answer.header("docker-content-digest").map(str::to_owned);
    assert_eq!(digest(wharf.get(&target).await).as_deref(), Some(image.digest()));
    let no_cache = [("Cache-Control", "no-cache")];
    let head = wharf.send("HEAD", &target, &no_cache).await.whole().await;
    assert_eq!(digest(head).as_deref(), Some(new.digest()));
    assert_eq!(digest(wharf.get(&target).await).as_deref(), Some(new.digest()));
    assert_eq!(upstream.count(&On::manifests().head()), 2, "{}", upstream.story());

    let tags = "/v2/hub/a/b/tags/list";
    assert_eq!(wharf.get(tags).await.status, 200);
    upstream.put_image("a/b", "v2", &new);
    assert!(!wharf.get(tags).await.text().contains("v2"));
    let list = wharf.send("GET", tags, &no_cache).await.whole().await;
    assert!(list.text().contains("v2"), "{}", list.text());
}

#[tokio::test]
async fn what_is_given_while_stale_says_so() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[]));
    let wharf = filled(&upstream, &image).await;
    let tag = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&tag).await.header("warning"), None);
    upstream.stop().await;
    for target in [tag.as_str(), "/v2/hub/a/b/tags/list"] {
        assert_stale(&wharf.get(target).await, "upstream-unreachable");
    }
    let digest = wharf.get(&manifest_path("hub/a/b", image.digest())).await;
    assert_eq!(digest.header("warning"), None, "a digest is never out of date");
}
