//! What is about a manifest: by the API, by the tag, and never nothing without a word.

use serde_json::{Value, json};

use super::*;
use crate::oci::Listed;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn listed(names: &[&str]) -> Value {
    let descriptor = |name: &&str| {
        let digest = Digest::of(Algorithm::Sha256, name.as_bytes()).to_string();
        json!({ "mediaType": "a/b", "digest": digest, "size": 1, "artifactType": name })
    };
    let manifests: Vec<_> = names.iter().map(descriptor).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

fn index(names: &[&str], headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("Content-Type", INDEX)], headers].concat();
    Reply::new(200, &headers, listed(names).to_string().as_bytes())
}

fn status(status: u16) -> Reply {
    Reply::new(status, &[("Content-Type", "application/json")], b"{}")
}

/// A registry with the API's answer and the tag's.
async fn registry(
    api: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    tag: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> Fake {
    Fake::start(move |seen| {
        if seen.target().starts_with("/v2/org/app/referrers/sha256:") {
            api(seen)
        } else if seen.target().starts_with("/v2/org/app/manifests/sha256-") {
            tag(seen)
        } else {
            panic!("{}", seen.target())
        }
    })
    .await
}

impl Asker {
    /// Their types, sorted.
    async fn referrers(&self, mirror: &Arc<Mirror>, known: bool) -> Result<Vec<String>, Error> {
        let tally = Tally::default();
        let asked = self.client.referrers(mirror, &self.remote, &self.digest, known, &tally);
        let kinds = |it: &Listed| it.artifact_type().unwrap_or_default().to_owned();
        let mut list: Vec<_> = soon(asked).await?.iter().map(kinds).collect();
        list.sort_unstable();
        Ok(list)
    }
}

async fn once(fake: &Fake) -> Result<Vec<String>, Error> {
    asker().referrers(&fake.mirror(quick), true).await
}

#[tokio::test]
async fn the_api_is_believed_page_by_page() {
    let api = |seen: &Seen| {
        if seen.target().ends_with("?page=2") {
            index(&["b"], &[])
        } else {
            index(&["a"], &[("Link", "<?page=2>; rel=\"next\"")])
        }
    };
    let fake = registry(api, |_| panic!("the API has answered")).await;
    assert_eq!(once(&fake).await.unwrap(), ["a", "b"]);
    assert_eq!(fake.seen()[0].header("accept"), Some(INDEX));
    assert_eq!(
        fake.seen()[0].target().split('/').next_back().unwrap().len(),
        71,
        "no filter is sent"
    );
    let fake = registry(|_| index(&[], &[]), |_| panic!("the API has answered")).await;
    assert!(once(&fake).await.unwrap().is_empty());
}

/// An answer of the API.
type Answer = fn(&Seen) -> Reply;

/// What says that there is no API.
const NO_API: [Answer; 8] = [
    |_| status(404),
    |_| status(405),
    |_| status(400),
    |_| status(406),
    |_| status(501),
    |_| status(200),
    |_| Reply::new(200, &[("Content-Type", "text/html")], b"<html>"),
    |_| {
        Reply::new(
            200,
            &[("Content-Type", "application/vnd.oci.image.manifest.v1+json")],
            b"{}",
        )
    },
];

#[tokio::test]
async fn without_an_api_the_tag_counts() {
    for api in NO_API {
        let fake = registry(api, |_| index(&["a"], &[])).await;
        assert_eq!(once(&fake).await.unwrap(), ["a"]);
        let tag = fake.seen()[1].target().to_owned();
        assert_eq!(
            tag,
            format!("/v2/org/app/manifests/sha256-{}", asker().digest.encoded())
        );
        let fake = registry(api, |_| status(404)).await;
        assert!(once(&fake).await.unwrap().is_empty(), "neither API nor tag");
    }
}

#[tokio::test]
async fn what_fails_is_never_an_empty_list() {
    let failing: [Answer; 6] = [
        |_| status(500),
        |_| status(503),
        |_| status(429),
        |_| Reply::silence(),
        |_| Reply::hang_up(),
        |_| index(&["a"], &[("Link", "<?page=1>; rel=next")]),
    ];
    for api in failing {
        let fake = registry(api, |_| status(404)).await;
        assert!(once(&fake).await.is_err(), "the API fails, and there is no tag");
    }
    let bad_tags: [Answer; 7] = [
        |_| status(500),
        |_| status(429),
        |_| status(403),
        |_| status(200),
        |_| Reply::silence(),
        |_| Reply::new(200, &[("Content-Type", "text/html")], b"<html>"),
        |_| {
            let digest = Digest::of(Algorithm::Sha256, b"other").to_string();
            index(&["a"], &[("Docker-Content-Digest", &digest)])
        },
    ];
    for tag in bad_tags {
        let fake = registry(|_| status(404), tag).await;
        let listed = once(&fake).await;
        assert!(listed.is_err(), "no API, and the tag cannot be had: {listed:?}");
    }
}

#[tokio::test]
async fn an_api_that_fails_from_the_start_does_not_hide_the_tag() {
    let fake = registry(|_| status(500), |_| index(&["a"], &[])).await;
    assert_eq!(once(&fake).await.unwrap(), ["a"]);
    // One that has worked before is in trouble: what the tag has may be old.
    let failing = Arc::new(AtomicU32::new(0));
    let now = Arc::clone(&failing);
    let api = move |_: &Seen| {
        if now.load(Ordering::SeqCst) == 0 {
            index(&["a", "b"], &[])
        } else {
            status(500)
        }
    };
    let fake = registry(api, |_| index(&["a"], &[])).await;
    let (asker, mirror) = (asker(), fake.mirror(quick));
    assert_eq!(asker.referrers(&mirror, true).await.unwrap(), ["a", "b"]);
    failing.store(1, Ordering::SeqCst);
    assert!(asker.referrers(&mirror, true).await.is_err());
    assert_eq!(fake.asked("/v2/org/app/manifests/"), 0);
}

#[tokio::test]
async fn a_redirect_to_another_host_says_that_there_is_no_api() {
    let page = Fake::start(|_| panic!("nobody goes there")).await;
    let to = format!("http://localhost:{}/", page.authority().rsplit(':').next().unwrap());
    let elsewhere = move |_: &Seen| Reply::new(303, &[("Location", &to)], b"");
    let fake = registry(elsewhere, |_| index(&["a"], &[])).await;
    let (asker, mirror) = (asker(), fake.mirror(quick));
    for _ in 0..2 {
        assert_eq!(asker.referrers(&mirror, false).await.unwrap(), ["a"]);
    }
    assert_eq!(fake.asked("/v2/org/app/referrers/"), 1, "it is remembered");

    let here = |seen: &Seen| {
        if seen.target().ends_with("?here") {
            index(&["b"], &[])
        } else {
            redirect("?here")
        }
    };
    let fake = registry(here, |_| panic!("the API has answered")).await;
    assert_eq!(once(&fake).await.unwrap(), ["b"], "within the host it is followed");
}

#[tokio::test]
async fn what_a_mirror_can_do_is_remembered_for_an_hour() {
    let fake = registry(|_| status(404), |_| status(404)).await;
    let (asker, mirror) = (asker(), fake.mirror(quick));
    let count = async |known: bool| {
        assert!(asker.referrers(&mirror, known).await.unwrap().is_empty());
        fake.asked("/v2/org/app/referrers/")
    };
    assert_eq!(count(false).await, 1);
    assert_eq!(
        count(false).await,
        2,
        "it may have been the repository that is not there"
    );
    assert_eq!(count(true).await, 3);
    assert_eq!(count(true).await, 3, "it was not");
    assert_eq!(count(false).await, 3);
    asker.clock.advance(Duration::from_hours(1));
    assert_eq!(count(true).await, 4, "it may have been upgraded");
}

#[tokio::test]
async fn what_may_be_said_of_one_digest_is_no_word_about_the_api() {
    let fake = registry(|_| status(400), |_| status(404)).await;
    let (asker, mirror) = (asker(), fake.mirror(quick));
    for _ in 0..2 {
        assert!(asker.referrers(&mirror, true).await.unwrap().is_empty());
    }
    assert_eq!(fake.asked("/v2/org/app/referrers/"), 2);
}

#[tokio::test]
async fn an_api_that_was_there_is_not_taken_to_be_gone() {
    let odd: [Answer; 3] = [
        |_| status(405),
        |_| status(200),
        |_| Reply::new(302, &[("Location", "http://localhost:1/maintenance")], b""),
    ];
    for odd in odd {
        let failing = Arc::new(AtomicU32::new(0));
        let now = Arc::clone(&failing);
        let api = move |seen: &Seen| match now.load(Ordering::SeqCst) {
            0 => index(&["a"], &[]),
            _ => odd(seen),
        };
        let fake = registry(api, |_| status(404)).await;
        let (asker, mirror) = (asker(), fake.mirror(quick));
        assert_eq!(asker.referrers(&mirror, true).await.unwrap(), ["a"]);
        failing.store(1, Ordering::SeqCst);
        let listed = asker.referrers(&mirror, true).await;
        assert!(listed.is_err(), "{listed:?}");
        failing.store(0, Ordering::SeqCst);
        assert_eq!(asker.referrers(&mirror, true).await.unwrap(), ["a"]);
    }
}

#[tokio::test]
async fn a_repository_that_is_hidden_is_not_one_without_referrers() {
    let fake = token_registry(|_| false).await;
    let error = once(&fake).await.unwrap_err();
    assert!(matches!(error, Error::Absent { status: 401, .. }), "{error}");
    let fake = registry(|_| status(401), |_| status(401)).await;
    let error = once(&fake).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }), "{error}");
    // Without a tag, too: whoever may not ask hears of no signature.
    let fake = registry(|_| status(401), |_| status(404)).await;
    let error = once(&fake).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }), "{error}");
}
