//! 401, token, again.

use super::*;

#[tokio::test]
async fn an_anonymous_token_is_asked_for_once_and_then_sent_at_once() {
    let fake = token_registry(|_| true).await;
    let (mirror, asker, tally) = (fake.mirror(|_| {}), asker(), Tally::default());
    asker
        .client
        .get_blob(
            mirror.endpoints(),
            &asker.remote,
            &asker.digest,
            Span::default(),
            &tally,
        )
        .await
        .unwrap();
    assert_eq!(tally.get(), 3, "bare, token, again");
    let token = &fake.seen()[1];
    assert_eq!(
        token.target(),
        "/token?account=x&service=reg&scope=repository%3Aorg%2Fapp%3Apull"
    );
    assert_eq!(token.header("authorization"), None);
    assert_eq!(fake.seen()[2].header("authorization"), Some("Bearer t1"));

    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(fake.seen().len(), 4);
    assert_eq!(fake.seen()[3].header("authorization"), Some("Bearer t1"));
}

#[tokio::test]
async fn a_herd_asks_for_one_token() {
    let fake = token_registry(|_| true).await;
    whole_to_a_herd(fake.mirror(|_| {})).await;
    assert_eq!(fake.asked("/token"), 1);
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_replaced_once() {
    let revoked = Arc::new(AtomicU32::new(0));
    let until = Arc::clone(&revoked);
    let fake = token_registry(move |token| {
        let number: u32 = token.trim_start_matches("Bearer t").parse().unwrap();
        number > until.load(Ordering::SeqCst)
    })
    .await;
    let (mirror, asker) = (fake.mirror(|_| {}), asker());
    asker.whole(&mirror).await.unwrap();
    revoked.store(1, Ordering::SeqCst);
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(fake.asked("/token"), 2);
    assert_eq!(fake.seen().len(), 6, "bare, token, again; refused, token, again");
}

#[tokio::test]
async fn refused_with_a_fresh_anonymous_token_is_absent() {
    let fake = token_registry(|_| false).await;
    let (mirror, asker) = (fake.mirror(|_| {}), asker());
    for requests in [3, 6] {
        let error = asker.whole(&mirror).await.unwrap_err();
        let Error::Absent { how, status, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*how, *status), (Absence::RefusedAnonymous, 401));
        assert_eq!(error.verdict(), Verdict::RepositoryAbsent);
        assert_eq!(fake.seen().len(), requests);
    }
}

#[tokio::test]
async fn refused_without_a_challenge_wants_credentials() {
    for (status, header) in [(401, "Basic realm=\"x\""), (403, "Negotiate"), (401, "Bearer")] {
        let fake = Fake::start(move |_| Reply::new(status, &[("WWW-Authenticate", header)], b"")).await;
        let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
        assert_eq!(error.verdict(), Verdict::RepositoryRefused, "{error}");
        let text = error.to_string();
        let expected = format!("{} answered {status}: it demands credentials", fake.authority());
        assert!(text.starts_with(&expected) && text.contains("mirror \"hub\""), "{text}");
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_challenge_that_changes_every_time_is_followed_no_further_than_thrice() {
    let count = AtomicU32::new(0);
    let fake = Fake::start(move |seen| {
        if seen.target().starts_with("/token") {
            return ok(b"{\"access_token\":\"t\"}");
        }
        let own = seen.header("host").unwrap();
        let scope = count.fetch_add(1, Ordering::SeqCst);
        let value = format!("Bearer realm=\"http://{own}/token\",scope=\"s{scope}\"");
        Reply::new(401, &[("WWW-Authenticate", &value)], b"")
    })
    .await;
    let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::RepositoryAbsent);
    assert_eq!((fake.asked("/v2/"), fake.asked("/token")), (3, 2));
}

#[tokio::test]
async fn what_goes_wrong_at_the_token_endpoint_is_told() {
    type Check = fn(&Error) -> bool;
    let padding: &'static [u8] = Vec::leak(vec![b' '; 70_000]);
    let cases: [(u16, &'static [u8], Check); 6] = [
        (401, b"", |e| matches!(e, Error::Refused { status: 401, .. })),
        (404, b"", |e| {
            matches!(
                e,
                Error::Unusable {
                    status: Some(404),
                    fault: Fault::Status,
                    ..
                }
            )
        }),
        (503, b"", |e| matches!(e, Error::Failed { status: 503, .. })),
        (429, b"", |e| matches!(e, Error::Throttled { .. })),
        (200, b"<html>", |e| {
            matches!(
                e,
                Error::Unusable {
                    fault: Fault::NoToken,
                    ..
                }
            )
        }),
        (200, padding, |e| {
            matches!(
                e,
                Error::Unusable {
                    fault: Fault::TooBig { .. },
                    ..
                }
            )
        }),
    ];
    for (status, body, check) in cases {
        let fake = Fake::start(move |seen| {
            if seen.target().starts_with("/token") {
                Reply::new(status, &[], body)
            } else {
                challenge(seen)
            }
        })
        .await;
        let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
        assert!(check(&error), "{error}");
        assert!(error.to_string().contains("(token realm of 127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_realm_elsewhere_is_never_dialled() {
    let elsewhere = Fake::start(|_| ok(b"{\"token\":\"t\"}")).await;
    let port = elsewhere.authority().split_once(':').unwrap().1.to_owned();
    let value = format!("Bearer realm=\"http://localhost:{port}/token\"");
    let fake = Fake::start(move |_| Reply::new(401, &[("WWW-Authenticate", &value)], b"")).await;
    let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unusable {
                fault: Fault::ForeignRealm { .. },
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("mirror.\"hub\".token_realm"), "{error}");
    assert_eq!(elsewhere.seen().len(), 0);

    let allowed = fake.mirror(|config| {
        config.token_realm = Some(format!("http://localhost:{port}/token"));
    });
    let error = asker().whole(&allowed).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::RepositoryAbsent);
    assert_eq!(elsewhere.seen().len(), 1);
}

#[tokio::test]
async fn a_leaver_does_not_take_the_token_with_him() {
    let fake = token_registry(|_| true).await;
    let (mirror, asker) = (fake.mirror(|_| {}), asker());
    // Polled until the token is asked for, then dropped.
    let mut leaver = Box::pin(asker.whole(&mirror));
    while fake.asked("/token") == 0 {
        tokio::select! {
            biased;
            result = &mut leaver => panic!("too fast to leave: {result:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(leaver);
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(fake.asked("/token"), 1);
}
