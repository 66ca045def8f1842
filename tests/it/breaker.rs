//! P5 while an upstream is known to be in trouble: who is not asked costs no time.

use std::time::{Duration, Instant};

use crate::support::image::Image;
use crate::support::manifest_path;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

const AT_ONCE: Duration = Duration::from_millis(50);

/// A tag that must be asked for again, of an upstream that may then do what it likes.
async fn harbour() -> (Upstream, Wharf) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let mirror = Mirror::of("hub", &upstream)
        .set("fresh_for", "\"0s\"")
        .set("connect", "\"1s\"")
        .set("first_byte", "\"1s\"");
    let wharf = Setup::new().mirror(mirror).start().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    (upstream, wharf)
}

/// The fastest of a few, so that a busy machine changes nothing: who waits for an upstream always waits.
async fn fastest(wharf: &Wharf, target: &str, status: u16, detail: &str) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let answer = wharf.get(target).await;
        fastest = fastest.min(began.elapsed());
        assert_eq!(answer.status, status, "{}", answer.text());
        let how = answer.header("cache-status").unwrap_or_default();
        assert!(how.contains(detail), "{how}");
    }
    fastest
}

#[tokio::test]
async fn a_cached_tag_answers_at_once_while_the_upstream_is_known_to_be_silent() {
    let (upstream, wharf) = harbour().await;
    upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
    let (target, began) = (manifest_path("hub/a/b", "v1"), Instant::now());
    assert_eq!(wharf.get(&target).await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Somebody who has nothing else waits for the deadline.
    let uncached = manifest_path("hub/a/b", "other");
    assert_eq!(wharf.get(&uncached).await.status, 504);
    let cached = fastest(&wharf, &target, 200, "detail=upstream-timeout").await;
    assert!(cached < AT_ONCE, "{cached:?}");
    assert_eq!(wharf.get(&uncached).await.status, 504, "the first probe");
    let uncached = fastest(&wharf, &uncached, 504, "").await;
    assert!(uncached < AT_ONCE, "{uncached:?}");
}

#[tokio::test]
async fn a_list_answers_at_once_while_the_upstream_is_known_to_be_gone() {
    let (upstream, wharf) = harbour().await;
    let tags = "/v2/hub/a/b/tags/list";
    assert_eq!(wharf.get(tags).await.status, 200);
    upstream.stop().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "other")).await.status, 502);
    let cached = fastest(&wharf, tags, 200, "detail=upstream-unreachable").await;
    assert!(cached < AT_ONCE, "{cached:?}");
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_seen_by_those_who_do_not_wait() {
    let (upstream, wharf) = harbour().await;
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
    let (upstream, wharf) = harbour().await;
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
