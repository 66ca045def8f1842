use std::num::NonZeroUsize;
use std::pin::pin;
use std::ptr;

use bytesize::ByteSize;
use futures_util::poll;
use tokio::time::Instant;

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
    let mirrors = mirrors(&builtin(), &[]).unwrap();
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
        mirrors(&BTreeMap::from([("hub".to_owned(), broken)]), &[])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_mirror_stays_while_its_table_says_the_same() {
    let mut section = builtin();
    let running = mirrors(&section, &[]).unwrap();
    section.get_mut("quay.io").unwrap().revalidate = Duration::from_secs(7);
    section.get_mut("ghcr.io").unwrap().enabled = false;
    let again = mirrors(&section, &running).unwrap();
    assert_eq!(again.len(), 7);
    for mirror in &again {
        let stays = running.iter().any(|other| Arc::ptr_eq(other, mirror));
        assert_eq!(stays, mirror.key() != "quay.io", "{}", mirror.key());
    }
}

#[test]
fn endpoints_stay_while_they_are_asked_in_the_same_way() {
    let stay = |change: fn(&mut MirrorConfig)| {
        let mut section = builtin();
        let running = mirrors(&section, &[]).unwrap();
        change(section.get_mut("docker.io").unwrap());
        let [before, after] = [&running, &mirrors(&section, &running).unwrap()].map(|mirrors| {
            let hub = mirrors.iter().find(|mirror| mirror.key() == "docker.io");
            Arc::clone(hub.unwrap())
        });
        let (before, after) = (before.endpoint(), after.endpoint());
        let same = Arc::ptr_eq(before, after);
        assert_eq!(before.id() == after.id(), same);
        same
    };
    assert!(stay(|it| it.deny = vec!["a/b".parse().unwrap()]));
    assert!(stay(|it| it.fresh_for = FreshFor::Forever));
    assert!(stay(|it| it.hosts = vec!["h".to_owned()]));
    assert!(stay(|it| it.max_connections = NonZeroUsize::MIN));
    assert!(stay(|it| it.max_rate = Some(ByteSize::b(1))));
    assert!(!stay(
        |it| it.token_realm = Some("https://auth.example/token".to_owned())
    ));
    assert!(!stay(|it| it.skip_verify = true));
    assert!(!stay(|it| it.endpoints.push("https://mirror.example".to_owned())));
}

#[test]
fn bodies_are_counted_together_while_they_come_from_one_place() {
    let stay = |change: fn(&mut MirrorConfig)| {
        let config = MirrorConfig {
            endpoints: vec!["http://a".to_owned(), "http://b".to_owned()],
            ..MirrorConfig::default()
        };
        let before = Mirror::new("hub", &config).unwrap();
        let mut changed = config;
        change(&mut changed);
        let after = Mirror::after(Some(&before), "hub", &changed).unwrap();
        let same_lane = Arc::ptr_eq(before.lane(), after.lane());
        let paces = [&before, &after].map(|mirror| ptr::from_ref(mirror.endpoint().pace()));
        assert_eq!(same_lane, paces[0] == paces[1]);
        same_lane
    };
    assert!(stay(|it| it.max_connections = NonZeroUsize::MIN));
    assert!(stay(|it| it.token_realm = Some("http://c/token".to_owned())));
    assert!(stay(
        |it| it.endpoints = vec!["http://c".to_owned(), "http://b".to_owned()]
    ));
    assert!(!stay(|it| it.endpoints = vec!["http://c".to_owned()]));
}

#[tokio::test]
async fn all_endpoints_of_a_mirror_keep_one_pace() {
    let mirror = with("hub", |it| {
        it.endpoints.push("http://other".to_owned());
        it.max_rate = Some(ByteSize::b(1));
    });
    let mirror = mirror.unwrap();
    let [first, second] = mirror.endpoints() else { panic!() };
    first.pace().took(1_000_000, Instant::now());
    assert!(poll!(pin!(second.pace().ready())).is_pending());
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
fn one_endpoint_or_more_each_once() {
    assert!(refusal(|it| it.endpoints.clear()).starts_with("mirror.\"hub\".endpoints is missing"));
    let two = with("hub", |it| it.endpoints.push("http://other".to_owned())).unwrap();
    let names: Vec<_> = two.endpoints().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["r.example:5000", "other"], "in the order of the table");
    let twice = refusal(|it| it.endpoints.push("https://R.example:5000/".to_owned()));
    assert_eq!(
        twice,
        "mirror.\"hub\".endpoints has r.example:5000 twice: accepted is each endpoint once"
    );
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
        let shown = bad.replace("u:p@", "…@").replace("u@", "…@");
        let expected = format!("mirror.\"hub\".endpoints = [{shown:?}]: accepted is http:// or https://");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn a_rule_has_no_mirror_before_its_name() {
    let with_rule = |key: &str, rule: &str| with(key, |it| it.deny = vec![rule.parse().unwrap()]).map(|_| ());
    let error = with_rule("quay.io", "quay.io/org/*").unwrap_err().to_string();
    assert_eq!(
        error,
        "mirror.\"quay.io\".deny has \"quay.io/org/*\": accepted are names as the registry has them, without \"quay.io/\" before them"
    );
    let allowed = with("quay.io", |it| it.allow = Some(vec!["quay.io/a".parse().unwrap()]));
    assert!(allowed.is_err());
    assert_eq!(with_rule("quay.io", "quay.iox/org/*"), Ok(()));
    assert_eq!(
        with_rule("lab", "lab/app"),
        Ok(()),
        "a registry may have a project of that name"
    );
}

#[test]
fn what_is_dangerous_is_said() {
    let cautions = |endpoint: &str, skip_verify| {
        let mirror = with("hub", |it| {
            it.endpoints = vec![endpoint.to_owned()];
            it.skip_verify = skip_verify;
        });
        mirror
            .unwrap()
            .cautions()
            .into_iter()
            .map(|it| it.to_string())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let unverified = cautions("https://r.example", true);
    assert!(
        unverified.starts_with("mirror.\"hub\".skip_verify = true: "),
        "{unverified}"
    );
    let plain = cautions("http://10.0.0.1:5000", false);
    assert!(
        plain.starts_with("mirror.\"hub\".endpoints: http://10.0.0.1:5000 is plain http"),
        "{plain}"
    );
    assert_eq!(cautions("http://r.example", true).lines().count(), 2);
    for safe in [
        "https://r.example",
        "http://127.0.0.1:5000",
        "http://localhost",
        "http://[::1]:5000",
    ] {
        assert_eq!(cautions(safe, false), "", "{safe}");
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
        let shown = bad.replace("u:p@", "…@");
        assert!(
            error.starts_with(&format!("mirror.\"hub\".token_realm = {shown:?}: ")),
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
        let shown = bad.replace("u@", "…@");
        assert!(
            error.starts_with(&format!("mirror.\"hub\".ns has {shown:?}: ")),
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

/// A mirror whose table has these lines, with `; ` between them.
fn table(text: &str) -> Result<Mirror, InvalidMirror> {
    let text = format!("endpoints = ['https://r.example']\n{}", text.replace("; ", "\n"));
    Mirror::new("hub", &toml::from_str(&text).unwrap())
}

/// What a table with these lines is told, without the mirror's name.
fn complaint(text: &str) -> String {
    let error = table(text).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    error.to_string().strip_prefix("mirror.\"hub\"").unwrap().to_owned()
}

#[test]
fn credentials_have_a_source() {
    for good in [
        "",
        "username = 'site'; password = 's3cret'",
        "username = '<token>'; password_file = '/etc/token'",
        "credential_helper = 'ecr-login'; credential_lifetime = '12h'",
        "docker_config = '/root/.docker/config.json'",
    ] {
        let mirror = table(good).unwrap();
        assert_eq!(mirror.endpoint().credentials().is_some(), !good.is_empty(), "{good}");
        assert!(!format!("{mirror:?}").contains("s3cret"));
    }
}

#[test]
fn two_sources_of_credentials_are_named() {
    for (bad, both) in [
        (
            "username = 'site'; password = 's3cret'; password_file = '/t'",
            "password_file and password",
        ),
        (
            "docker_config = '/c'; credential_helper = 'pass'",
            "credential_helper and docker_config",
        ),
        (
            "password = 's3cret'; docker_config = '/c'",
            "docker_config and password",
        ),
        ("username = 'site'; docker_config = '/c'", "docker_config and username"),
    ] {
        let expected = format!(" has both {both}: accepted is one source of credentials");
        assert_eq!(complaint(bad), expected);
    }
}

#[test]
fn half_a_source_of_credentials_is_named() {
    for (bad, expected) in [
        (
            "username = 'site'",
            ".username is nothing without password or password_file",
        ),
        ("password = 's3cret'", ".password is nothing without username"),
        ("password_file = '/t'", ".password_file is nothing without username"),
    ] {
        assert_eq!(complaint(bad), expected);
    }
}

#[test]
fn what_cannot_be_a_credential_is_named() {
    for (bad, expected) in [
        (
            "username = 'a:b'; password = 's3cret'",
            ".username: accepted is a name without colons",
        ),
        (
            "username = ''; password = 's3cret'",
            ".username: accepted is a name without colons",
        ),
        (
            "username = 'site'; password = '********'",
            ".password: accepted is the password itself, not the asterisks that `config check` prints for it",
        ),
        (
            "username = 'site'; password_file = ''",
            ".password_file: accepted is a file",
        ),
        ("docker_config = ''", ".docker_config: accepted is a file"),
        (
            "credential_helper = 'aws ecr'",
            ".credential_helper: accepted is a command's name or path without arguments, like \"ecr-login\"",
        ),
        (
            "credential_lifetime = '0s'",
            ".credential_lifetime = \"0s\": accepted is any longer time, such as \"10s\"",
        ),
    ] {
        assert_eq!(complaint(bad), expected);
    }
}
