use super::super::config::MirrorConfig;
use super::mint::{TokenAnswer, read};
use super::*;

fn read_text(text: &str) -> Option<(String, i64)> {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let token = read(serde_json::from_str(text).ok()?, &clock)?;
    Some((
        token.header.to_str().unwrap().to_owned(),
        token.renew_at.as_millisecond(),
    ))
}

fn demand(scope: Option<&str>) -> Demand {
    let endpoints = vec!["https://r.example".to_owned()];
    let mirror = Mirror::new(
        "hub",
        &MirrorConfig {
            endpoints,
            ..MirrorConfig::default()
        },
    )
    .unwrap();
    let challenge = Challenge {
        realm: "https://auth.r.example/token?account=x".to_owned(),
        service: Some("a service".to_owned()),
        scope: scope.map(str::to_owned),
    };
    Demand::new(&mirror, &"org/app".parse().unwrap(), challenge, Targets::Public).unwrap()
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
    let own = demand(None).request();
    assert_eq!(own.as_str(), format!("{plain}&scope=repository%3Aorg%2Fapp%3Apull"));
    let several = demand(Some("b:pull  a:pull b:pull")).request();
    assert_eq!(several.as_str(), format!("{plain}&scope=a%3Apull&scope=b%3Apull"));
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
