//! P5 and P6 where no table helps: starts without a network, absence in the words of each registry, comings back. All ways to
//! fail are in `faults`.

use std::time::{Duration, Instant};

use crate::support::image::{Content, Image, KIB};
use crate::support::registry::Door;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

/// dockerd's way: HEAD the tag, pull by digest.
#[tokio::test]
async fn a_tag_that_was_headed_and_pulled_by_digest_still_answers() {
    for moved in [false, true] {
        let Harbour {
            upstream, wharf, fresh, ..
        } = harbour().await;
        let tag = manifest_path("hub/a/b", if moved { "cached" } else { "fresh" });
        if moved {
            upstream.put_image("a/b", "cached", &fresh);
        }
        assert_eq!(
            wharf.head(&tag).await.header("docker-content-digest"),
            Some(fresh.digest())
        );
        assert_eq!(wharf.get(&manifest_path("hub/a/b", fresh.digest())).await.status, 200);
        upstream.stop().await;
        for answer in [wharf.head(&tag).await, wharf.get(&tag).await] {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(
                answer.header("docker-content-digest"),
                Some(fresh.digest()),
                "moved: {moved}"
            );
        }
    }
}

struct Harbour {
    upstream: Upstream,
    wharf: Wharf,
    cached: Image,
    fresh: Image,
}

/// `cached` is in the cache, tag and all, and its tag must be asked for again; `fresh` is not.
async fn harbour() -> Harbour {
    let (upstream, cached, fresh) = (
        Upstream::start(),
        Image::oci(1, &[100 * KIB]),
        Image::oci(2, &[100 * KIB]),
    );
    upstream.put_image("a/b", "cached", &cached);
    upstream.put_image("a/b", "fresh", &fresh);
    let mirror = Mirror::of("hub", &upstream);
    let mirror = mirror
        .set("fresh_for", "\"0s\"")
        .set("connect", "\"400ms\"")
        .set("first_byte", "\"400ms\"")
        .set("revalidate", "\"200ms\"");
    let wharf = Setup::new().mirror(mirror).start().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "cached")).await.status, 200);
    for blob in &cached.blobs {
        assert_eq!(wharf.get(&blob_path("hub/a/b", blob)).await.status, 200);
        wharf.landed(&blob_path("hub/a/b", blob)).await;
    }
    Harbour {
        upstream,
        wharf,
        cached,
        fresh,
    }
}

impl Harbour {
    async fn assert_cached_answers(&self, name: &str) {
        let asked = self.upstream.count(&On::any());
        for blob in &self.cached.blobs {
            let answer = self.wharf.get(&blob_path("hub/a/b", blob)).await;
            assert_eq!((answer.status, answer.body == blob.all()), (200, true), "{name}");
        }
        let answer = self.wharf.get(&manifest_path("hub/a/b", self.cached.digest())).await;
        assert_eq!(
            (answer.status, answer.header("cache-status")),
            (200, Some("wharf; hit")),
            "{name}"
        );
        assert_eq!(self.upstream.count(&On::any()), asked, "{name}: a digest asks nobody");

        for method in ["GET", "HEAD"] {
            let began = Instant::now();
            let target = manifest_path("hub/a/b", "cached");
            let answer = self.wharf.send(method, &target, &[]).await.whole().await;
            assert!(began.elapsed() < Duration::from_secs(2), "{name}");
            assert_eq!(answer.status, 200, "{name} {method} {}", answer.text());
            assert_eq!(
                answer.header("docker-content-digest"),
                Some(self.cached.digest()),
                "{name}"
            );
            let status = answer.header("cache-status").unwrap_or_default();
            let overdue = status.starts_with("wharf; hit; ttl=-") || status.starts_with("wharf; hit; ttl=0;");
            assert!(overdue && status.contains("detail="), "{name}: {status}");
        }
    }
}

#[tokio::test]
async fn wharf_starts_and_serves_without_a_network() {
    let mut harbour = harbour().await;
    harbour.upstream.stop().await;
    harbour.wharf.kill();
    let began = Instant::now();
    harbour.wharf.restart().await;
    assert_eq!(harbour.wharf.get("/v2/").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(2));
    harbour.assert_cached_answers("no network").await;
}

#[tokio::test]
async fn a_restart_asks_the_upstream_nothing() {
    let mut harbour = harbour().await;
    let connections = harbour.upstream.connections();
    harbour.wharf.kill();
    harbour.wharf.restart().await;
    assert_eq!(harbour.wharf.get("/v2/").await.status, 200);
    assert_eq!(harbour.upstream.connections(), connections);
}

#[tokio::test]
async fn what_the_upstream_does_not_have_is_a_404_and_what_it_refuses_a_403() {
    // GHCR refuses the token, so nothing was granted: it may well be there.
    let (absent, refused) = (
        (404, ["NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"].as_slice()),
        (403, ["DENIED"].as_slice()),
    );
    for (door, nobody) in [
        (Door::Open, absent),
        (Door::Bearer, absent),
        (Door::Hub, absent),
        (Door::Ghcr, refused),
    ] {
        let (upstream, image) = (Upstream::with_door(door), Image::oci(1, &[10]));
        upstream.put_image("a/b", "v1", &image);
        let wharf = Wharf::of(&upstream).await;
        assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200, "{door:?}");
        let stranger = Content::of("a stranger");
        for (target, (status, codes)) in [
            (
                manifest_path("hub/a/b", "never"),
                (404, ["MANIFEST_UNKNOWN"].as_slice()),
            ),
            (manifest_path("hub/no/body", "v1"), nobody),
            (blob_path("hub/a/b", &stranger), (404, ["BLOB_UNKNOWN"].as_slice())),
            (blob_path("hub/no/body", &stranger), nobody),
        ] {
            let answer = wharf.get(&target).await;
            assert_eq!(answer.status, status, "{door:?} {target}: {}", answer.text());
            assert!(
                codes.contains(&answer.code().as_str()),
                "{door:?} {target}: {}",
                answer.text()
            );
            assert_eq!(wharf.head(&target).await.status, status, "{door:?} {target}");
        }
    }
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_no_404() {
    for (acts, allowed) in [
        (vec![Act::Status(500)], vec![502, 503]),
        (vec![Act::Status(429)], vec![429]),
        (vec![Act::HoldHead(Gate::shut())], vec![504]),
        (vec![Act::Html], vec![502]),
    ] {
        let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[10]));
        upstream.put_image("a/b", "v1", &image);
        upstream.script(On::tokens(), acts.clone());
        let mirror = Mirror::of("hub", &upstream).set("connect", "\"400ms\"");
        let mirror = mirror.set("first_byte", "\"400ms\"");
        let wharf = Setup::new().mirror(mirror).start().await;
        for target in [manifest_path("hub/a/b", "v1"), blob_path("hub/a/b", image.layer(0))] {
            let answer = wharf.get(&target).await;
            assert!(
                allowed.contains(&answer.status),
                "{acts:?}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_used_again() {
    let harbour = harbour().await;
    harbour.upstream.stop().await;
    let target = manifest_path("hub/a/b", "fresh");
    assert!(harbour.wharf.get(&target).await.status >= 500);
    harbour.upstream.resume().await;
    let mut steps = tokio::time::interval(Duration::from_millis(100));
    let back = async {
        while harbour.wharf.get(&target).await.status != 200 {
            steps.tick().await;
        }
    };
    crate::support::soon("the upstream to be used again", back).await;
}

#[tokio::test]
async fn a_cached_tag_answers_within_two_seconds_of_an_upstream_that_says_nothing() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    // All deadlines as a user has them: the first byte may take 10 s.
    let mirror = Mirror::of("hub", &upstream)
        .set("fresh_for", "\"0s\"")
        .set("first_byte", "\"10s\"");
    let wharf = Setup::new().mirror(mirror).start().await;
    let target = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&target).await.status, 200);
    upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
    let began = Instant::now();
    let answer = wharf.get(&target).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!((answer.status, answer.body == image.manifest.all()), (200, true));
}
