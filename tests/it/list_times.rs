//! P5 and P6 for the lists of mirrored repositories, by the clock: how long a list is fresh, what stands in for an upstream
//! that does not answer, and how briefly nothing is nothing.

use std::time::Duration;

use wharf::oci::{Digest, Tag};
use wharf::pull::{Check, Error, ListAnswer, Referrer, Slice, Tally, Via, Which};

use crate::support::image::{Content, Image};
use crate::support::inside::Inside;
use crate::support::script::{Act, Gate, How, On};
use crate::support::soon;
use crate::support::upstream::Upstream;

fn upstream(tags: &[&str]) -> Upstream {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[]));
    for tag in tags {
        upstream.put_image("a/b", tag, &image);
    }
    upstream
}

impl Inside {
    async fn tags(&self) -> Result<(String, Via), Error> {
        let (caller, repo, tally) = (Self::caller(), self.repo("a/b"), Tally::default());
        let slice = Slice {
            after: None,
            limit: 100,
        };
        let tags = self.pull.tags(&caller, &repo, |_| true, slice, Check::WhenDue, &tally);
        let ListAnswer { part, via } = tags.await?;
        let tags: Vec<_> = part.entries.iter().map(Tag::as_str).collect();
        Ok((tags.join(" "), via))
    }

    async fn referrers(&self, subject: &str) -> Result<ListAnswer<Referrer>, Error> {
        let (caller, repo, tally) = (Self::caller(), self.repo("a/b"), Tally::default());
        let (subject, which): (Digest, _) = (subject.parse().unwrap(), Which::default());
        let referrers = self
            .pull
            .referrers(&caller, &repo, &subject, which, Check::WhenDue, &tally);
        referrers.await
    }
}

fn said(tags: &str, via: Via) -> (String, Via) {
    (tags.to_owned(), via)
}

#[tokio::test]
async fn a_list_is_fresh_for_the_shorter_of_a_minute_and_the_mirrors_window() {
    for (fresh_for, window) in [("1h", 60), ("forever", 60), ("7s", 7)] {
        let upstream = upstream(&["a", "b"]);
        let inside = Inside::of(&upstream, |it| it.fresh_for = fresh_for.parse().unwrap()).await;
        assert_eq!(inside.tags().await.unwrap(), said("a b", Via::Miss));
        upstream.put_image("a/b", "c", &Image::oci(2, &[]));
        inside.later(window - 1);
        assert_eq!(inside.tags().await.unwrap(), said("a b", Via::Hit), "{fresh_for}");
        assert_eq!(upstream.count(&On::any()), 1);
        inside.later(1);
        assert_eq!(inside.tags().await.unwrap(), said("a b c", Via::Miss));
        inside.later(window);
        assert_eq!(inside.tags().await.unwrap(), said("a b c", Via::Revalidated));
        assert_eq!(upstream.count(&On::any()), 3);
    }
}

#[tokio::test]
async fn a_kept_list_answers_for_an_upstream_that_does_not_also_after_a_restart() {
    let ways = [
        (Act::Status(503), "upstream-503"),
        (Act::Status(403), "upstream-403"),
        (Act::HoldHead(Gate::shut()), "upstream-timeout"),
        (Act::Html, "upstream-unusable"),
        (Act::Cut(0, How::Fin), "upstream-unreachable"),
    ];
    for (way, detail) in ways {
        let upstream = upstream(&["a"]);
        // What fails in passing is asked again first.
        let mut inside = Inside::of(&upstream, |it| it.revalidate = Duration::from_secs(2)).await;
        inside.tags().await.unwrap();
        upstream.script(On::tags(), [way]);
        inside.later(120);
        let (ttl_secs, detail) = (-61, detail.to_owned());
        let stale = said("a", Via::Stale { ttl_secs, detail });
        assert_eq!(inside.tags().await.unwrap(), stale);
        inside = inside.restart().await;
        assert_eq!(inside.tags().await.unwrap(), stale, "after a restart");
    }
}

#[tokio::test]
async fn a_late_answer_is_used_when_it_comes() {
    let (upstream, gate) = (upstream(&["a"]), Gate::shut());
    let inside = Inside::of(&upstream, |_| {}).await;
    inside.tags().await.unwrap();
    upstream.put_image("a/b", "b", &Image::oci(2, &[]));
    upstream.script(On::tags(), [Act::HoldHead(gate.clone())]);
    inside.later(60);
    assert_eq!(inside.tags().await.unwrap().0, "a", "in time");
    gate.open();
    let landed = async {
        while inside.tags().await.unwrap() != said("a b", Via::Hit) {
            tokio::task::yield_now().await;
        }
    };
    soon("the late answer", landed).await;
    assert_eq!(upstream.count(&On::tags()), 2);
}

#[tokio::test]
async fn a_repository_that_is_gone_is_gone_and_one_that_appears_is_soon_seen() {
    let upstream = Upstream::start();
    let inside = Inside::of(&upstream, |_| {}).await;
    for _ in 0..2 {
        let error = inside.tags().await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
    assert_eq!(upstream.count(&On::tags()), 1, "asked once in ten seconds");
    upstream.put_image("a/b", "v1", &Image::oci(1, &[]));
    inside.later(10);
    assert_eq!(inside.tags().await.unwrap().0, "v1");
    upstream.script(On::tags(), [Act::Status(404)]);
    inside.later(60);
    let error = inside.tags().await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}

#[tokio::test]
async fn that_nothing_is_about_a_manifest_is_known_for_ten_seconds_and_never_kept() {
    let (upstream, subject) = (upstream(&["v1"]), Content::of("the subject"));
    // What fails in passing is asked again first.
    let mut inside = Inside::of(&upstream, |it| it.revalidate = Duration::from_secs(2)).await;
    let found = async |inside: &Inside| inside.referrers(subject.digest()).await.map(|it| it.part.entries.len());
    for _ in 0..2 {
        assert_eq!(found(&inside).await.unwrap(), 0);
    }
    assert_eq!(upstream.count(&On::referrers()), 1);
    upstream.script(On::any(), [Act::Status(503)]);
    inside.later(10);
    assert!(found(&inside).await.is_err(), "it may have been signed meanwhile");

    upstream.heal();
    let signature = upstream.put_about("a/b", &subject, "sig");
    assert_eq!(found(&inside).await.unwrap(), 1);
    upstream.script(On::any(), [Act::Status(503)]);
    inside.later(3600);
    assert_eq!(found(&inside).await.unwrap(), 1, "known for an hour");
    upstream.heal();
    upstream.holds(|registry| registry.forget("a/b", signature.digest()));
    assert_eq!(found(&inside).await.unwrap(), 0, "the signature was taken back");
    upstream.script(On::any(), [Act::Status(503)]);
    inside.later(10);
    assert!(found(&inside).await.is_err(), "and does not come back");
    inside = inside.restart().await;
    assert!(found(&inside).await.is_err());
}

#[tokio::test]
async fn a_signature_that_is_missing_is_asked_for_every_ten_seconds_and_no_oftener() {
    let (upstream, image) = (upstream(&["v1"]), Image::oci(1, &[]));
    let inside = Inside::of(&upstream, |it| it.fresh_for = "forever".parse().unwrap()).await;
    let tag = format!("{}.sig", image.digest().replace(':', "-"));
    let (caller, repo, tally) = (Inside::caller(), inside.repo("a/b"), Tally::default());
    let reference = tag.parse().unwrap();
    let signature = async || inside.ask(&tag, Check::WhenDue).await;
    for _ in 0..3 {
        assert!(matches!(signature().await, Err(Error::ManifestUnknown { .. })));
        assert!(
            inside
                .pull
                .stat_manifest(&caller, &repo, &reference, Check::WhenDue, &tally)
                .await
                .is_err()
        );
    }
    assert_eq!(upstream.count(&On::manifests().of(&tag)), 1);
    let signed = Image::oci(2, &[]);
    upstream.put_image("a/b", &tag, &signed);
    inside.clock.advance(Duration::from_secs(10));
    assert_eq!(signature().await.unwrap().0, signed.digest());
}
