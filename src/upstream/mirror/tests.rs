use super::super::config::builtin;
use super::*;

fn with(key: &str, adjust: impl FnOnce(&mut MirrorConfig)) -> Result<Mirror, InvalidMirror> {
    let endpoints = vec!["https://r.example:5000".to_owned()];
    let mut config = MirrorConfig {
        endpoints,
        ..MirrorConfig::default()
    };
    adjust(&mut config);
    Mirror::new(key, &config)
}

fn refusal(adjust: impl FnOnce(&mut MirrorConfig)) -> String {
    with("hub", adjust).unwrap_err().to_string()
}

#[test]
fn the_built_in_mirrors_are_good() {
    let mirrors = mirrors(&builtin()).unwrap();
    assert_eq!(mirrors.len(), 8);
    let hub = mirrors.iter().find(|mirror| mirror.key() == "docker.io").unwrap();
    assert_eq!(hub.endpoint().to_string(), "registry-1.docker.io");
    assert_eq!(hub.ns(), ["index.docker.io", "registry-1.docker.io"]);
    assert_eq!(mirrors.iter().filter(|mirror| mirror.has_library()).count(), 1);
}

#[test]
fn a_disabled_mirror_is_as_if_it_were_not_there() {
    let broken = MirrorConfig {
        enabled: false,
        ..MirrorConfig::default()
    };
    assert!(
        mirrors(&BTreeMap::from([("hub".to_owned(), broken)]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn docker_hub_by_another_key_is_docker_hub() {
    let hub = with("hub", |it| {
        it.endpoints = vec!["https://registry-1.docker.io".to_owned()];
    });
    assert!(hub.unwrap().has_library());
    let other = with("hub", |it| {
        it.endpoints = vec!["https://notdocker.io".to_owned()];
    });
    assert!(!other.unwrap().has_library());
}

#[test]
fn a_key_is_a_name_component() {
    for key in ["", "Hub", "a/b", "registry:5000", "a..b", "-a"] {
        let error = with(key, |_| {}).unwrap_err().to_string();
        assert!(error.starts_with(&format!("mirror.{key:?}: ")), "{error}");
    }
}

#[test]
fn exactly_one_endpoint() {
    assert!(refusal(|it| it.endpoints.clear()).starts_with("mirror.\"hub\".endpoints is missing"));
    let two = refusal(|it| it.endpoints.push("http://other".to_owned()));
    assert_eq!(two, "mirror.\"hub\".endpoints has 2 entries: exactly one is accepted");
}

#[test]
fn an_endpoint_is_scheme_host_and_port() {
    for good in [
        "http://h",
        "https://H.example:8443/",
        "http://[::1]:5000",
        "http://10.0.0.1",
    ] {
        assert!(with("hub", |it| it.endpoints = vec![good.to_owned()]).is_ok(), "{good}");
    }
    let bad = [
        "",
        "h",
        "h:5000",
        "ftp://h",
        "https://",
        "https://h/v2",
        "https://h?x",
        "https://u@h",
        "https://u:p@h",
        "https://h/#f",
    ];
    for bad in bad {
        let error = refusal(|it| it.endpoints = vec![bad.to_owned()]);
        let expected = format!("mirror.\"hub\".endpoints = [{bad:?}]: accepted is http:// or https://");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn urls_are_made_from_a_path() {
    let mirror = with("hub", |_| {}).unwrap();
    assert_eq!(
        mirror.endpoint().at("/v2/a/b/tags").as_str(),
        "https://r.example:5000/v2/a/b/tags"
    );
}

#[test]
fn a_token_realm_keeps_tls() {
    assert!(with("hub", |it| it.token_realm = Some("https://auth.other/token".to_owned())).is_ok());
    for bad in ["auth.other", "ldap://auth.other", "https://u:p@auth.other/"] {
        let error = refusal(|it| it.token_realm = Some(bad.to_owned()));
        assert!(
            error.starts_with(&format!("mirror.\"hub\".token_realm = {bad:?}: ")),
            "{error}"
        );
    }
    let plain = refusal(|it| it.token_realm = Some("http://auth.other/".to_owned()));
    assert!(plain.ends_with("because the endpoint is https"), "{plain}");
}

#[test]
fn hosts_are_hosts() {
    let config = |it: &mut MirrorConfig| {
        it.ns = ["Other.example:5000", "[::1]:80", "h:80"].map(str::to_owned).to_vec();
        it.hosts = ["Hub.site.example", "[::1]", "10.0.0.1"].map(str::to_owned).to_vec();
    };
    let mirror = with("hub", config).unwrap();
    assert_eq!(mirror.ns(), ["other.example:5000", "[::1]:80", "h:80"]);
    assert_eq!(mirror.hosts(), ["hub.site.example", "[::1]", "10.0.0.1"]);
    for bad in ["", "https://h", "a/b", "u@h", "h?", "h#", "h:port", " h"] {
        let error = refusal(|it| it.ns = vec![bad.to_owned()]);
        assert!(
            error.starts_with(&format!("mirror.\"hub\".ns has {bad:?}: ")),
            "{error}"
        );
    }
    let bad = refusal(|it| it.send_ns = Some("https://h".to_owned()));
    assert!(bad.starts_with("mirror.\"hub\".send_ns has \"https://h\": "), "{bad}");
    for bad in ["h:5000", "[::1]:80"] {
        let error = refusal(|it| it.hosts = vec![bad.to_owned()]);
        assert!(error.ends_with("a host without port"), "{error}");
    }
}

#[test]
fn a_deadline_of_nothing_is_none() {
    let error = refusal(|it| it.silence = Duration::ZERO);
    assert!(error.starts_with("mirror.\"hub\".silence = \"0s\": "), "{error}");
    assert!(with("hub", |it| it.connect = Duration::from_millis(1)).is_ok());
}
