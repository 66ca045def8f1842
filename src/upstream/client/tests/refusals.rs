//! A login that was refused: how often it is shown again, and what makes it another.

use super::credentials::{accepting, basic_registry, login_registry, presented};
use super::*;

/// A registry that wants `site:s3cret`, at its token endpoint or itself.
async fn strict(with_tokens: bool) -> Fake {
    let accepted = accepting(&["site:s3cret"]);
    if with_tokens {
        login_registry(accepted).await
    } else {
        basic_registry(accepted).await
    }
}

fn logins(fake: &Fake) -> usize {
    let shown = presented(fake).into_iter();
    shown
        .filter(|(_, value)| value.as_ref().is_some_and(|value| value.starts_with("Basic ")))
        .count()
}

#[tokio::test]
async fn a_password_that_was_refused_is_shown_once_in_ten_seconds() {
    for with_tokens in [true, false] {
        let fake = strict(with_tokens).await;
        let (mirror, asker) = (fake.mirror(login("site", "wr0ng")), asker());
        let first = asker.whole(&mirror).await.unwrap_err().to_string();
        for seconds in [0, 0, 5, 4] {
            asker.clock.advance(Duration::from_secs(seconds));
            assert_eq!(asker.whole(&mirror).await.unwrap_err().to_string(), first);
            assert_eq!(asker.manifest(&mirror).await.unwrap_err().to_string(), first);
            assert_eq!(logins(&fake), 1, "{:?}", presented(&fake));
        }
        asker.clock.advance(Duration::from_secs(1));
        for _ in 0..3 {
            asker.whole(&mirror).await.unwrap_err();
            assert_eq!(logins(&fake), 2, "{:?}", presented(&fake));
        }
    }
}

#[tokio::test]
async fn another_password_is_shown_at_once() {
    for with_tokens in [true, false] {
        let (fake, safe, asker) = (strict(with_tokens).await, Safe::new(), asker());
        let path = safe.put("token", "wr0ng");
        let mirror = fake.mirror(|config| {
            config.username = Some("site".to_owned());
            config.password_file = Some(path);
        });
        for _ in 0..3 {
            asker.whole(&mirror).await.unwrap_err();
        }
        assert_eq!(logins(&fake), 1, "{:?}", presented(&fake));
        // In the same second, and not only at the file's next look.
        safe.put("token", "s3cret");
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
        let other = fake.mirror(login("site", "wr0ng"));
        asker.whole(&other).await.unwrap_err();
        assert_eq!(logins(&fake), 3, "another table's word is another's");
    }
}

#[tokio::test]
async fn what_a_token_endpoint_denies_is_not_asked_for_again_but_another_repository_is() {
    let fake = Fake::start(|seen| match (seen.target(), seen.header("authorization")) {
        (token, _) if token.starts_with("/token") && token.contains("org%2Fapp") => Reply::new(403, &[], b""),
        (token, _) if token.starts_with("/token") => ok(b"{\"token\":\"t\"}"),
        (_, Some("Bearer t")) => ok(BLOB),
        _ => challenge(seen),
    })
    .await;
    let (mirror, mut asker) = (fake.mirror(login("site", "s3cret")), asker());
    for _ in 0..3 {
        let error = asker.whole(&mirror).await.unwrap_err();
        assert!(matches!(error, Error::Denied { status: 403, .. }), "{error}");
    }
    assert_eq!(fake.asked("/token"), 1);
    asker.remote = "org/other".parse().unwrap();
    assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
}

/// Registries forbid single images, too.
#[tokio::test]
async fn a_403_to_one_question_is_no_word_about_the_password() {
    let fake = Fake::start(|seen| match seen.header("authorization") {
        None => Reply::new(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
        Some(_) if seen.target().contains("/blobs/") => Reply::new(403, &[], b""),
        Some(_) => ok(b"{}"),
    })
    .await;
    let (mirror, asker) = (fake.mirror(login("site", "s3cret")), asker());
    asker.whole(&mirror).await.unwrap_err();
    assert_eq!(asker.manifest(&mirror).await.unwrap().bytes, "{}");
}
