use super::super::Mirror;
use super::super::config::MirrorConfig;
use super::super::secret::Secret;
use super::mint::{TokenAnswer, read};
use super::*;

fn read_text(text: &str) -> Option<(String, i64)> {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let token = read(serde_json::from_str(text).ok()?, &clock)?;
    Some((
        token.header.to_str().unwrap().to_owned(),
        token.renew_at.lock().unwrap().unwrap().as_millisecond(),
    ))
}

fn purpose(scope: Option<&str>) -> Purpose {
    let endpoints = vec!["https://r.example".to_owned()];
    let mirror = Mirror::new(
        "hub",
        &MirrorConfig {
            endpoints,
            ..MirrorConfig::default()
        },
    )
    .unwrap();
    let challenge = Bearer {
        realm: "https://auth.r.example/token?account=x".to_owned(),
        service: Some("a service".to_owned()),
        scope: scope.map(str::to_owned),
    };
    Purpose::new(
        mirror.endpoint(),
        &"org/app".parse().unwrap(),
        challenge,
        Targets::Public,
    )
    .unwrap()
}

#[test]
fn either_name_of_the_token_will_do() {
    let expected = Some(("Bearer x".to_owned(), 255_000));
    assert_eq!(read_text(r#"{"token":"x","expires_in":300}"#), expected);
    assert_eq!(
        read_text(r#"{"access_token":"x","expires_in":300.0,"more":1}"#),
        expected
    );
    assert_eq!(
        read_text(r#"{"token":"","access_token":"x","expires_in":300}"#),
        expected
    );
}

#[test]
fn a_life_is_at_least_a_minute_and_at_most_a_day() {
    for life in [
        "",
        r#","expires_in":0"#,
        r#","expires_in":-5"#,
        r#","expires_in":null"#,
        r#","expires_in":30"#,
        r#","expires_in":"300""#,
        r#","expires_in":[300]"#,
    ] {
        let (_, renew_at) = read_text(&format!(r#"{{"token":"x"{life}}}"#)).unwrap();
        assert_eq!(renew_at, 51_000, "{life}");
    }
    let (_, renew_at) = read_text(r#"{"token":"x","expires_in":1e300}"#).unwrap();
    assert!(renew_at <= 24 * 3_600_000, "{renew_at}");
}

#[test]
fn what_holds_no_token_is_none() {
    for text in [
        "{}",
        "[]",
        "null",
        r#"{"token":""}"#,
        r#"{"token":7}"#,
        r#"{"token":"a\r\nb"}"#,
    ] {
        assert_eq!(read_text(text), None, "{text}");
    }
}

#[test]
fn the_request_keeps_the_realms_query_and_repeats_the_scopes() {
    let plain = "https://auth.r.example/token?account=x&service=a+service";
    let own = purpose(None).request();
    assert_eq!(own.as_str(), format!("{plain}&scope=repository%3Aorg%2Fapp%3Apull"));
    let several = purpose(Some("b:pull  a:pull b:pull")).request();
    assert_eq!(several.as_str(), format!("{plain}&scope=a%3Apull&scope=b%3Apull"));
}

#[test]
fn a_refresh_is_a_form() {
    let token = Secret::from("a+b&c".to_owned());
    assert_eq!(
        purpose(Some("b:pull a:pull")).refresh(&token),
        "grant_type=refresh_token&client_id=wharf&service=a+service&scope=a%3Apull+b%3Apull&refresh_token=a%2Bb%26c"
    );
}

#[test]
fn a_token_is_not_shown() {
    let clock = Clock::system();
    let answer = TokenAnswer {
        token: Some("secret".to_owned()),
        access_token: None,
        expires_in: None,
    };
    assert!(!format!("{:?}", read(answer, &clock).unwrap()).contains("secret"));
}

#[tokio::test]
async fn a_realm_in_our_own_network_names_the_key_that_allows_it() {
    let endpoints = vec!["http://r.example".to_owned()];
    let config = MirrorConfig {
        endpoints,
        ..MirrorConfig::default()
    };
    let mirror = Arc::new(Mirror::new("hub", &config).unwrap());
    let challenge = Bearer {
        realm: "http://auth.r.example/token".to_owned(),
        ..Bearer::default()
    };
    let purpose = Purpose::new(
        mirror.endpoint(),
        &"org/app".parse().unwrap(),
        challenge,
        Targets::Public,
    );
    let (purpose, tally) = (Arc::new(purpose.unwrap()), Tally::default());
    let (tasks, clock) = (Tasks::new(), Clock::system());
    let tokens = Tokens::new(tasks.clone(), clock.clone(), Wire::finding(&["10.0.0.1"], tasks));
    let refresh = Credential::IdentityToken {
        user: None,
        token: Secret::from("r3fresh".to_owned()),
    };
    for credential in [None, Some(Arc::new(refresh))] {
        let pass = tokens.pass(mirror.endpoint(), &purpose, credential, &tally);
        let error = pass.await.unwrap_err().to_string();
        assert!(
            error.ends_with("if that is right, set mirror.\"hub\".token_realm"),
            "{error}"
        );
    }
}
