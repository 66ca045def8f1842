//! Identity tokens: OAuth 2 where it is known, and a password where it is not.

use super::*;

/// A registry whose token endpoint answers a POST and a GET as told.
async fn registry(
    post: impl Fn() -> Reply + Send + Sync + 'static,
    get: impl Fn() -> Reply + Send + Sync + 'static,
) -> Fake {
    Fake::start(move |seen| match (seen.method(), seen.header("authorization")) {
        ("POST", _) => post(),
        ("GET", _) if seen.target().starts_with("/token") => get(),
        (_, Some(token)) if token.starts_with("Bearer ") => ok(BLOB),
        _ => challenge(seen),
    })
    .await
}

fn unknown() -> Reply {
    Reply::new(404, &[], b"")
}

#[tokio::test]
async fn an_identity_token_is_refreshed_by_post() {
    let fake = registry(|| ok(b"{\"access_token\":\"t\",\"expires_in\":4500}"), unknown).await;
    let mirror = fake.mirror(login("<token>", "refre+sh"));
    assert_eq!(asker().whole(&mirror).await.unwrap(), BLOB);
    let seen = &fake.seen()[1];
    assert_eq!(seen.line, "POST /token?account=x HTTP/1.1");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(
        seen.body,
        "grant_type=refresh_token&client_id=wharf&service=reg&scope=repository%3Aorg%2Fapp%3Apull&refresh_token=refre%2Bsh"
    );
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn where_oauth2_is_not_known_it_is_presented_as_a_password_is() {
    let elsewhere = Fake::start(|_| ok(b"{\"token\":\"stolen\"}")).await;
    let to = format!("http://{}/", elsewhere.authority());
    for status in [400, 401, 404, 405, 301, 302, 303, 307, 308] {
        let to = to.clone();
        let refused = move || Reply::new(status, &[("Location", &to)], b"");
        let fake = registry(refused, || ok(b"{\"token\":\"t\"}")).await;
        assert_eq!(
            asker().whole(&fake.mirror(login("<token>", "refresh"))).await.unwrap(),
            BLOB
        );
        assert_eq!(
            fake.seen()[2].header("authorization"),
            Some(&*basic(":refresh")),
            "{status}"
        );
    }
    assert_eq!(elsewhere.seen().len(), 0, "the secret is in the body");
}

#[tokio::test]
async fn what_else_a_post_is_answered_is_the_answer() {
    let denied = registry(|| Reply::new(403, &[], b""), || ok(b"{\"token\":\"t\"}")).await;
    let error = asker()
        .whole(&denied.mirror(login("<token>", "refresh")))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Denied { status: 403, .. }), "{error}");
    let down = registry(|| Reply::new(503, &[], b""), || ok(b"{\"token\":\"t\"}")).await;
    let error = asker()
        .whole(&down.mirror(login("<token>", "refresh")))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Failed { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn an_identity_token_that_is_not_accepted_is_told() {
    let fake = registry(|| Reply::new(401, &[], b""), || Reply::new(401, &[], b"")).await;
    let error = asker()
        .whole(&fake.mirror(login("<token>", "refresh")))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the credentials of mirror \"hub\" (an identity token)"),
        "{error}"
    );
    assert!(
        matches!(error, Error::Rejected { .. }) && keeps(&error, &["refresh"]),
        "{error}"
    );
    assert_eq!(fake.seen().len(), 3);
}
