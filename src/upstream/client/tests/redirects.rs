//! Where a redirect leads, and what goes along.

use super::*;

#[tokio::test]
async fn a_redirect_to_another_host_carries_the_range_and_no_token() {
    let cdn = Fake::start(|_| Reply::new(206, &[("Content-Range", "bytes 4-9/10")], &BLOB[4..])).await;
    let to = format!("http://{}/blob?sig=secret", cdn.authority());
    let fake = Fake::start(move |seen| match seen.target() {
        token if token.starts_with("/token") => ok(b"{\"token\":\"t\"}"),
        "/here" => redirect(&to),
        _ if seen.header("authorization").is_some() => redirect("/here"),
        _ => challenge(seen),
    })
    .await;
    let mut body = asker()
        .blob(&fake.mirror(|_| {}), Span { from: 4, to: None })
        .await
        .unwrap();
    assert_eq!((body.start(), body.total()), (4, Some(10)));
    assert_eq!(body.chunk().await.unwrap().unwrap(), &BLOB[4..]);
    assert_eq!(body.chunk().await.unwrap(), None);
    let shown = format!("{body:?}");
    let way = format!("{} (redirecting to {})", fake.authority(), cdn.authority());
    assert!(
        shown.contains(&way) && body.endpoint().to_string() == fake.authority(),
        "{shown}"
    );

    let here = fake.seen().into_iter().find(|seen| seen.target() == "/here").unwrap();
    assert_eq!(here.header("authorization"), Some("Bearer t"), "the same origin");
    let there = &cdn.seen()[0];
    assert_eq!(
        (there.header("authorization"), there.header("range")),
        (None, Some("bytes=4-"))
    );
    assert_eq!(there.header("referer"), None);
}

#[tokio::test]
async fn redirects_end() {
    let fake = Fake::start(|seen| redirect(seen.target())).await;
    let (asker, tally) = (asker(), Tally::default());
    let mirror = fake.mirror(|_| {});
    let result = asker
        .client
        .head_blob(&mirror, &asker.remote, &asker.digest, &tally)
        .await;
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unusable {
                fault: Fault::Redirects { limit: 10 },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(tally.get(), 11);
}

#[tokio::test]
async fn a_redirect_target_that_refuses_says_nothing_about_the_repository() {
    let cdn = Fake::start(|_| {
        Reply::new(
            403,
            &[("WWW-Authenticate", "Bearer realm=\"http://127.0.0.1:1/\"")],
            b"expired",
        )
    })
    .await;
    let to = format!("http://{}/blob?sig=secret", cdn.authority());
    let fake = Fake::start(move |_| redirect(&to)).await;
    let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
    assert!(matches!(error, Error::Failed { status: 403, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert_eq!(cdn.seen().len(), 1);
}
