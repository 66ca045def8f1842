//! What is not asked because it would not answer, and how that ends.

use std::sync::atomic::AtomicBool;

use super::endpoints::{answering, mirror};
use super::*;

/// An upstream that can be made well, or worse.
struct Patient {
    fake: Fake,
    state: Arc<AtomicU32>,
}

impl Patient {
    async fn who(fails: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        let state = Arc::new(AtomicU32::new(0));
        let now = Arc::clone(&state);
        let fake = Fake::start(move |_| match now.load(Ordering::SeqCst) {
            0 => fails(),
            1 => ok(BLOB),
            _ => Reply::silence(),
        })
        .await;
        Self { fake, state }
    }

    fn recovers(&self) {
        self.state.store(1, Ordering::SeqCst);
    }

    fn falls_silent(&self) {
        self.state.store(2, Ordering::SeqCst);
    }

    fn questions(&self) -> usize {
        questions(&self.fake)
    }

    fn probes(&self) -> usize {
        self.fake.seen().len() - self.questions()
    }
}

/// Here all that is asked is asked by GET, and probed by HEAD.
pub(super) fn questions(fake: &Fake) -> usize {
    fake.seen().iter().filter(|seen| seen.method() == "GET").count()
}

#[tokio::test]
async fn a_dead_first_endpoint_costs_its_deadline_once_and_is_asked_again_when_it_is_well() {
    let first = Patient::who(Reply::silence).await;
    let second = answering(200, &[]).await;
    let (asker, mirror) = (asker(), mirror(&[&first.fake, &second], |_| {}));
    for _ in 0..5 {
        assert_eq!(soon(asker.whole(&mirror)).await.unwrap(), BLOB);
    }
    assert_eq!((first.questions(), second.asked("/v2/org")), (1, 5));
    until("the probe to fail", async || {
        asker.clock.advance(Duration::ZERO);
        first.probes() == 1
    })
    .await;
    first.recovers();
    until("the first endpoint to be asked again", async || {
        asker.clock.advance(Duration::from_secs(5));
        asker.whole(&mirror).await.unwrap();
        first.questions() > 1
    })
    .await;
}

#[tokio::test]
async fn who_fails_three_times_is_left_alone_and_who_has_no_other_way_waits_for_the_probe() {
    let patient = Patient::who(|| Reply::new(503, &[], b"")).await;
    let (asker, mirror) = (asker(), mirror(&[&patient.fake], |_| {}));
    for questions in [3, 6, 7, 7] {
        let error = asker.whole(&mirror).await.unwrap_err();
        assert_eq!((error.status(), patient.questions()), (Some(503), questions), "{error}");
    }
    assert_eq!(asker.client.trouble(&mirror).unwrap().status(), Some(503));
    asker.clock.advance(Duration::from_secs(5));
    assert!(asker.whole(&mirror).await.is_err());
    assert!(asker.whole(&mirror).await.is_err());
    assert_eq!(
        (patient.questions(), patient.probes()),
        (7, 1),
        "one probe in five seconds"
    );
    patient.recovers();
    asker.clock.advance(Duration::from_secs(5));
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert!(asker.client.trouble(&mirror).is_none());
}

#[tokio::test]
async fn a_herd_is_one_probe() {
    let patient = Patient::who(Reply::silence).await;
    let (asker, mirror) = (asker(), mirror(&[&patient.fake], |_| {}));
    soon(asker.whole(&mirror)).await.unwrap_err();
    let herd = (0..20).map(|_| asker.whole(&mirror));
    let all = soon(futures_util::future::join_all(herd)).await;
    assert!(all.into_iter().all(|one| one.is_err()));
    assert_eq!((patient.questions(), patient.probes()), (1, 1));
}

#[tokio::test]
async fn nobody_waits_for_as_long_as_a_probe_may_take() {
    let patient = Patient::who(|| Reply::new(503, &[], b"")).await;
    let (asker, mirror) = (
        asker(),
        mirror(&[&patient.fake], |config| config.first_byte = Duration::from_hours(1)),
    );
    for _ in 0..3 {
        asker.whole(&mirror).await.unwrap_err();
    }
    patient.falls_silent();
    asker.clock.advance(Duration::from_secs(5));
    for _ in 0..2 {
        soon(asker.whole(&mirror)).await.unwrap_err();
        assert_eq!(patient.probes(), 1);
    }
}

/// A head that promises ten bytes, and none of them.
fn empty_promise() -> Reply {
    Reply::new(200, &[("Content-Length", "10")], b"").then_stall()
}

#[tokio::test]
async fn who_falls_silent_in_manifests_is_waited_for_as_for_an_answer_and_seldom() {
    let (first, second) = (Patient::who(empty_promise).await, answering(200, &[]).await);
    let (asker, mirror) = (
        asker(),
        mirror(&[&first.fake, &second], |config| {
            config.silence = Duration::from_hours(1);
        }),
    );
    for _ in 0..60 {
        assert_eq!(*soon(asker.manifest(&mirror)).await.unwrap().bytes, *BLOB);
        asker.clock.advance(Duration::from_secs(1));
    }
    // At once, once it was probed, and after 5, 10 and 20 seconds.
    assert!((4..=5).contains(&first.questions()), "{}", first.questions());
}

#[tokio::test]
async fn three_bodies_that_bring_nothing_are_no_accident() {
    let patient = Patient::who(empty_promise).await;
    let (asker, mirror) = (asker(), mirror(&[&patient.fake], |_| {}));
    for _ in 0..3 {
        assert!(asker.client.trouble(&mirror).is_none());
        let error = soon(asker.whole(&mirror)).await.unwrap_err();
        assert_eq!(error.verdict(), Verdict::Cut, "{error}");
    }
    assert!(asker.client.trouble(&mirror).is_some());
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_waited_for_once() {
    let realm = Patient::who(Reply::silence).await;
    let challenge = format!("Bearer realm=\"http://{}/v2/token\"", realm.fake.authority());
    let registry = Fake::start(move |_| Reply::new(401, &[("WWW-Authenticate", &challenge)], b"{}")).await;
    let (asker, mirror) = (asker(), mirror(&[&registry], |_| {}));
    for _ in 0..5 {
        soon(asker.whole(&mirror)).await.unwrap_err();
    }
    assert_eq!(realm.questions(), 1);
    assert!(asker.client.trouble(&mirror).is_some());
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_left_alone_although_the_registry_beside_it_answers() {
    let fake = Fake::start(|seen| match seen.target() {
        target if target.starts_with("/token") => Reply::new(503, &[], b""),
        _ => {
            let challenge = format!("Bearer realm=\"http://{}/token\"", seen.header("host").unwrap());
            Reply::new(401, &[("WWW-Authenticate", &challenge)], b"")
        }
    })
    .await;
    let (asker, mirror) = (asker(), mirror(&[&fake], |_| {}));
    let error = asker.whole(&mirror).await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error}");
    assert!(asker.client.trouble(&mirror).is_some());
    let before = fake.asked("/v2/org");
    asker.whole(&mirror).await.unwrap_err();
    assert_eq!((fake.asked("/token"), fake.asked("/v2/org")), (3, before + 1));
}

#[tokio::test]
async fn a_referrers_api_that_fails_says_nothing_of_the_registry() {
    let fails = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&fails);
    let fake = Fake::start(move |seen| match seen.target() {
        target if !target.contains("/referrers/") => ok(BLOB),
        _ if state.load(Ordering::SeqCst) => Reply::new(500, &[], b""),
        _ => Reply::new(
            200,
            &[("Content-Type", "application/vnd.oci.image.index.v1+json")],
            b"{\"schemaVersion\":2,\"manifests\":[]}",
        ),
    })
    .await;
    let (asker, mirror, tally) = (asker(), mirror(&[&fake], |_| {}), Tally::default());
    for failing in [false, true, true, true] {
        fails.store(failing, Ordering::SeqCst);
        let listed = asker
            .client
            .referrers(&mirror, &asker.remote, &asker.digest, true, &tally);
        assert_eq!(listed.await.is_err(), failing);
    }
    assert!(asker.client.trouble(&mirror).is_none());
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
}

#[tokio::test]
async fn a_realm_that_is_not_needed_any_more_is_no_trouble() {
    let realm = Patient::who(|| Reply::new(503, &[], b"")).await;
    let moved = Arc::new(AtomicBool::new(false));
    let (named, state) = (
        format!("http://{}/v2/token", realm.fake.authority()),
        Arc::clone(&moved),
    );
    let registry = Fake::start(move |_| {
        let challenge = format!("Bearer realm=\"{named}\"");
        if state.load(Ordering::SeqCst) {
            ok(BLOB)
        } else {
            Reply::new(401, &[("WWW-Authenticate", &challenge)], b"{}")
        }
    })
    .await;
    let (asker, mirror) = (asker(), mirror(&[&registry], |_| {}));
    asker.whole(&mirror).await.unwrap_err();
    // For as long as somebody needs it.
    for _ in 0..10 {
        soon(asker.whole(&mirror)).await.unwrap_err();
        assert!(asker.client.trouble(&mirror).is_some());
        asker.clock.advance(Duration::from_secs(3));
    }
    moved.store(true, Ordering::SeqCst);
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    asker.clock.advance(Duration::from_secs(10));
    assert!(asker.client.trouble(&mirror).is_none());
}
