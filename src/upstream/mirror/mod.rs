//! Owns: [`Mirror`], a configured upstream registry, checked; and [`Endpoint`], the place it is asked at.
//!
//! Promises: a `Mirror` that exists can be asked: its URLs, hosts and deadlines make sense.
//! Never: resolves a name or opens a connection.

mod caution;
mod invalid;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use crate::oci::{self, Rule};

use super::config::{FreshFor, MirrorConfig};
use super::credentials::Source;
use super::network::Network;
use super::place::{Place, authority, without_user};

pub use caution::Caution;
pub use invalid::InvalidMirror;

/// A configured upstream registry.
#[derive(Debug)]
pub struct Mirror {
    key: String,
    /// As it was written.
    table: MirrorConfig,
    endpoint: Endpoint,
    credentials: Option<Source>,
    token_realm: Option<Url>,
    send_ns: Option<String>,
    ns: Vec<String>,
    bare: Vec<String>,
    hosts: Vec<String>,
    fresh_for: FreshFor,
    deadlines: Deadlines,
    network: Network,
}

/// How long an upstream may keep us waiting, each from the moment before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) silence: Duration,
    pub(super) revalidate: Duration,
}

/// Names that have always meant Docker Hub.
const HUB: &str = "docker.io";
const HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

impl Mirror {
    /// Checks one table, and reads the certificate files that it names. Blocks.
    pub fn new(key: &str, config: &MirrorConfig) -> Result<Self, InvalidMirror> {
        if !oci::is_component(key) {
            return Err(InvalidMirror::Key { key: key.to_owned() });
        }
        let endpoint = endpoint(key, &config.endpoints)?;
        let credentials = Source::new(key, config, &endpoint)?;
        let token_realm = token_realm(key, config.token_realm.as_deref(), &endpoint)?;
        let mut ns = hosts(key, "ns", &config.ns, true)?;
        if key == HUB {
            ns.extend(
                HUB_ALIASES
                    .into_iter()
                    .filter(|alias| !config.ns.iter().any(|n| n == alias))
                    .map(str::to_owned),
            );
        }
        check_rules(key, "allow", config.allow.as_deref().unwrap_or_default())?;
        check_rules(key, "deny", &config.deny)?;
        Ok(Self {
            key: key.to_owned(),
            table: config.clone(),
            credentials,
            token_realm,
            send_ns: hosts(key, "send_ns", config.send_ns.as_slice(), true)?.pop(),
            ns,
            bare: config.bare.clone(),
            hosts: hosts(key, "hosts", &config.hosts, false)?,
            fresh_for: config.fresh_for,
            deadlines: deadlines(key, config)?,
            network: Network::new(key, config)?,
            endpoint,
        })
    }

    /// Its identity: path prefix and storage key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Hosts other than the key, in lower case, whose `?ns=` means this mirror (Docker Hub's old names included).
    pub fn ns(&self) -> &[String] {
        &self.ns
    }

    /// Patterns of bare names that are this mirror's, as configured.
    pub fn bare(&self) -> &[String] {
        &self.bare
    }

    /// `Host` headers, in lower case and without port, that select this mirror.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// What may be pulled, and nothing else; `None`: all that is not denied.
    pub fn allow(&self) -> Option<&[Rule]> {
        self.table.allow.as_deref()
    }

    /// What may not be pulled.
    pub fn deny(&self) -> &[Rule] {
        &self.table.deny
    }

    /// Whether this is Docker Hub, where a name of one component is short for `library/` and that name.
    pub fn has_library(&self) -> bool {
        let host = self.endpoint.host();
        self.key == HUB || host == HUB || host.ends_with(".docker.io")
    }

    /// How long a tag answers without asking.
    pub fn fresh_for(&self) -> FreshFor {
        self.fresh_for
    }

    /// How long a revalidation may keep a client waiting that could have a stale answer.
    pub fn revalidate(&self) -> Duration {
        self.deadlines.revalidate
    }

    /// What to send as `?ns=`.
    pub(super) fn send_ns(&self) -> Option<&str> {
        self.send_ns.as_deref()
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// How long to wait for what an answer waits for: a credential.
    pub(super) fn patience(&self) -> Duration {
        self.deadlines.connect + self.deadlines.first_byte
    }

    pub(super) fn credentials(&self) -> Option<&Source> {
        self.credentials.as_ref()
    }

    pub(super) fn token_realm(&self) -> Option<&Url> {
        self.token_realm.as_ref()
    }
}

/// The mirrors of a whole `[mirror]` section that are enabled, in the order of their keys. One of `running` whose table says
/// what it said before is the one to go on with: what it has learned of its upstream stays.
pub fn mirrors(
    section: &BTreeMap<String, MirrorConfig>,
    running: &[Arc<Mirror>],
) -> Result<Vec<Arc<Mirror>>, InvalidMirror> {
    let enabled = section.iter().filter(|(_, config)| config.enabled);
    let made = enabled.map(|(key, config)| {
        let same = |mirror: &&Arc<Mirror>| mirror.key == *key && mirror.table == *config;
        match running.iter().find(same) {
            Some(mirror) => Ok(Arc::clone(mirror)),
            None => Mirror::new(key, config).map(Arc::new),
        }
    });
    made.collect()
}

/// Scheme, host and port of a registry. `Display` is `host[:port]`.
#[derive(Debug)]
pub struct Endpoint {
    url: Url,
    authority: Arc<str>,
}

impl Endpoint {
    /// The host, a name in lower case or an address (IPv6 in brackets).
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it says by itself that it is on this machine.
    fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// The endpoint's URL with this path, which must come from typed names only.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    pub(super) fn place(&self) -> Place {
        Place::endpoint(Arc::clone(&self.authority))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

fn endpoint(key: &str, values: &[String]) -> Result<Endpoint, InvalidMirror> {
    let key = key.to_owned();
    let [value] = values else {
        let count = values.len();
        let several = || InvalidMirror::Endpoints {
            key: key.clone(),
            count,
        };
        return Err(if count == 0 {
            InvalidMirror::NoEndpoint { key }
        } else {
            several()
        });
    };
    let url = web_url(value).filter(|url| url.path() == "/" && url.query().is_none());
    let url = url.ok_or_else(|| InvalidMirror::Endpoint {
        key,
        value: without_user(value),
    })?;
    Ok(Endpoint {
        authority: authority(&url).into(),
        url,
    })
}

fn token_realm(key: &str, value: Option<&str>, endpoint: &Endpoint) -> Result<Option<Url>, InvalidMirror> {
    let Some(value) = value else { return Ok(None) };
    let invalid = |accepted| InvalidMirror::TokenRealm {
        key: key.to_owned(),
        value: without_user(value),
        accepted,
    };
    let url = web_url(value).ok_or_else(|| invalid("the http:// or https:// URL of a token endpoint, without user"))?;
    if endpoint.is_https() && url.scheme() != "https" {
        return Err(invalid("an https:// URL, because the endpoint is https"));
    }
    Ok(Some(url))
}

fn web_url(value: &str) -> Option<Url> {
    let url = Url::parse(value).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let anonymous = url.username().is_empty() && url.password().is_none();
    (web && anonymous && url.fragment().is_none()).then_some(url)
}

fn hosts(key: &str, field: &'static str, values: &[String], ports: bool) -> Result<Vec<String>, InvalidMirror> {
    let accepted = if ports {
        "a host, perhaps with a port"
    } else {
        "a host without port"
    };
    let parse = |value: &String| {
        let url = web_url(&format!("http://{value}/"));
        // Port 80 would vanish in the parsed URL, so the shape is looked at, not the result.
        let plain = url.filter(|url| url.path() == "/" && url.query().is_none());
        let port = value.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        plain
            .filter(|_| ports || !port)
            .map(|_| value.to_ascii_lowercase())
            .ok_or_else(|| InvalidMirror::Host {
                key: key.to_owned(),
                field,
                value: without_user(value),
                accepted,
            })
    };
    values.iter().map(parse).collect()
}

/// A deny rule with the mirror's name before the repository's would never match, and nobody would notice.
fn check_rules(key: &str, field: &'static str, rules: &[Rule]) -> Result<(), InvalidMirror> {
    let prefix = format!("{key}/");
    let spelled_out = |rule: &&Rule| key.contains('.') && rule.to_string().starts_with(&prefix);
    match rules.iter().find(spelled_out) {
        Some(rule) => Err(InvalidMirror::Rule {
            key: key.to_owned(),
            field,
            value: rule.to_string(),
        }),
        None => Ok(()),
    }
}

fn deadlines(key: &str, config: &MirrorConfig) -> Result<Deadlines, InvalidMirror> {
    let nonzero = |field, value: Duration| {
        let error = InvalidMirror::Deadline {
            key: key.to_owned(),
            field,
        };
        if value.is_zero() { Err(error) } else { Ok(value) }
    };
    Ok(Deadlines {
        connect: nonzero("connect", config.connect)?,
        first_byte: nonzero("first_byte", config.first_byte)?,
        silence: nonzero("silence", config.silence)?,
        revalidate: nonzero("revalidate", config.revalidate)?,
    })
}

#[cfg(test)]
mod tests;
