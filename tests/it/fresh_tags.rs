//! P1 and P5 for the tags of mirrored repositories, by the clock: how long they answer without asking, who asks when, and
//! what stands in for an upstream that does not answer.

use std::time::Duration;

use wharf::pull::{Check, Error, Via};

use crate::support::image::Image;
use crate::support::inside::Inside;
use crate::support::registry::Door;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::{GUARD, soon};

const HOUR: u64 = 3600;

fn upstream(tags: &[&str]) -> (Upstream, Image) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[]));
    for tag in tags {
        upstream.put_image("a/b", tag, &image);
    }
    (upstream, image)
}

fn stale(ttl_secs: i64, detail: &str) -> Via {
    let detail = detail.to_owned();
    Via::Stale { ttl_secs, detail }
}

fn heads(upstream: &Upstream) -> usize {
    upstream.count(&On::manifests().head())
}

fn gets(upstream: &Upstream) -> usize {
    upstream.count(&On::manifests().get())
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until no more tasks run than did at rest.
async fn rests(at_rest: usize) {
    let resting = async {
        while tasks() > at_rest {
            tokio::task::yield_now().await;
        }
    };
    soon("what was asked aside", resting).await;
}

#[tokio::test]
async fn a_thousand_pulls_within_the_window_ask_nothing_and_after_it_one_head() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |it| it.fresh_for = "1h".parse().unwrap()).await;
    assert_eq!(inside.via("v1").await, Via::Miss);
    let asked = upstream.count(&On::any());
    for _ in 0..1000 {
        assert_eq!(inside.via("v1").await, Via::Hit);
        inside.later(3);
    }
    assert_eq!(upstream.count(&On::any()), asked, "{}", upstream.story());
    inside.later(HOUR);
    let all = futures_util::future::join_all((0..1000).map(|_| inside.via("v1"))).await;
    assert!(all.iter().all(|via| *via == Via::Revalidated || *via == Via::Hit));
    assert_eq!((heads(&upstream), gets(&upstream)), (2, 1), "{}", upstream.story());
}

#[tokio::test]
async fn a_thousand_pulls_over_a_day_ask_once_an_hour_and_nobody_waits() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |it| it.fresh_for = "1h".parse().unwrap()).await;
    inside.via("v1").await;
    let (heads_before, gets_before) = (heads(&upstream), gets(&upstream));
    let at_rest = tasks();
    for pull in 0..1000 {
        assert_eq!(inside.via("v1").await, Via::Hit, "pull {pull}");
        let age = inside
            .clock
            .now()
            .duration_since(inside.checked_at("v1").await.unwrap());
        if age.as_mins() >= 58 {
            inside.checks("v1").await;
        }
        // What is asked aside takes no hour.
        rests(at_rest).await;
        inside.clock.advance(std::time::Duration::from_millis(86_400));
    }
    let asked = heads(&upstream) - heads_before;
    assert!((23..=24).contains(&asked), "{asked}");
    assert_eq!(gets(&upstream), gets_before);
}

#[tokio::test]
async fn a_tag_in_use_moves_without_anybody_waiting_for_it() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |_| {}).await;
    inside.via("v1").await;
    let new = Image::oci(2, &[]);
    upstream.put_image("a/b", "v1", &new);
    inside.later(269);
    assert_eq!(inside.via("v1").await, Via::Hit);
    assert_eq!(heads(&upstream), 1, "there is time");
    inside.later(1);
    let gate = Gate::shut();
    upstream.script(On::manifests(), [Act::HoldHead(gate.clone())]);
    for _ in 0..100 {
        assert_eq!(inside.via("v1").await, Via::Hit);
    }
    gate.open();
    inside.checks("v1").await;
    assert_eq!(
        inside.ask("v1", Check::WhenDue).await.unwrap(),
        (new.digest().to_owned(), Via::Hit)
    );
    assert_eq!((heads(&upstream), gets(&upstream)), (2, 2), "{}", upstream.story());
}

#[tokio::test]
async fn an_upstream_that_fails_is_asked_aside_once_in_a_window() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |_| {}).await;
    inside.via("v1").await;
    let at_rest = tasks();
    upstream.script(On::any(), [Act::Status(404)]);
    inside.later(280);
    for pull in 0..10 {
        assert_eq!(inside.via("v1").await, Via::Hit, "pull {pull}");
        rests(at_rest).await;
        // Longer than an absence is remembered, and within the window.
        inside.later(if pull == 0 { 11 } else { 0 });
    }
    assert_eq!(heads(&upstream), 2);
    inside.later(9);
    assert_eq!(inside.via("v1").await, stale(-1, "upstream-404"));
}

#[tokio::test]
async fn the_first_pattern_that_matches_says_how_long() {
    let (upstream, _) = upstream(&["latest", "v1.2", "v1", "edge"]);
    let inside = Inside::of(&upstream, |it| {
        let rules = r#"tag = [{ pattern = "latest", fresh_for = "10s" }, { pattern = "v*.*", fresh_for = "forever" },
                              { pattern = "v*", fresh_for = "20s" }, { pattern = "v1", fresh_for = "forever" }]"#;
        it.tag = toml::from_str::<wharf::upstream::MirrorConfig>(rules).unwrap().tag;
        it.fresh_for = "30s".parse().unwrap();
    })
    .await;
    for tag in ["latest", "v1.2", "v1", "edge"] {
        inside.via(tag).await;
    }
    for (second, due) in [(8, vec![]), (10, vec!["latest"]), (20, vec!["v1"]), (30, vec!["edge"])] {
        let now = inside.clock.now().as_second();
        inside.later(second - u64::try_from(now).unwrap());
        for tag in ["latest", "v1.2", "v1", "edge"] {
            let expected = if due.contains(&tag) { Via::Revalidated } else { Via::Hit };
            if tag != "latest" || second <= 10 {
                assert_eq!(inside.via(tag).await, expected, "{tag} after {second} s");
            }
        }
    }
    inside.later(10 * 365 * 24 * HOUR);
    assert_eq!(inside.via("v1.2").await, Via::Hit);
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_so_long_and_then_the_truth_is_told() {
    let (upstream, _) = upstream(&["v1"]);
    let mut inside = Inside::of(&upstream, |it| {
        it.stale_for = "1h".parse().unwrap();
        // A failure in passing is tried again first.
        it.revalidate = GUARD;
    })
    .await;
    inside.via("v1").await;
    upstream.script(On::any(), [Act::Status(503)]);
    inside.later(300 + HOUR - 1);
    assert_eq!(inside.via("v1").await, stale(-3600, "upstream-503"));
    inside.later(1);
    let error = inside.ask("v1", Check::WhenDue).await.unwrap_err();
    assert!(
        matches!(error, Error::Upstream(_)) && error.to_string().contains("503"),
        "{error}"
    );
    inside = inside.restart().await;
    assert!(inside.ask("v1", Check::WhenDue).await.is_err());
    upstream.heal();
    // It is left alone for a while.
    inside.later(5);
    assert_eq!(inside.via("v1").await, Via::Revalidated);
}

#[tokio::test]
async fn a_deleted_tag_is_served_or_forgotten_as_configured() {
    for (when_deleted, expected) in [("serve", Ok(stale(-1, "upstream-404"))), ("forget", Err(()))] {
        // Who has a token and is refused is told so because it is absent, as Docker Hub does, or not.
        let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[]));
        upstream.put_image("a/b", "v1", &image);
        let inside = Inside::of(&upstream, |it| {
            let table = format!("when_deleted = \"{when_deleted}\"");
            it.when_deleted = toml::from_str::<wharf::upstream::MirrorConfig>(&table)
                .unwrap()
                .when_deleted;
        })
        .await;
        inside.via("v1").await;
        // A refusal is no deletion, and neither is a move to what is not there.
        for way in [Act::Status(401), Act::Status(403)] {
            upstream.script(On::manifests(), [way]);
            inside.later(300);
            assert!(matches!(inside.via("v1").await, Via::Stale { .. }), "{when_deleted}");
            upstream.heal();
            inside.later(10);
            assert_eq!(inside.via("v1").await, Via::Revalidated);
        }
        let lost = Image::oci(2, &[]);
        upstream.put_image("a/b", "v1", &lost);
        upstream.holds(|registry| registry.put_tag("a/b", "v1", lost.digest()));
        upstream.script(On::manifests().of(lost.digest()), [Act::Status(404)]);
        inside.later(300);
        assert!(matches!(inside.via("v1").await, Via::Stale { .. }), "{when_deleted}");
        upstream.heal();
        upstream.put_image("a/b", "v1", &image);
        inside.later(300);
        inside.via("v1").await;

        upstream.holds(|registry| registry.forget("a/b", "v1"));
        inside.later(300);
        assert_eq!(
            inside.ask("v1", Check::WhenDue).await.map(|it| it.1).map_err(drop),
            expected
        );
        upstream.stop().await;
        inside.later(11);
        let answer = inside.ask("v1", Check::WhenDue).await;
        assert_eq!(answer.is_ok(), expected.is_ok(), "it is gone for good: {answer:?}");
        assert_eq!(inside.via(image.digest()).await, Via::Hit);
    }
}

#[tokio::test]
async fn a_deleted_tag_that_is_served_costs_no_more_than_one_that_is_there() {
    let (upstream, image) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |it| it.fresh_for = "1h".parse().unwrap()).await;
    inside.via("v1").await;
    upstream.holds(|registry| registry.forget("a/b", "v1"));
    let asked = heads(&upstream);
    for _ in 0..24 * 6 {
        inside.later(600);
        inside.via("v1").await;
    }
    assert!(heads(&upstream) - asked <= 24, "{}", upstream.story());
    // It is back, and who wants to know now sees it.
    upstream.put_image("a/b", "v1", &image);
    let (_, via) = inside.ask("v1", Check::Now).await.unwrap();
    assert_eq!(via, Via::Revalidated);
}

#[tokio::test]
async fn what_is_asked_aside_in_an_outage_is_asked_once_for_all() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |it| {
        it.revalidate = Duration::from_millis(50);
        it.first_byte = Duration::from_millis(200);
    })
    .await;
    inside.via("v1").await;
    upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
    inside.later(300);
    let at_rest = tasks();
    for _ in 0..1000 {
        assert!(matches!(inside.via("v1").await, Via::Stale { .. }));
    }
    assert!(tasks() - at_rest < 20, "{} tasks more", tasks() - at_rest);
}

#[tokio::test]
async fn a_signature_that_was_deleted_does_not_come_back() {
    let (upstream, image) = upstream(&["v1"]);
    let tag = format!("{}.sig", image.digest().replace(':', "-"));
    upstream.put_image("a/b", &tag, &Image::oci(2, &[]));
    let inside = Inside::of(&upstream, |_| {}).await;
    inside.via(&tag).await;
    upstream.holds(|registry| registry.forget("a/b", &tag));
    inside.later(300);
    assert!(matches!(
        inside.ask(&tag, Check::WhenDue).await,
        Err(Error::ManifestUnknown { .. })
    ));
    upstream.stop().await;
    inside.later(11);
    let answer = inside.ask(&tag, Check::WhenDue).await;
    assert!(matches!(answer, Err(Error::Upstream(_))), "{answer:?}");
}

#[tokio::test]
async fn a_check_now_asks_once_for_all_who_want_it() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |it| it.fresh_for = "forever".parse().unwrap()).await;
    inside.via("v1").await;
    let now = async || inside.ask("v1", Check::Now).await.unwrap();
    assert_eq!(now().await.1, Via::Revalidated);
    assert_eq!(heads(&upstream), 2);
    let (new, gate) = (Image::oci(2, &[]), Gate::shut());
    upstream.put_image("a/b", "v1", &new);
    assert_eq!(inside.via("v1").await, Via::Hit);
    upstream.script(On::manifests().head(), [Act::HoldHead(gate.clone())]);
    let all = futures_util::future::join_all((0..50).map(|_| now()));
    let release = async {
        upstream.until("the question", |upstream| heads(upstream) == 3).await;
        gate.open();
    };
    let (answers, ()) = soon("the answers", futures_util::future::join(all, release)).await;
    assert!(answers.iter().all(|(digest, _)| digest == new.digest()));
    assert_eq!((heads(&upstream), gets(&upstream)), (3, 2), "{}", upstream.story());
    assert_eq!(
        inside.ask("v1", Check::WhenDue).await.unwrap(),
        (new.digest().to_owned(), Via::Hit)
    );
}

#[tokio::test]
async fn a_check_now_that_the_upstream_does_not_answer_is_answered_by_what_is_kept() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |_| {}).await;
    inside.via("v1").await;
    inside.later(100);
    for (way, detail) in [
        (Act::Status(403), "upstream-403"),
        (Act::HoldHead(Gate::shut()), "upstream-timeout"),
    ] {
        upstream.script(On::any(), [way]);
        assert_eq!(inside.ask("v1", Check::Now).await.unwrap().1, stale(200, detail));
        assert_eq!(inside.via("v1").await, Via::Hit);
    }
}

#[tokio::test]
async fn what_is_absent_is_asked_for_every_ten_seconds_or_when_told_to() {
    let (upstream, _) = upstream(&["v1"]);
    let inside = Inside::of(&upstream, |_| {}).await;
    let image = Image::oci(7, &[]);
    for (reference, asked) in [("soon", 1), (image.digest(), 2)] {
        for _ in 0..5 {
            let error = inside.ask(reference, Check::WhenDue).await.unwrap_err();
            assert!(matches!(error, Error::ManifestUnknown { .. }), "{error}");
        }
        assert_eq!(upstream.count(&On::any()), asked, "{}", upstream.story());
    }
    upstream.put_image("a/b", "soon", &image);
    assert!(inside.ask("soon", Check::WhenDue).await.is_err());
    assert_eq!(inside.ask("soon", Check::Now).await.unwrap().0, image.digest());
    let other = Image::oci(8, &[]);
    assert!(inside.ask(other.digest(), Check::WhenDue).await.is_err());
    upstream.put_image("a/b", "other", &other);
    inside.later(9);
    assert!(inside.ask(other.digest(), Check::WhenDue).await.is_err());
    inside.later(1);
    assert_eq!(inside.via(other.digest()).await, Via::Miss);
}
