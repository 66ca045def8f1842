//! Owns: the shape of one `[mirror."key"]` table (design section 7), its defaults, and the eight built-in mirrors.
//!
//! Promises: what this accepts is what [`Mirror`](super::Mirror) checks next; an unknown key is an error.
//! Never: reads a file or the environment (crate `config` does, and merges user tables over [`builtin`]).

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::friendly;
use crate::oci::{Rule, TagPattern};

use super::network::Proxy;
use super::secret::Secret;

const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// One `[mirror."key"]` table as it is written. Durations are friendly: `"250ms"`, `"3s"`, `"1m 30s"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MirrorConfig {
    /// Where the registry is, in the order in which it is asked: `http://` or `https://` URLs of host and port.
    pub endpoints: Vec<String>,
    /// Further hosts (with ports where they have one) whose `?ns=` means this mirror.
    pub ns: Vec<String>,
    /// Patterns of bare names that are this mirror's.
    pub bare: Vec<String>,
    /// `Host` headers, without port, that select this mirror.
    pub hosts: Vec<String>,
    /// What may be pulled, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Rule>>,
    /// What may not be pulled, allowed or not.
    pub deny: Vec<Rule>,
    /// Who wharf is to the registry; `<token>` where the secret is an identity token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The secret that belongs to `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file with that secret in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A Docker credential helper that knows both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_helper: Option<String>,
    /// A `config.json` of Docker's that knows both, or the helper to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_config: Option<PathBuf>,
    /// How long a helper's answer is good.
    #[serde(with = "friendly")]
    pub credential_lifetime: Duration,
    /// The token endpoint, only where it is on another domain than the registry; then no other is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_realm: Option<String>,
    /// Certificates of authorities (PEM) that are believed besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// wharf's own certificate (PEM) and what vouches for it, for a registry that demands one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<PathBuf>,
    /// Its private key (PEM), where that is not in the same file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// `true`: no certificate is checked.
    pub skip_verify: bool,
    /// The way to everything that is asked for this mirror, in place of `[upstream] proxy` and the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// The registry's name, only where the endpoint is a cache of many, like another wharf: it is asked with `?ns=` this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_ns: Option<String>,
    /// Bodies at a time, from all endpoints together.
    pub max_connections: NonZeroUsize,
    /// Bodies at a time for one blob of which the client waits for every byte: more than one only where the upstream
    /// limits each connection.
    pub segments: NonZeroUsize,
    /// Bytes a second that the bodies of blobs may bring together; none: as many as come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<ByteSize>,
    /// How long a tag answers without asking the upstream, unless a pattern in `tag` says otherwise.
    pub fresh_for: FreshFor,
    /// How long after that it may still answer when the upstream cannot.
    pub stale_for: FreshFor,
    /// What becomes of a cached tag that the upstream has deleted.
    pub when_deleted: WhenDeleted,
    /// `true`: nothing is ever asked.
    pub offline: bool,
    /// `false`: as if the table were not there.
    pub enabled: bool,
    /// Longest wait for a connection: name, TCP and TLS.
    #[serde(with = "friendly")]
    pub connect: Duration,
    /// Longest wait from sending a request to the head of its answer, on top of `connect`.
    #[serde(with = "friendly")]
    pub first_byte: Duration,
    /// Longest wait for the next bytes of a body: the only deadline of a transfer.
    #[serde(with = "friendly")]
    pub silence: Duration,
    /// How long the revalidation of a cached tag may keep a client waiting before the stale answer goes out.
    #[serde(with = "friendly")]
    pub revalidate: Duration,
    /// How long tags of certain names answer: the first pattern that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<TagConfig>,
}

/// One `[[mirror."key".tag]]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagConfig {
    /// Which tags.
    pub pattern: TagPattern,
    /// How long they answer without asking the upstream.
    pub fresh_for: FreshFor,
}

/// What becomes of a cached tag that the upstream has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDeleted {
    /// It answers as when the upstream cannot be asked.
    Serve,
    /// It is deleted here too.
    Forget,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            ns: Vec::new(),
            bare: Vec::new(),
            hosts: Vec::new(),
            allow: None,
            deny: Vec::new(),
            username: None,
            password: None,
            password_file: None,
            credential_helper: None,
            docker_config: None,
            credential_lifetime: Duration::from_hours(1),
            token_realm: None,
            ca_file: None,
            client_cert: None,
            client_key: None,
            skip_verify: false,
            proxy: None,
            send_ns: None,
            max_connections: MAX_CONNECTIONS,
            segments: NonZeroUsize::MIN,
            max_rate: None,
            fresh_for: FreshFor::Within(Duration::from_mins(5)),
            stale_for: FreshFor::Forever,
            when_deleted: WhenDeleted::Serve,
            offline: false,
            enabled: true,
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(10),
            silence: Duration::from_mins(1),
            revalidate: Duration::from_millis(1500),
            tag: Vec::new(),
        }
    }
}

impl MirrorConfig {
    /// Whether both ask the same endpoints in the same way, whatever they claim, allow and keep, and at what pace.
    pub(super) fn is_asked_like(&self, other: &Self) -> bool {
        let way = |table: &Self| Self {
            ns: Vec::new(),
            bare: Vec::new(),
            hosts: Vec::new(),
            allow: None,
            deny: Vec::new(),
            fresh_for: FreshFor::Forever,
            stale_for: FreshFor::Forever,
            when_deleted: WhenDeleted::Serve,
            tag: Vec::new(),
            segments: NonZeroUsize::MIN,
            max_connections: NonZeroUsize::MIN,
            max_rate: None,
            ..table.clone()
        };
        way(self) == way(other)
    }
}

/// The mirrors that exist without any configuration, by key. A table in the file is merged over its namesake.
pub fn builtin() -> BTreeMap<String, MirrorConfig> {
    let hub = MirrorConfig {
        endpoints: vec!["https://registry-1.docker.io".to_owned()],
        bare: vec!["library/*".to_owned()],
        ..MirrorConfig::default()
    };
    let others = [
        "ghcr.io",
        "quay.io",
        "registry.k8s.io",
        "gcr.io",
        "mcr.microsoft.com",
        "nvcr.io",
        "public.ecr.aws",
    ];
    let others = others.into_iter().map(|host| {
        let endpoints = vec![format!("https://{host}")];
        (
            host.to_owned(),
            MirrorConfig {
                endpoints,
                ..MirrorConfig::default()
            },
        )
    });
    others.chain([("docker.io".to_owned(), hub)]).collect()
}

/// How long something counts: a duration, or `"forever"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreshFor {
    /// So long.
    Within(Duration),
    /// For good.
    Forever,
}

const FOREVER: &str = "forever";

impl FromStr for FreshFor {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == FOREVER {
            return Ok(Self::Forever);
        }
        friendly::parse(text).map(Self::Within)
    }
}

impl fmt::Display for FreshFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(duration) => match SignedDuration::try_from(*duration) {
                Ok(duration) => write!(f, "{duration:#}"),
                Err(_) => f.write_str(FOREVER),
            },
            Self::Forever => f.write_str(FOREVER),
        }
    }
}

impl Serialize for FreshFor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FreshFor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| {
            let expected = "a duration such as \"5m\", or \"forever\"";
            de::Error::custom(format!("{text:?} is not {expected} ({error})"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_an_endpoint_is_enough() {
        let config: MirrorConfig = toml::from_str(r#"endpoints = ["http://h:5000"]"#).unwrap();
        let endpoints = vec!["http://h:5000".to_owned()];
        assert_eq!(
            config,
            MirrorConfig {
                endpoints,
                ..MirrorConfig::default()
            }
        );
    }

    #[test]
    fn durations_are_read_and_printed_in_words() {
        let text = "fresh_for = \"90m\"\nconnect = \"250ms\"\nrevalidate = \"1.5s\"";
        let config: MirrorConfig = toml::from_str(text).unwrap();
        assert_eq!(config.fresh_for, FreshFor::Within(Duration::from_mins(90)));
        assert_eq!(config.connect, Duration::from_millis(250));
        assert_eq!(config.revalidate, Duration::from_millis(1500));
        let printed = toml::to_string(&config).unwrap();
        assert!(printed.contains("fresh_for = \"1h 30m\""), "{printed}");
        assert_eq!(toml::from_str::<MirrorConfig>(&printed).unwrap(), config);
    }

    #[test]
    fn forever_is_a_duration() {
        let config: MirrorConfig = toml::from_str("fresh_for = \"forever\"").unwrap();
        assert_eq!(config.fresh_for, FreshFor::Forever);
        assert!(toml::to_string(&config).unwrap().contains("fresh_for = \"forever\""));
    }

    #[test]
    fn tags_have_their_own_windows_in_order() {
        let text = "stale_for = \"7d\"\nwhen_deleted = \"forget\"\noffline = true\n\
                    [[tag]]\npattern = \"v*\"\nfresh_for = \"forever\"\n[[tag]]\npattern = \"*\"\nfresh_for = \"1m\"";
        let config: MirrorConfig = toml::from_str(text).unwrap();
        let tags: Vec<_> = config.tag.iter().map(|it| it.pattern.to_string()).collect();
        assert_eq!(
            (tags.join(" ").as_str(), config.tag[0].fresh_for),
            ("v* *", FreshFor::Forever)
        );
        assert_eq!(config.stale_for, FreshFor::Within(Duration::from_hours(168)));
        assert_eq!((config.when_deleted, config.offline), (WhenDeleted::Forget, true));
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<MirrorConfig>(&printed).unwrap(), config, "{printed}");
        for bad in [
            "pattern = \"v*\"",
            "pattern = \"v/*\"\nfresh_for = \"1m\"",
            "patern = \"v*\"",
        ] {
            assert!(
                toml::from_str::<MirrorConfig>(&format!("[[tag]]\n{bad}")).is_err(),
                "{bad}"
            );
        }
        assert!(toml::from_str::<MirrorConfig>("when_deleted = \"keep\"").is_err());
    }

    #[test]
    fn a_password_is_read_and_not_printed() {
        let config: MirrorConfig = toml::from_str("username = \"site\"\npassword = \"hunter2\"").unwrap();
        assert_eq!(config.password, Some(Secret::from("hunter2".to_owned())));
        let printed = toml::to_string(&config).unwrap();
        assert!(printed.contains("password = \"********\""), "{printed}");
        assert!(!format!("{printed}{config:?}").contains("hunter2"));
    }

    #[test]
    fn rules_read_back() {
        let config: MirrorConfig = toml::from_str("allow = ['library/*']\ndeny = ['a/b:v*']").unwrap();
        assert_eq!(config.allow, Some(vec!["library/*".parse().unwrap()]));
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<MirrorConfig>(&printed).unwrap(), config);
        let nothing: MirrorConfig = toml::from_str("allow = []").unwrap();
        assert_eq!(nothing.allow, Some(Vec::new()), "said, and not as if it were not");
        assert!(toml::from_str::<MirrorConfig>("deny = ['a/b:']").is_err());
    }

    #[test]
    fn unknown_keys_and_bad_durations_are_named() {
        let unknown = toml::from_str::<MirrorConfig>("endpoint = \"x\"")
            .unwrap_err()
            .to_string();
        assert!(unknown.contains("unknown field `endpoint`"), "{unknown}");
        let negative = toml::from_str::<MirrorConfig>("fresh_for = \"-5m\"").unwrap_err();
        assert!(negative.to_string().contains("\"-5m\" is not a duration"), "{negative}");
        assert!(toml::from_str::<MirrorConfig>("silence = \"soon\"").is_err());
    }

    #[test]
    fn eight_mirrors_are_built_in() {
        let builtin = builtin();
        assert_eq!(builtin.len(), 8);
        assert_eq!(builtin["docker.io"].endpoints, ["https://registry-1.docker.io"]);
        assert_eq!(builtin["docker.io"].bare, ["library/*"]);
        assert_eq!(builtin["quay.io"].endpoints, ["https://quay.io"]);
    }
}
