//! P5 while an upstream is known to be in trouble: who is not asked costs no time.

use std::time::Duration;

use crate::support::image::Image;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{manifest_path, soon};

/// A tag that must be asked for again, of an upstream that may then do what it likes.
async fn harbour(adjust: impl FnOnce(Mirror) -> Mirror) -> (Upstream, Wharf) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let mirror = adjust(Mirror::of("hub", &upstream).set("fresh_for", "\"0s\""));
    let wharf = Setup::new().mirror(mirror).start().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    (upstream, wharf)
}

/// A few answers, each with this status and this in `Cache-Status`, for which the upstream is asked nothing.
async fn ask_nobody(upstream: &Upstream, wharf: &Wharf, target: &str, status: u16, detail: &str) {
    let before = upstream.count(&On::any());
    for _ in 0..5 {
        let answer = wharf.get(target).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let how = answer.header("cache-status").unwrap_or_default();
        assert!(how.contains(detail), "{how}");
    }
    assert_eq!(upstream.count(&On::any()), before, "{}", upstream.story());
}

/// A registry that was gone for a moment, and is back: its probe, which `target` began, is held for a minute.
async fn probed(adjust: impl FnOnce(Mirror) -> Mirror, target: &str) -> (Upstream, Wharf) {
    let (upstream, wharf) = harbour(|it| adjust(it.set("first_byte", "\"60s\"").set("revalidate", "\"60s\""))).await;
    assert_eq!(wharf.get("/v2/hub/a/b/tags/list").await.status, 200);
    upstream.stop().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "other")).await.status, 502);
    upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
    upstream.resume().await;
    let (before, mut steps) = (
        upstream.count(&On::any()),
        tokio::time::interval(Duration::from_millis(100)),
    );
    let probed = async {
        while upstream.count(&On::any()) == before {
            wharf.get(target).await;
            steps.tick().await;
        }
    };
    soon("a probe", probed).await;
    (upstream, wharf)
}

#[tokio::test]
async fn a_silent_upstream_is_waited_for_once_also_behind_a_front_end_that_answers() {
    for silent in [On::any(), On::manifests()] {
        let (upstream, wharf) = harbour(|it| it.set("connect", "\"1s\"").set("first_byte", "\"1s\"")).await;
        let (before, uncached) = (upstream.count(&On::any()), manifest_path("hub/a/b", "other"));
        upstream.script(silent, [Act::HoldHead(Gate::shut())]);
        // The second one waits for a probe.
        for _ in 0..2 {
            assert_eq!(wharf.get(&uncached).await.status, 504);
        }
        assert_eq!(upstream.count(&On::any()), before + 2, "{}", upstream.story());
        ask_nobody(&upstream, &wharf, &uncached, 504, "").await;
        let target = manifest_path("hub/a/b", "v1");
        ask_nobody(&upstream, &wharf, &target, 200, "detail=upstream-timeout").await;
    }
}

#[tokio::test]
async fn what_is_cached_waits_for_no_probe() {
    let target = manifest_path("hub/a/b", "v1");
    let (upstream, wharf) = probed(|it| it.set("connect", "\"60s\""), &target).await;
    for cached in [target.as_str(), "/v2/hub/a/b/tags/list"] {
        ask_nobody(&upstream, &wharf, cached, 200, "detail=upstream-unreachable").await;
    }
}

#[tokio::test]
async fn what_nobody_has_waits_for_no_probe_that_takes_long() {
    let uncached = manifest_path("hub/a/b", "other");
    let (upstream, wharf) = probed(|it| it.set("connect", "\"200ms\""), &uncached).await;
    ask_nobody(&upstream, &wharf, &uncached, 502, "").await;
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_seen_by_those_who_do_not_wait() {
    let (upstream, wharf) = harbour(|it| it).await;
    upstream.stop().await;
    let target = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&target).await.status, 200);
    let moved = Image::oci(2, &[10]);
    upstream.put_image("a/b", "v1", &moved);
    upstream.resume().await;
    let mut steps = tokio::time::interval(Duration::from_millis(100));
    let seen = async {
        while wharf.get(&target).await.body != moved.manifest.all() {
            steps.tick().await;
        }
    };
    soon("the tag to move", seen).await;
}

#[tokio::test]
async fn a_throttled_repository_is_not_asked_about_before_its_time() {
    let (upstream, wharf) = harbour(|it| it).await;
    let retry = Act::Header("retry-after", "60".to_owned());
    upstream.script(On::any(), [Act::Status(429), retry]);
    let (target, uncached) = (manifest_path("hub/a/b", "v1"), manifest_path("hub/a/b", "other"));
    assert_eq!(wharf.get(&target).await.status, 200);
    let asked = upstream.count(&On::any());
    for _ in 0..20 {
        let answer = wharf.get(&target).await;
        let how = answer.header("cache-status").unwrap();
        assert!(answer.status == 200 && how.contains("detail=upstream-429"), "{how}");
        let answer = wharf.get(&uncached).await;
        let left: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(answer.status == 429 && (30..=60).contains(&left), "{left}");
    }
    assert_eq!(upstream.count(&On::any()), asked, "{}", upstream.story());
}
