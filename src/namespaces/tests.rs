use proptest::prelude::*;

use crate::upstream::MirrorConfig;

use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().copied().map(str::to_owned).collect()
}

/// A mirror by key, with its `ns`, `bare` and `hosts`.
fn mirror(key: &str, ns: &[&str], bare: &[&str], hosts: &[&str]) -> Arc<Mirror> {
    let config = MirrorConfig {
        endpoints: vec!["https://upstream.example".to_owned()],
        ns: strings(ns),
        bare: strings(bare),
        hosts: strings(hosts),
        ..MirrorConfig::default()
    };
    Arc::new(Mirror::new(key, &config).unwrap())
}

fn site() -> Namespaces {
    let mirrors = [
        mirror(
            "docker.io",
            &[],
            &["library/*", "team/base"],
            &["hub.site.example", "[::1]"],
        ),
        mirror("quay.io", &["quay.example:8443"], &[], &[]),
        mirror(
            "lab",
            &["lab.example", "labhost"],
            &["physics/*"],
            &["lab.site.example"],
        ),
    ];
    Namespaces::new(
        &strings(&["Wharf.site.example:5000"]),
        &strings(&["team/*", "app-*", "*"]),
        &mirrors,
    )
    .unwrap()
}

fn resolve(namespaces: &Namespaces, name: &str, ns: Option<&str>, host: Option<&str>) -> Result<String, NotServed> {
    let resolved = namespaces.resolve(&name.parse().unwrap(), ns, host)?;
    let mark = if resolved.echo_ns { "+" } else { "" };
    Ok(match &resolved.repo {
        Repo::Mirrored { mirror, remote } => {
            assert_eq!(resolved.repo.key().as_str(), format!("{}/{remote}", mirror.key()));
            format!("{}: {remote}{mark}", mirror.key())
        }
        Repo::Hosted(hosted) => {
            assert_eq!(resolved.repo.key().as_str(), hosted.name().as_str());
            format!("hosted: {hosted}{mark}", hosted = hosted.name())
        }
    })
}

#[test]
fn rule_1_ns_names_the_registry() {
    let site = site();
    for (name, ns, expected) in [
        ("library/nginx", "docker.io", "docker.io: library/nginx+"),
        ("nginx", "docker.io", "docker.io: library/nginx+"),
        ("grafana/grafana", "Registry-1.Docker.IO", "docker.io: grafana/grafana+"),
        ("nginx", "index.docker.io", "docker.io: library/nginx+"),
        ("docker.io/nginx", "docker.io", "docker.io: library/nginx+"),
        ("index.docker.io/nginx", "docker.io", "docker.io: library/nginx+"),
        ("docker.io", "docker.io", "docker.io: library/docker.io+"),
        ("quay.io/org/app", "docker.io", "docker.io: quay.io/org/app+"),
        ("org/app", "QUAY.example:8443", "quay.io: org/app+"),
        ("app", "quay.io", "quay.io: app+"),
        ("lab/app", "lab.example", "lab: app+"),
        ("app", "lab", "lab: app+"),
        ("labhost/app", "lab", "lab: labhost/app+"),
        // One of our own names, and nothing at all: as if absent.
        ("team/app", "wharf.site.EXAMPLE:5000", "hosted: team/app"),
        ("quay.io/org/app", "wharf.site.example:5000", "quay.io: org/app"),
        ("team/app", "", "hosted: team/app"),
    ] {
        assert_eq!(
            resolve(&site, name, Some(ns), None).as_deref(),
            Ok(expected),
            "{name} ns={ns}"
        );
    }
    for ns in [
        "unknown.example",
        "quay.example",
        "quay.io:443",
        "wharf.site.example",
        "http://quay.io",
        "quay.io/",
        " quay.io",
        "\r\n",
    ] {
        let error = NotServed::UnknownNs { ns: ns.to_owned() };
        assert_eq!(
            resolve(&site, "org/app", Some(ns), Some("hub.site.example")),
            Err(error)
        );
    }
}

#[test]
fn rule_2_the_first_component_names_the_mirror() {
    let site = site();
    for (name, expected) in [
        ("quay.io/org/app", "quay.io: org/app"),
        ("docker.io/nginx", "docker.io: library/nginx"),
        ("docker.io/library/nginx", "docker.io: library/nginx"),
        ("registry-1.docker.io/nginx", "docker.io: library/nginx"),
        ("docker.io/docker.io/x", "docker.io: docker.io/x"),
        ("lab/app", "lab: app"),
        ("lab.example/app", "lab: app"),
    ] {
        assert_eq!(resolve(&site, name, None, None).as_deref(), Ok(expected), "{name}");
        assert_eq!(
            resolve(&site, name, None, Some("hub.site.example")).as_deref(),
            Ok(expected),
            "{name}"
        );
    }
    for (name, key) in [("lab", "lab"), ("quay.io", "quay.io"), ("index.docker.io", "docker.io")] {
        let error = NotServed::NoRepository { mirror: key.to_owned() };
        assert_eq!(resolve(&site, name, None, None), Err(error));
    }
}

#[test]
fn rule_3_the_host_header_selects_a_mirror() {
    let site = site();
    for (host, expected) in [
        ("hub.site.example", "docker.io: library/nginx"),
        ("HUB.site.example:5000", "docker.io: library/nginx"),
        ("[::1]:5000", "docker.io: library/nginx"),
        ("lab.site.example:", "lab: nginx"),
        ("other.example", "hosted: nginx"),
        ("", "hosted: nginx"),
    ] {
        assert_eq!(
            resolve(&site, "nginx", None, Some(host)).as_deref(),
            Ok(expected),
            "{host}"
        );
    }
    let odd = resolve(&site, "my.org/app", None, Some("hub.site.example"));
    assert_eq!(odd.as_deref(), Ok("docker.io: my.org/app"));
}

#[test]
fn rule_4_a_registry_without_a_mirror_is_not_served() {
    for name in [
        "ghcr.io/org/app",
        "quay.example/app",
        "wharf.site.example/team/app",
        "my.app",
    ] {
        let host = name.split('/').next().unwrap().to_owned();
        let error = NotServed::UnknownRegistry { host };
        assert!(error.to_string().contains(name.split('/').next().unwrap()));
        assert_eq!(
            resolve(&site(), name, None, Some("wharf.site.example:5000")),
            Err(error)
        );
    }
}

#[test]
fn rule_5_the_most_specific_pattern_takes_a_bare_name() {
    let site = site();
    for (name, expected) in [
        ("library/nginx", "docker.io: library/nginx"),
        ("library", "hosted: library"),
        ("team/base", "docker.io: team/base"),
        ("team/app", "hosted: team/app"),
        ("physics/sim/v2", "lab: physics/sim/v2"),
        ("labhost/app", "hosted: labhost/app"),
        ("tags/list", "hosted: tags/list"),
    ] {
        assert_eq!(
            resolve(&site, name, None, Some("wharf:5000")).as_deref(),
            Ok(expected),
            "{name}"
        );
    }
}

#[test]
fn a_name_that_nobody_claims_is_not_served() {
    let namespaces = Namespaces::new(&[], &strings(&["team/*"]), &[]).unwrap();
    let name: RepoName = "other/app".parse().unwrap();
    assert_eq!(
        namespaces.resolve(&name, None, None).unwrap_err(),
        NotServed::Unclaimed { name }
    );
}

#[test]
fn contradictions_name_both_keys() {
    let error = |names: &[&str], hosted: &[&str], mirrors: &[Arc<Mirror>]| {
        Namespaces::new(&strings(names), &strings(hosted), mirrors)
            .unwrap_err()
            .to_string()
    };
    let hub = mirror("docker.io", &[], &["*"], &["hub.example"]);
    let other = mirror("other", &[], &["*"], &["hub.example"]);
    for (message, expected) in [
        (
            error(&[], &["*"], &[Arc::clone(&hub)]),
            r#"the pattern "*" is claimed by both hosted.namespaces and mirror."docker.io".bare"#,
        ),
        (
            error(&[], &[], &[hub, other]),
            r#"the host hub.example is claimed by both mirror."docker.io".hosts and mirror."other".hosts"#,
        ),
        (
            error(
                &[],
                &[],
                &[
                    mirror("docker.io", &[], &[], &[]),
                    mirror("hub", &["index.docker.io"], &[], &[]),
                ],
            ),
            r#"the registry host docker.io is claimed by both mirror."docker.io" and mirror."hub""#,
        ),
        (
            error(&["quay.io"], &[], &[mirror("quay.io", &[], &[], &[])]),
            r#"the registry host quay.io is claimed by both server.names and mirror."quay.io""#,
        ),
        (
            error(&[], &["a*b"], &[]),
            r#"hosted.namespaces: "a*b" is no pattern: expected name components, each of which may end in `*`"#,
        ),
        (
            error(&[], &["lab/*"], &[mirror("lab", &[], &[], &[])]),
            r#"hosted.namespaces: "lab/*" can never match: names that start so mean the registry of that name"#,
        ),
        (
            error(&[], &[], &[mirror("lab", &[], &["x.example/*"], &[])]),
            r#"mirror."lab".bare: "x.example/*" can never match: names that start so mean the registry of that name"#,
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn saying_it_twice_in_one_place_is_no_contradiction() {
    let twice = mirror(
        "docker.io",
        &["docker.io", "index.docker.io"],
        &["a", "a"],
        &["h.example", "h.example"],
    );
    assert!(Namespaces::new(&strings(&["w", "w"]), &strings(&["*", "*"]), &[twice]).is_ok());
}

proptest! {
    #[test]
    fn every_spelling_of_an_image_has_one_key(
        which in 0..3_usize,
        path in "[a-z][a-z0-9]{0,5}(/[a-z][a-z0-9]{0,5}){0,3}",
        upper in any::<bool>(),
        port in prop::option::of(1..u16::MAX),
    ) {
        prop_assume!(!path.starts_with("lab"));
        let site = site();
        let (key, hosts, header) = [
            ("docker.io", ["docker.io", "index.docker.io", "registry-1.docker.io"].as_slice(), Some("hub.site.example")),
            ("quay.io", ["quay.io", "quay.example:8443"].as_slice(), None),
            ("lab", ["lab", "lab.example"].as_slice(), Some("lab.site.example")),
        ][which];
        let hub = key == "docker.io";
        let remote = if hub && !path.contains('/') { format!("library/{path}") } else { path.clone() };
        let expected = format!("{key}/{remote}");
        let key_of = |name: String, ns: Option<&str>, host: Option<&str>| {
            site.resolve(&name.parse().unwrap(), ns, host).unwrap().repo.key().to_string()
        };
        for path in [path, remote.clone()] {
            for host in hosts {
                let ns = if upper { host.to_uppercase() } else { (*host).to_owned() };
                prop_assert_eq!(&key_of(path.clone(), Some(&ns), None), &expected);
                prop_assert_eq!(&key_of(format!("{key}/{path}"), Some(&ns), None), &expected);
            }
            prop_assert_eq!(&key_of(format!("{key}/{path}"), None, None), &expected);
            if let Some(header) = header {
                let header = port.map_or(header.to_owned(), |port| format!("{header}:{port}"));
                prop_assert_eq!(&key_of(path.clone(), None, Some(&header)), &expected);
            }
        }
        if remote.starts_with("library/") && hub {
            prop_assert_eq!(key_of(remote, None, None), expected);
        }
    }

    #[test]
    fn no_hosted_name_starts_with_a_mirror_key(
        name in "(docker\\.io|quay\\.io|lab|lib|library|team|app-x)(/[a-z]{1,3}){0,2}",
        ns in prop::option::of("docker\\.io|wharf\\.site\\.example:5000|labhost"),
        host in prop::option::of("hub\\.site\\.example|.{0,8}"),
    ) {
        if let Ok(Resolved { repo: Repo::Hosted(hosted), .. }) = site().resolve(&name.parse().unwrap(), ns.as_deref(), host.as_deref()) {
            prop_assert!(!["docker.io", "quay.io", "lab"].contains(&hosted.name().first()));
        }
    }
}
