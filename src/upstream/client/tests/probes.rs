//! What a probe asks, and whom it speaks for.

use super::endpoints::{answering, mirror};
use super::health::questions;
use super::*;

/// A registry whose front end answers: it says who may ask, and grants tokens. What is behind it says nothing to `dead`.
async fn front_end(dead: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen| match seen.target() {
        "/v2/" => Reply::new(200, &[], b""),
        _ if dead(seen) => Reply::silence(),
        target if target.starts_with("/v2/") => ok(BLOB),
        _ => ok(b"{\"token\":\"t\",\"expires_in\":300}"),
    })
    .await
}

#[tokio::test]
async fn a_front_end_that_answers_does_not_speak_for_what_hangs_behind_it() {
    let (asker, fake) = (asker(), front_end(|seen| seen.target().starts_with("/v2/org")).await);
    let mirror = mirror(&[&fake], |_| {});
    for _ in 0..30 {
        let error = soon(asker.whole(&mirror)).await.unwrap_err();
        assert_eq!(error.verdict(), Verdict::Slow, "{error}");
        assert!(asker.client.trouble(&mirror).is_some());
        asker.clock.advance(Duration::from_secs(2));
    }
    assert_eq!((questions(&fake), fake.asked("/v2/org")), (1, fake.seen().len()));
}

#[tokio::test]
async fn a_hanging_first_endpoint_costs_its_deadline_once_although_its_front_end_answers() {
    let first = front_end(|seen| seen.target().starts_with("/v2/org")).await;
    let second = answering(200, &[]).await;
    let (asker, mirror) = (asker(), mirror(&[&first, &second], |_| {}));
    for _ in 0..30 {
        assert_eq!(soon(asker.whole(&mirror)).await.unwrap(), BLOB);
        asker.clock.advance(Duration::from_secs(2));
    }
    assert_eq!((questions(&first), questions(&second)), (1, 30));
}

/// As GHCR does when its storage hangs: the token endpoint is the same host, and well.
#[tokio::test]
async fn who_answers_challenges_and_grants_tokens_and_no_question_is_asked_less_and_less() {
    let fake = Fake::start(|seen| match (seen.target(), seen.header("authorization")) {
        (target, _) if target.starts_with("/token") => ok(b"{\"token\":\"t\",\"expires_in\":300}"),
        (_, None) => challenge(seen),
        _ => Reply::silence(),
    })
    .await;
    let (mut asker, mirror) = (asker(), mirror(&[&fake], |_| {}));
    // Each second for four minutes somebody else: at once, and after 5, 10, 20, 40, 60 and 60 seconds.
    for n in 0..240 {
        asker.remote = format!("org/app{n}").parse().unwrap();
        soon(asker.whole(&mirror)).await.unwrap_err();
        asker.clock.advance(Duration::from_secs(1));
    }
    let seen = fake.seen();
    let questions = seen.iter().filter(|it| it.header("authorization").is_some()).count();
    assert!((7..=9).contains(&questions), "{questions}");
}

#[tokio::test]
async fn what_cannot_be_asked_twice_is_not_what_a_probe_asks() {
    let fake = Fake::start(|seen| match seen.method() {
        "POST" => Reply::silence(),
        "GET" => challenge(seen),
        _ => Reply::new(404, &[], b""),
    })
    .await;
    let (asker, safe) = (asker(), Safe::new());
    let text = format!(
        "{{\"auths\":{{\"{}\":{{\"identitytoken\":\"secret\"}}}}}}",
        fake.authority()
    );
    let path = safe.put("config.json", &text);
    let mirror = mirror(&[&fake], |config| config.docker_config = Some(path));
    soon(asker.whole(&mirror)).await.unwrap_err();
    soon(asker.whole(&mirror)).await.unwrap_err();
    let seen = fake.seen();
    let probes: Vec<_> = seen.iter().filter(|seen| seen.method() == "HEAD").collect();
    assert_eq!(probes.iter().map(|it| it.target()).collect::<Vec<_>>(), ["/v2/"]);
    assert!(probes.iter().all(|it| it.header("authorization").is_none()));
}

#[tokio::test]
async fn a_probe_asks_as_was_asked_but_for_the_whole() {
    let fake = Fake::start(|seen| match seen.header("authorization") {
        Some(_) => Reply::silence(),
        None if seen.target().starts_with("/token") => ok(b"{\"token\":\"t\",\"expires_in\":300}"),
        None => challenge(seen),
    })
    .await;
    let (asker, mirror) = (asker(), mirror(&[&fake], |_| {}));
    let span = Span { from: 4, to: None };
    soon(asker.blob(&mirror, span)).await.unwrap_err();
    soon(asker.blob(&mirror, span)).await.unwrap_err();
    let seen = fake.seen();
    let (question, probe) = (&seen[2], seen.last().unwrap());
    assert_eq!((question.method(), probe.method()), ("GET", "HEAD"));
    assert_eq!(question.target(), probe.target());
    for name in ["authorization", "accept"] {
        assert!(question.header(name).is_some() && question.header(name) == probe.header(name));
    }
    assert_eq!(
        (question.header("range"), probe.header("range")),
        (Some("bytes=4-"), None)
    );
}
