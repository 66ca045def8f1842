//! P5 while an upstream is known to be in trouble: who is not asked costs no time.

use std::time::{Duration, Instant};

use crate::support::image::Image;
use crate::support::manifest_path;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

const AT_ONCE: Duration = Duration::from_millis(50);

/// A tag that must be asked for again, of an upstream that may then do what it likes.
async fn harbour(adjust: impl FnOnce(Mirror) -> Mirror) -> (Upstream, Wharf) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let mirror = adjust(Mirror::of("hub", &upstream).set("fresh_for", "\"0s\""));
    let wharf = Setup::new().mirror(mirror).start().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    (upstream, wharf)
}

/// How long the fastest and the slowest of a few took.
async fn times(wharf: &Wharf, target: &str, status: u16, detail: &str) -> (Duration, Duration) {
    let (mut fastest, mut slowest) = (Duration::MAX, Duration::ZERO);
    for _ in 0..5 {
        let began = Instant::now();
        let answer = wharf.get(target).await;
        fastest = fastest.min(began.elapsed());
        slowest = slowest.max(began.elapsed());
        assert_eq!(answer.status, status, "{}", answer.text());
        let how = answer.header("cache-status").unwrap_or_default();
        assert!(how.contains(detail), "{how}");
    }
    (fastest, slowest)
}

#[tokio::test]
async fn a_silent_upstream_is_waited_for_once() {
    let (upstream, wharf) = harbour(|it| it.set("connect", "\"1s\"").set("first_byte", "\"1s\"")).await;
    upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
    let (target, began) = (manifest_path("hub/a/b", "v1"), Instant::now());
    assert_eq!(wharf.get(&target).await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Somebody who has nothing else waits for the deadline, and for the first probe.
    let uncached = manifest_path("hub/a/b", "other");
    for _ in 0..2 {
        assert_eq!(wharf.get(&uncached).await.status, 504);
    }
    let (fastest, _) = times(&wharf, &uncached, 504, "").await;
    assert!(fastest < AT_ONCE, "{fastest:?}");
}

#[tokio::test]
async fn what_is_cached_waits_for_no_probe() {
    // Whoever waited would wait for 3 s.
    let slow = |it: Mirror| {
        it.set("connect", "\"2s\"")
            .set("first_byte", "\"2s\"")
            .set("revalidate", "\"3s\"")
    };
    for target in [manifest_path("hub/a/b", "v1"), "/v2/hub/a/b/tags/list".to_owned()] {
        let (upstream, wharf) = harbour(slow).await;
        assert_eq!(wharf.get(&target).await.status, 200);
        upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
        assert_eq!(wharf.get(&manifest_path("hub/a/b", "other")).await.status, 504);
        let (fastest, slowest) = times(&wharf, &target, 200, "detail=upstream-timeout").await;
        assert!(fastest < AT_ONCE, "{target} {fastest:?}");
        assert!(slowest < Duration::from_secs(2), "{target} {slowest:?}");
    }
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
    crate::support::soon("the tag to move", seen).await;
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
