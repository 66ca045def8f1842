use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::sources::Sources;
use super::{Config, Error};

fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, Error> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("wharf.toml");
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fs::write(&path, file.unwrap_or_default()).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Sources::read(file.map(|_| path.as_path()), environment)?.extract()
}

/// The complaint, without the folder of the file.
fn complaint(file: &str) -> String {
    let said = load(Some(file), &[]).unwrap_err().to_string();
    assert!(!said.contains('\n'), "{said}");
    let name = said.find("wharf.toml").unwrap();
    said[name..].to_owned()
}

fn complaint_about(name: &str, value: &str) -> String {
    load(None, &[(name, value)]).unwrap_err().to_string()
}

#[test]
fn nothing_said_is_the_default() {
    let config = load(None, &[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(config.store.path, Path::new("./wharf-data"));
    assert_eq!(config.hosted.namespaces, ["*"]);
    assert_eq!(config.mirror.len(), 8);
}

#[test]
fn the_environment_overrules_the_file_and_the_file_the_defaults() {
    let file = "[server]\nlisten = '127.0.0.1:6000'\ndrain = '5s'\n";
    let config = load(Some(file), &[("WHARF_SERVER__LISTEN", "[::]:7000")]).unwrap();
    assert_eq!(config.server.listen.to_string(), "[::]:7000");
    assert_eq!(config.server.drain, Duration::from_secs(5));
    assert_eq!(config.server.client_silence, Config::default().server.client_silence);
}

#[test]
fn a_mirror_table_changes_only_what_it_names() {
    let file = "[mirror.'docker.io']\nfresh_for = 'forever'\n[mirror.hub]\nendpoints = ['http://h:1']\n";
    let config = load(Some(file), &[]).unwrap();
    assert_eq!(config.mirror.len(), 9);
    assert_eq!(config.mirror["docker.io"].endpoints, ["https://registry-1.docker.io"]);
    assert_eq!(config.mirror["docker.io"].bare, ["library/*"]);
    assert_ne!(config.mirror["docker.io"].fresh_for, config.mirror["quay.io"].fresh_for);
    assert_eq!(config.mirror["hub"].silence, config.mirror["quay.io"].silence);
}

#[test]
fn variables_hold_toml_or_text() {
    let said = [
        ("WHARF_SERVER__NAMES", "[\"a:5000\", \"b\"]"),
        ("WHARF_STORE__PATH", "/var/lib/wharf"),
        ("WHARF_MIRROR__HUB__ENDPOINTS", "[\"http://h:1\"]"),
        ("WHARF_MIRROR__HUB__ENABLED", "false"),
    ];
    let config = load(None, &said).unwrap();
    assert_eq!(config.server.names, ["a:5000", "b"]);
    assert_eq!(config.store.path, Path::new("/var/lib/wharf"));
    assert!(!config.mirror["hub"].enabled);
}

#[test]
fn variables_of_kubernetes_and_of_others_are_left_alone() {
    let others = [
        ("WHARF_PORT", "tcp://10.0.0.1:5000"),
        ("WHARF_SERVICE_HOST", "x"),
        ("XWHARF_SERVER__LISTEN", "x"),
    ];
    assert_eq!(load(None, &others).unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_named_with_what_is_accepted() {
    assert_eq!(
        complaint("[server]\nlisten_on = 'x'\n"),
        "wharf.toml: server.listen_on: unknown key; accepted here: listen, names, drain, client_silence; \
         did you mean listen?"
    );
    assert_eq!(
        complaint("[store]\nquota = '1GiB'\n"),
        "wharf.toml: store.quota: unknown key; accepted here: path, index, max_size, min_free, pins, forget_after, scrub"
    );
    assert_eq!(
        complaint("[acces]\nanonymous = []\n"),
        "wharf.toml: acces: unknown key; accepted here: server, store, hosted, access, upstream, mirror; did you mean access?"
    );
    let mirror = complaint("[mirror.'docker.io']\nendpoint = 'https://x'\n");
    assert!(
        mirror.starts_with("wharf.toml: mirror.\"docker.io\".endpoint: unknown key; accepted here: "),
        "{mirror}"
    );
    assert!(mirror.ends_with("; did you mean endpoints?"), "{mirror}");
    assert_eq!(
        complaint("[[mirror.hub.tag]]\npatern = 'v*'\n"),
        "wharf.toml: mirror.hub.tag.0.patern: unknown key; accepted here: pattern, fresh_for; did you mean pattern?"
    );
    let variable = complaint_about("WHARF_SERVER__LISTE", "x");
    assert!(
        variable.starts_with("WHARF_SERVER__LISTE: unknown key; accepted here: listen,"),
        "{variable}"
    );
    assert!(complaint_about("WHARF___", "x").starts_with("WHARF___: unknown key"));
    assert!(
        complaint_about("WHARF_PORT__A", "x").starts_with("WHARF_PORT__A: unknown key"),
        "the top of the chain"
    );
}

#[test]
fn a_wrong_value_is_named_with_what_is_expected() {
    for (file, expected) in [
        (
            "[server]\nlisten = 'x'",
            "server.listen = \"x\": expected an IP address and a port, like \"127.0.0.1:5000\"",
        ),
        (
            "[server]\nlisten = 5000",
            "server.listen = 5000: expected an IP address and a port, like \"127.0.0.1:5000\"",
        ),
        (
            "[server]\ndrain = 30",
            "server.drain = 30: expected a duration, like \"30s\"",
        ),
        (
            "[server]\nclient_silence = '0s'",
            "server.client_silence = \"0s\": expected a duration longer than nothing, like \"10s\"",
        ),
        (
            "[server]\nnames = ['a', 3]",
            "server.names = [\"a\", 3]: expected a list of hosts, like [\"registry.example:5000\"]",
        ),
        (
            "[store]\npath = ['a']",
            "store.path = [\"a\"]: expected a directory, like \"/var/lib/wharf\"",
        ),
        (
            "[mirror.'quay.io']\nfresh_for = 'always'",
            "mirror.\"quay.io\".fresh_for = \"always\": expected a duration, like \"5m\", or \"forever\"",
        ),
        (
            "[[mirror.hub.tag]]\npattern = 'v*'\nfresh_for = 'often'",
            "mirror.hub.tag.0.fresh_for = \"often\": expected a duration, like \"5m\", or \"forever\"",
        ),
        (
            "[[mirror.hub.tag]]\npattern = 'v/*'\nfresh_for = '5m'",
            "mirror.hub.tag.0.pattern = \"v/*\": expected a pattern of tags, like \"v*\"",
        ),
        (
            "[[mirror.hub.tag]]\npattern = 'v*'",
            "mirror.hub.tag = [{ pattern = \"v*\" }]: expected a list of tables, like [{ pattern = \"v*\", fresh_for = \"forever\" }]",
        ),
        (
            "[mirror.'quay.io']\nallow = ['a/b', 'A/B']",
            "mirror.\"quay.io\".allow = [\"a/b\", \"A/B\"]: expected a list of rules, like [\"library/*\", \"org/app\", \"org/tool:v1*\"]",
        ),
        (
            "[mirror.'quay.io']\ndeny = ['a/b:-v*']",
            "mirror.\"quay.io\".deny = [\"a/b:-v*\"]: expected a list of rules, like [\"library/*\", \"org/app\", \"org/tool:v1*\"]",
        ),
        ("[mirror]\nquay = 'x'", "mirror.quay = \"x\": expected a table"),
        ("server = 1", "server = 1: expected a table"),
    ] {
        assert_eq!(complaint(file), format!("wharf.toml: {expected}"));
    }
    assert_eq!(
        complaint_about("WHARF_SERVER__LISTEN", "nowhere"),
        "WHARF_SERVER__LISTEN = \"nowhere\": expected an IP address and a port, like \"127.0.0.1:5000\""
    );
}

#[test]
fn a_proxy_is_shown_without_user_and_password() {
    let said = complaint("[mirror.'docker.io']\nproxy = 'ftp://user:hunter2@p'");
    assert!(
        said.starts_with("wharf.toml: mirror.\"docker.io\".proxy = \"(not shown)\": expected a proxy's URL"),
        "{said}"
    );
    let mut config = load(Some("[upstream]\nproxy = 'http://user:hunter2@p:3128'"), &[]).unwrap();
    config.upstream.environment.https = Some("http://other:hunter2@q:3128".parse().unwrap());
    let printed = config.to_toml().unwrap();
    assert!(printed.contains("proxy = \"http://********@p:3128\""), "{printed}");
    config.upstream.proxy = None;
    let inherited = config.to_toml().unwrap();
    let expected = "# From the environment: HTTPS_PROXY = \"http://********@q:3128\"\n";
    assert!(inherited.starts_with(expected), "{inherited}");
    assert_eq!(load(Some(&inherited), &[]).unwrap().upstream.proxy, None);
    for text in [printed.clone(), inherited, format!("{config:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let said = complaint(&printed);
    assert!(said.contains("upstream.proxy = \"(not shown)\": expected"), "{said}");
}

#[test]
fn a_complaint_shows_no_password() {
    let table = "wharf.toml: mirror.hub = [{ password = \"(not shown)\", username = \"site\" }]: expected a table";
    for (file, expected) in [
        (
            "[mirror.hub]\npassword = 12345",
            "wharf.toml: mirror.hub.password = (not shown): expected a text in quotes, like \"…\"",
        ),
        ("[[mirror.hub]]\nusername = 'site'\npassword = 'hunter2'", table),
        (
            "[mirror.hub]\nendpoints = 'https://site:hunter2@h'",
            "wharf.toml: mirror.hub.endpoints = \"(not shown)\": expected a list of URLs, like [\"https://registry.example\"]",
        ),
    ] {
        assert_eq!(complaint(file), expected);
    }
    let variable = complaint_about("WHARF_MIRROR__HUB__PASSWORD", "12345");
    assert!(
        variable.starts_with("WHARF_MIRROR__HUB__PASSWORD = (not shown): expected a text"),
        "{variable}"
    );
}

#[test]
fn a_password_is_not_printed() {
    let file = "[mirror.hub]\nendpoints = ['http://h:1']\nusername = 'site'\npassword = 'hunter2'\n";
    let config = load(Some(file), &[]).unwrap();
    let printed = config.to_toml().unwrap();
    assert!(
        printed.contains("username = \"site\"\npassword = \"********\"\n"),
        "{printed}"
    );
    assert!(!format!("{printed}{config:?}").contains("hunter2"));
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let missing = Sources::read(Some(Path::new("/no/such/wharf.toml")), std::iter::empty())
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("/no/such/wharf.toml: the configuration file cannot be read: "),
        "{missing}"
    );
    let syntax = complaint("[server]\nlisten = = 'x'\n");
    assert!(syntax.starts_with("wharf.toml: line 2: this is not TOML: "), "{syntax}");
}

#[test]
fn what_is_printed_reads_back() {
    let config = load(Some("[mirror.'docker.io']\nenabled = false\n"), &[]).unwrap();
    let printed = config.to_toml().unwrap();
    let again = load(Some(&printed), &[]).unwrap();
    assert_eq!(again.store.index.as_deref(), Some(Path::new("./wharf-data/index")));
    assert_eq!(again.mirror, config.mirror);
    assert_eq!(again.server, config.server);
}

/// Keys without a default of their own.
const UNSAID: [(&str, &str); 18] = [
    ("store", "index"),
    ("access", "anonymous"),
    ("mirror.'docker.io'", "allow"),
    ("mirror.'docker.io'", "username"),
    ("mirror.'docker.io'", "password"),
    ("mirror.'docker.io'", "password_file"),
    ("mirror.'docker.io'", "credential_helper"),
    ("mirror.'docker.io'", "docker_config"),
    ("mirror.'docker.io'", "token_realm"),
    ("mirror.'docker.io'", "ca_file"),
    ("mirror.'docker.io'", "client_cert"),
    ("mirror.'docker.io'", "client_key"),
    ("mirror.'docker.io'", "proxy"),
    ("mirror.'docker.io'", "send_ns"),
    ("mirror.'docker.io'", "tag"),
    ("mirror.'docker.io'", "max_rate"),
    ("upstream", "proxy"),
    ("upstream", "no_proxy"),
];
const EXAMPLE: &str = include_str!("../../config/wharf.example.toml");

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(load(Some(EXAMPLE), &[]).unwrap(), Config::default());
}

#[test]
fn the_example_has_every_key_that_is_accepted_and_a_word_on_it() {
    // Keys without a default of their own are there as comments.
    let unsaid = UNSAID.iter().map(|(_, key)| key);
    let whole = unsaid.fold(EXAMPLE.to_owned(), |text, key| {
        text.replace(&format!("\n# {key} = "), &format!("\n{key} = "))
    });
    assert_eq!(
        load(Some(&whole), &[]).unwrap().store.index_path(),
        Config::default().store.index_path()
    );
    let table: toml::Table = whole.parse().unwrap();
    for (head, table) in [
        ("", &table),
        ("[server]", table["server"].as_table().unwrap()),
        ("[store]", table["store"].as_table().unwrap()),
        ("[hosted]", table["hosted"].as_table().unwrap()),
        ("[access]", table["access"].as_table().unwrap()),
        ("[upstream]", table["upstream"].as_table().unwrap()),
        ("[mirror.'docker.io']", table["mirror"]["docker.io"].as_table().unwrap()),
    ] {
        let Err(Error::Unknown { accepted, .. }) = load(Some(&format!("{head}\n'?' = 0")), &[]) else {
            panic!("{head} accepts anything");
        };
        let mut accepted = accepted.to_vec();
        accepted.sort_unstable();
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, accepted, "{head}");
    }
    for line in whole.lines().filter(|line| line.contains(" = ")) {
        assert!(line.contains("  # ") || line.starts_with('#'), "no word on {line}");
    }
}

#[test]
fn every_key_says_what_it_takes() {
    let table: toml::Table = EXAMPLE.parse().unwrap();
    let tables = ["server", "store", "hosted"].map(|name| (name, table[name].as_table().unwrap()));
    let mirror = [("mirror.'docker.io'", table["mirror"]["docker.io"].as_table().unwrap())];
    let keys = tables
        .into_iter()
        .chain(mirror)
        .flat_map(|(head, table)| table.keys().map(move |key| (head, key.as_str())));
    for (head, key) in keys.chain(UNSAID) {
        let said = complaint(&format!("[{head}]\n{key} = 0.5"));
        let (_, expected) = said.split_once(": expected ").unwrap();
        assert!(expected.contains(", like ") || expected == "true or false", "{said}");
    }
}
