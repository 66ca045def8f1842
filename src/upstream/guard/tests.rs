use super::super::Mirror;
use super::super::config::MirrorConfig;
use super::*;

fn mirror(key: &str, endpoint: &str, token_realm: Option<&str>) -> Mirror {
    let endpoints = vec![endpoint.to_owned()];
    let token_realm = token_realm.map(str::to_owned);
    Mirror::new(
        key,
        &MirrorConfig {
            endpoints,
            token_realm,
            ..MirrorConfig::default()
        },
    )
    .unwrap()
}

fn judge(endpoint: &str, value: &str) -> Result<(), Fault> {
    realm(mirror("hub", endpoint, None).endpoint(), value, Targets::Public).map(|_| ())
}

fn follow(from: &str, to: &'static str, targets: Targets) -> Result<String, Fault> {
    let from = Url::parse(from).unwrap();
    redirect(&from, Some(&HeaderValue::from_static(to)), targets).map(String::from)
}

#[test]
fn addresses_of_our_own_network_are_not_public() {
    let inner = [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "fec0::1",
    ];
    for address in inner {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn addresses_of_the_internet_are_public() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.0.1",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "169.253.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "223.255.255.255",
        "2606:4700::1",
        "2a00:1450::1",
        "2001:4860::8888",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::1",
    ];
    for address in public {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn an_endpoint_in_our_own_network_may_point_into_it() {
    let name = Url::parse("http://r.example/").unwrap();
    let reached = |peer: &str| targets(&name, Some(peer.parse().unwrap()));
    assert_eq!(reached("127.0.0.1:5000"), Targets::Any);
    assert_eq!(reached("[fd00::1]:5000"), Targets::Any);
    assert_eq!(reached("1.1.1.1:443"), Targets::Public);
    assert!(follow("http://10.0.0.1/v2/", "http://10.0.0.2/blob", Targets::Any).is_ok());
}

#[test]
fn behind_a_proxy_what_is_written_is_judged() {
    let targets = |url: &str| targets(&Url::parse(url).unwrap(), None);
    for inner in [
        "http://10.0.0.1:5000/",
        "http://[fd00::1]/",
        "http://localhost/",
        "http://r.localhost./",
    ] {
        assert_eq!(targets(inner), Targets::Any, "{inner}");
    }
    for public in [
        "https://quay.io/",
        "https://1.1.1.1/",
        "https://inside.example/",
        "https://notlocalhost/",
    ] {
        assert_eq!(targets(public), Targets::Public, "{public}");
    }
}

#[test]
fn a_public_endpoint_may_not_point_into_our_own_network() {
    let inner = [
        "https://localhost/x",
        "https://LOCALHOST.:8443/x",
        "https://inner.localhost/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
        "https://[::1]:8443/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "//192.168.1.1/x",
    ];
    for to in inner {
        let result = follow("https://quay.io/v2/", to, Targets::Public);
        assert!(matches!(result, Err(Fault::PrivateTarget { .. })), "{to}: {result:?}");
    }
}

#[test]
fn redirects_stay_on_the_web_and_under_tls() {
    let from = "https://quay.io/v2/a/blobs/x";
    assert_eq!(
        follow(from, "/other?sig=1", Targets::Public).unwrap(),
        "https://quay.io/other?sig=1"
    );
    assert_eq!(
        follow(from, "https://u:p@cdn.io/b#f", Targets::Public).unwrap(),
        "https://cdn.io/b"
    );
    let downgrade = Fault::Downgrade {
        host: "cdn.io:8080".to_owned(),
    };
    assert_eq!(
        follow(from, "http://cdn.io:8080/b?sig=secret", Targets::Any),
        Err(downgrade)
    );
    assert!(follow("http://h/", "https://cdn.io/b", Targets::Public).is_ok());
    for nowhere in ["ftp://h/", "file:///etc/passwd", "data:,x", "https://", "http://[bad"] {
        assert_eq!(follow(from, nowhere, Targets::Any), Err(Fault::NoLocation), "{nowhere}");
    }
    assert_eq!(
        redirect(&Url::parse(from).unwrap(), None, Targets::Any),
        Err(Fault::NoLocation)
    );
}

#[test]
fn a_realm_is_of_the_same_domain() {
    assert_eq!(
        judge("https://registry-1.docker.io", "https://auth.docker.io/token"),
        Ok(())
    );
    assert_eq!(judge("https://ghcr.io", "https://ghcr.io/token"), Ok(()));
    assert_eq!(
        judge("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        Ok(())
    );
    assert_eq!(
        judge("https://r.example.co.uk:5000", "https://r.example.co.uk:5001/t"),
        Ok(())
    );
    assert_eq!(judge("http://registry:5000", "http://registry:5001/t"), Ok(()));
}

#[test]
fn a_realm_elsewhere_is_refused_with_the_key_that_would_allow_it() {
    let error = judge("https://r.example.co.uk", "https://evil.co.uk/token?x=y").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("evil.co.uk") && text.contains("mirror.\"hub\".token_realm"),
        "{text}"
    );
    assert!(!text.contains("x=y"), "{text}");
    for (endpoint, realm) in [
        ("https://a.herokuapp.com", "https://b.herokuapp.com/t"),
        ("http://registry:5000", "http://auth:5000/t"),
        ("http://10.0.0.1", "http://10.0.0.2/t"),
        ("http://1.2.3.4", "http://9.9.3.4/t"),
        ("https://evil-docker.io", "https://auth.docker.io/t"),
    ] {
        assert!(
            matches!(judge(endpoint, realm), Err(Fault::ForeignRealm { .. })),
            "{realm}"
        );
    }
}

#[test]
fn a_realm_keeps_tls_and_the_private_guard() {
    assert!(matches!(
        judge("https://quay.io", "http://quay.io/t"),
        Err(Fault::InsecureRealm { .. })
    ));
    assert!(matches!(
        judge("http://10.0.0.1", "http://10.0.0.1/t"),
        Err(Fault::PrivateRealm { .. })
    ));
    assert_eq!(judge("https://quay.io", "/token"), Err(Fault::BadRealm));
    assert_eq!(judge("https://quay.io", "ldap://quay.io/"), Err(Fault::BadRealm));
}

#[test]
fn a_mirror_of_docker_hub_elsewhere_may_use_its_realm() {
    let mirror = mirror("docker.io", "https://hub-mirror.example", None);
    assert!(realm(mirror.endpoint(), "https://auth.docker.io/token", Targets::Public).is_ok());
}

#[test]
fn a_configured_realm_is_the_only_one() {
    let mirror = mirror("hub", "https://quay.io", Some("https://10.0.0.9/token"));
    let (url, targets) = realm(mirror.endpoint(), "https://10.0.0.9/token?x=y", Targets::Public).unwrap();
    assert_eq!((url.as_str(), targets), ("https://10.0.0.9/token?x=y", Targets::Any));
    for other in [
        "https://quay.io/v2/auth",
        "https://10.0.0.9/other",
        "https://10.0.0.9:444/token",
    ] {
        let error = realm(mirror.endpoint(), other, Targets::Any).unwrap_err();
        assert!(matches!(error, Fault::OtherRealm { .. }), "{other}");
        assert!(
            error
                .to_string()
                .ends_with("mirror.\"hub\".token_realm allows https://10.0.0.9/token only"),
            "{error}"
        );
    }
}
