//! Whom wharf is: what it presents, where, and what becomes of it when that is refused.

use std::sync::Mutex;

use super::*;

/// A registry that lets in those who present one of these values of `Authorization`.
pub(super) async fn basic_registry(accepted: Arc<Mutex<Vec<String>>>) -> Fake {
    Fake::start(move |seen| {
        let presented = seen.header("authorization").unwrap_or_default().to_owned();
        if accepted.lock().unwrap().contains(&presented) {
            return ok(BLOB);
        }
        Reply::new(401, &[("WWW-Authenticate", "Basic realm=\"registry\"")], b"")
    })
    .await
}

/// A registry whose token endpoint knows these logins; a token is good for as long as its login is.
pub(super) async fn login_registry(accepted: Arc<Mutex<Vec<String>>>) -> Fake {
    let minted: Mutex<Vec<String>> = Mutex::default();
    Fake::start(move |seen| {
        let presented = seen.header("authorization").unwrap_or_default().to_owned();
        let known = |login: &String| accepted.lock().unwrap().contains(login);
        let mut minted = minted.lock().unwrap();
        if seen.target().starts_with("/token") {
            if !known(&presented) {
                return Reply::new(401, &[], b"{\"details\":\"incorrect username or password\"}");
            }
            minted.push(presented);
            return ok(format!("{{\"token\":\"t{}\",\"expires_in\":300}}", minted.len()).as_bytes());
        }
        let number = presented
            .strip_prefix("Bearer t")
            .and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| minted.get(number - 1)) {
            Some(login) if known(login) => ok(BLOB),
            _ => challenge(seen),
        }
    })
    .await
}

pub(super) fn accepting(pairs: &[&str]) -> Arc<Mutex<Vec<String>>> {
    Arc::new(Mutex::new(pairs.iter().map(|pair| basic(pair)).collect()))
}

pub(super) fn presented(fake: &Fake) -> Vec<(String, Option<String>)> {
    let seen = fake.seen().into_iter();
    let path = |seen: &Seen| seen.target().split(['?', '/']).nth(1).unwrap_or_default().to_owned();
    seen.map(|seen| (path(&seen), seen.header("authorization").map(str::to_owned)))
        .collect()
}

#[tokio::test]
async fn a_login_is_presented_where_it_is_asked_for_and_then_at_once() {
    let fake = basic_registry(accepting(&["site:s3cret"])).await;
    let (mirror, asker) = (fake.mirror(login("site", "s3cret")), asker());
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    let (bare, known) = (None, Some(basic("site:s3cret")));
    let paths = [
        ("v2".to_owned(), bare),
        ("v2".to_owned(), known.clone()),
        ("v2".to_owned(), known),
    ];
    assert_eq!(presented(&fake), paths);
}

#[tokio::test]
async fn a_login_is_for_the_token_endpoint_and_the_token_for_the_registry() {
    let fake = login_registry(accepting(&["site:s3cret"])).await;
    let (mirror, asker) = (fake.mirror(login("site", "s3cret")), asker());
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    let token = || Some("Bearer t1".to_owned());
    let expected = [
        ("v2", None),
        ("token", Some(basic("site:s3cret"))),
        ("v2", token()),
        ("v2", token()),
    ];
    assert_eq!(presented(&fake), expected.map(|(path, value)| (path.to_owned(), value)));
}

#[tokio::test]
async fn credentials_go_nowhere_else() {
    let cdn = Fake::start(|_| ok(BLOB)).await;
    let to = format!("http://{}/blob?sig=1", cdn.authority());
    let fake = Fake::start(move |seen| match seen.header("authorization") {
        Some(_) => redirect(&to),
        None => Reply::new(401, &[("WWW-Authenticate", "Basic realm=\"registry\"")], b""),
    })
    .await;
    let mirror = fake.mirror(login("site", "s3cret"));
    assert_eq!(asker().whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(presented(&cdn)[0].1, None);

    // A token endpoint that sends us on: what is granted there is granted to nobody.
    let elsewhere = Fake::start(|_| ok(b"{\"token\":\"t\"}")).await;
    let to = format!("http://{}/token", elsewhere.authority());
    let fake = Fake::start(move |seen| {
        if seen.target().starts_with("/token") {
            redirect(&to)
        } else {
            challenge(seen)
        }
    })
    .await;
    let error = asker().whole(&fake.mirror(login("site", "s3cret"))).await.unwrap_err();
    let moved = matches!(&error, Error::Unusable { fault, .. } if *fault == Fault::MovedRealm);
    assert!(moved && keeps(&error, &["s3cret"]), "{error}");
    assert!(presented(&elsewhere).iter().all(|(_, value)| value.is_none()));
}

#[tokio::test]
async fn credentials_that_nobody_asks_for_are_not_presented() {
    let fake = Fake::start(|_| ok(BLOB)).await;
    asker().whole(&fake.mirror(login("site", "s3cret"))).await.unwrap();
    assert_eq!(presented(&fake), [("v2".to_owned(), None)]);
}

#[tokio::test]
async fn a_refusal_without_a_challenge_is_met_with_what_is_configured() {
    for status in [401, 403] {
        let fake = Fake::start(move |seen| match seen.header("authorization") {
            Some(_) => ok(BLOB),
            None => Reply::new(status, &[], b""),
        })
        .await;
        assert_eq!(asker().whole(&fake.mirror(login("site", "pw"))).await.unwrap(), BLOB);
        assert_eq!(presented(&fake)[1].1, Some(basic("site:pw")));
    }
}

#[tokio::test]
async fn a_token_endpoint_that_does_not_know_us_says_whose_credentials_failed() {
    let fake = login_registry(accepting(&["site:s3cret"])).await;
    let (mirror, asker) = (fake.mirror(login("site", "wr0ng")), asker());
    for requests in [2, 3] {
        let error = asker.whole(&mirror).await.unwrap_err();
        assert!(matches!(error, Error::Rejected { status: 401, .. }), "{error}");
        assert_eq!((error.verdict(), error.status()), (Verdict::Broken, Some(401)));
        assert_eq!(
            error.to_string(),
            format!(
                "{0} (token realm of {0}) answered 401: it does not accept the credentials of mirror \"hub\" (user \"site\")",
                fake.authority()
            )
        );
        assert!(keeps(&error, &["wr0ng", &basic("site:wr0ng")[6..]]));
        assert_eq!(fake.seen().len(), requests);
    }
}

#[tokio::test]
async fn what_is_refused_to_a_known_user_is_denied_with_his_name() {
    let basic_only = Fake::start(|seen| match seen.header("authorization") {
        None => Reply::new(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
        Some(_) => Reply::new(403, &[], b""),
    });
    let after_token = Fake::start(|seen| match seen.target() {
        token if token.starts_with("/token") => ok(b"{\"token\":\"t\"}"),
        _ => challenge(seen),
    });
    let at_token = Fake::start(|seen| match seen.target() {
        token if token.starts_with("/token") => Reply::new(403, &[], b"{\"errors\":[{\"code\":\"DENIED\"}]}"),
        _ => challenge(seen),
    });
    for (fake, status) in [(basic_only.await, 403), (after_token.await, 401), (at_token.await, 403)] {
        let error = asker().whole(&fake.mirror(login("site", "s3cret"))).await.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        assert_eq!(error.verdict(), Verdict::RepositoryRefused);
        let expected =
            format!("answered {status}: it refuses this to the credentials of mirror \"hub\" (user \"site\")");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert!(keeps(&error, &["s3cret"]));
    }
}

#[tokio::test]
async fn a_herd_with_credentials_asks_for_one_token() {
    let fake = login_registry(accepting(&["site:s3cret"])).await;
    whole_to_a_herd(fake.mirror(login("site", "s3cret"))).await;
    assert_eq!(fake.asked("/token"), 1);
}

#[tokio::test]
async fn a_token_is_of_one_credential_only() {
    let fake = login_registry(accepting(&["site:1", "site:2", "site:3"])).await;
    let (safe, asker) = (Safe::new(), asker());
    let path = safe.put("token", "1");
    let mirror = fake.mirror(|config| {
        config.username = Some("site".to_owned());
        config.password_file = Some(path);
    });
    for (password, token) in [("1", "t1"), ("2", "t2"), ("3", "t3"), ("1", "t1")] {
        safe.put("token", password);
        asker.clock.advance(Duration::from_secs(1));
        until("its token", async || {
            asker.whole(&mirror).await.unwrap();
            presented(&fake).pop().unwrap().1 == Some(format!("Bearer {token}"))
        })
        .await;
    }
    let tokens = presented(&fake).into_iter().filter(|(path, _)| path == "token");
    let expected = ["site:1", "site:2", "site:3"].map(|pair| Some(basic(pair)));
    assert_eq!(tokens.map(|(_, value)| value).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_rotated_password_costs_no_pull() {
    for (with_tokens, requests) in [(false, 2), (true, 4)] {
        let (accepted, safe) = (accepting(&["site:old"]), Safe::new());
        let fake = if with_tokens {
            login_registry(Arc::clone(&accepted)).await
        } else {
            basic_registry(Arc::clone(&accepted)).await
        };
        let path = safe.put("token", "old\n");
        let mirror = fake.mirror(|config| {
            config.username = Some("site".to_owned());
            config.password_file = Some(path);
        });
        let asker = asker();
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
        let before = fake.seen().len();
        safe.put("token", "new\n");
        *accepted.lock().unwrap() = vec![basic("site:new")];
        // In the same second: the refusal has the file looked at.
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
        assert_eq!(fake.seen().len() - before, requests, "{:?}", presented(&fake));
    }
}

#[tokio::test]
async fn a_file_is_looked_at_every_second_at_most() {
    let (accepted, safe) = (accepting(&["site:old", "site:new"]), Safe::new());
    let fake = basic_registry(accepted).await;
    let path = safe.put("token", "old");
    let mirror = fake.mirror(|config| {
        config.username = Some("site".to_owned());
        config.password_file = Some(path);
    });
    let asker = asker();
    let last = || presented(&fake).pop().unwrap().1.unwrap();
    asker.whole(&mirror).await.unwrap();
    safe.put("token", "new");
    for _ in 0..20 {
        asker.whole(&mirror).await.unwrap();
        assert_eq!(last(), basic("site:old"));
    }
    asker.clock.advance(Duration::from_secs(1));
    until("the new password", async || {
        asker.whole(&mirror).await.unwrap();
        last() == basic("site:new")
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_missing_is_told_and_looked_for_again() {
    let (safe, asker) = (Safe::new(), asker());
    let fake = basic_registry(accepting(&["site:s3cret"])).await;
    let path = safe.path("token");
    let mirror = fake.mirror(|config| {
        config.username = Some("site".to_owned());
        config.password_file = Some(path.clone());
    });
    let error = asker.whole(&mirror).await.unwrap_err();
    assert_eq!((error.verdict(), error.status()), (Verdict::Broken, None));
    assert_eq!(
        error.to_string(),
        format!(
            "{} cannot be asked: mirror.\"hub\".password_file gives no credentials",
            fake.authority()
        )
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.starts_with(&format!("{} cannot be read: ", path.display())),
        "{cause}"
    );
    safe.put("token", "s3cret\n");
    asker.clock.advance(Duration::from_secs(1));
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);

    // Once there were credentials, a file that is gone for a moment does not matter.
    safe.remove("token");
    for _ in 0..5 {
        asker.clock.advance(Duration::from_secs(1));
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    }
}
