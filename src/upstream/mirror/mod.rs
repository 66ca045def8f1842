//! Owns: [`Mirror`], a configured upstream registry, checked; and its [`Endpoint`]s, where it is asked, in order.
//!
//! Promises: a `Mirror` that exists can be asked: its URLs, hosts and deadlines make sense.
//! Never: resolves a name or opens a connection.

mod caution;
mod endpoint;
mod invalid;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::oci::{self, Rule, Tag};

use super::config::{FreshFor, MirrorConfig, TagConfig, WhenDeleted};
use super::lane::Lane;
use super::pace::Pace;
use super::place::without_user;

pub use caution::Caution;
pub use endpoint::{Endpoint, EndpointId};
pub use invalid::InvalidMirror;

/// A configured upstream registry.
#[derive(Debug)]
pub struct Mirror {
    key: String,
    /// As it was written.
    table: MirrorConfig,
    /// Never empty.
    endpoints: Vec<Arc<Endpoint>>,
    ns: Vec<String>,
    bare: Vec<String>,
    hosts: Vec<String>,
    fresh_for: FreshFor,
    tags: Vec<TagConfig>,
    stale_for: FreshFor,
    when_deleted: WhenDeleted,
    limits: Limits,
}

/// How much of all that its upstreams send may come at a time.
#[derive(Debug, Clone)]
struct Limits {
    lane: Arc<Lane>,
    pace: Arc<Pace>,
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
        Self::after(None, key, config)
    }

    /// As [`Mirror::new`]. Where the table asks the same endpoints in the same way as the one `before`, they are the same:
    /// what they granted and refused still counts. The bodies under way count while one of their places is still asked.
    fn after(before: Option<&Self>, key: &str, config: &MirrorConfig) -> Result<Self, InvalidMirror> {
        if !oci::is_component(key) {
            return Err(InvalidMirror::Key { key: key.to_owned() });
        }
        let mut ns = hosts(key, "ns", &config.ns, true)?;
        if key == HUB {
            ns.extend(
                HUB_ALIASES
                    .into_iter()
                    .filter(|alias| !config.ns.iter().any(|n| n == alias))
                    .map(str::to_owned),
            );
        }
        let send_ns = hosts(key, "send_ns", config.send_ns.as_slice(), true)?.pop();
        check_rules(key, "allow", config.allow.as_deref().unwrap_or_default())?;
        check_rules(key, "deny", &config.deny)?;
        let rate = rate(key, config)?;
        let limits = match before {
            Some(before) if before.asks_one_of(&config.endpoints) => before.limits.clone(),
            Some(_) | None => Limits {
                lane: Lane::new(config.max_connections.get()),
                pace: Arc::new(Pace::new(rate)),
            },
        };
        let endpoints = match before {
            Some(before) if before.table.is_asked_like(config) => before.endpoints.clone(),
            Some(_) | None => Endpoint::all(key, config, send_ns.as_ref(), &limits.pace)?,
        };
        Ok(Self {
            key: key.to_owned(),
            table: config.clone(),
            endpoints,
            ns,
            bare: config.bare.clone(),
            hosts: hosts(key, "hosts", &config.hosts, false)?,
            fresh_for: config.fresh_for,
            tags: config.tag.clone(),
            stale_for: config.stale_for,
            when_deleted: config.when_deleted,
            limits,
        })
    }

    /// Has its limits hold from now on for all that its upstreams send, also for what was begun under others.
    pub fn take_over(&self) {
        self.limits.lane.adjust(self.table.max_connections.get());
        self.limits.pace.adjust(self.table.max_rate.map(|rate| rate.as_u64()));
    }

    fn asks_one_of(&self, endpoints: &[String]) -> bool {
        self.table.endpoints.iter().any(|it| endpoints.contains(it))
    }

    /// Bodies at a time for one blob.
    pub fn segments(&self) -> usize {
        self.table.segments.get()
    }

    /// Its identity: path prefix and storage key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it is asked, in order. Never empty.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Where it is asked first.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoints[0]
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
        let is_hub = |host: &str| host == HUB || host.ends_with(".docker.io");
        self.key == HUB || self.endpoints.iter().any(|endpoint| is_hub(endpoint.host()))
    }

    /// Where bodies wait for their turn.
    pub fn lane(&self) -> &Arc<Lane> {
        &self.limits.lane
    }

    /// How long what it said answers without asking, but for tags of which more is said.
    pub fn fresh_for(&self) -> FreshFor {
        self.fresh_for
    }

    /// How long this tag answers without asking.
    pub fn tag_fresh_for(&self, tag: &Tag) -> FreshFor {
        let said = self.tags.iter().find(|it| it.pattern.matches(tag));
        said.map_or(self.fresh_for, |it| it.fresh_for)
    }

    /// How long what is no longer fresh may still answer, while this cannot be asked.
    pub fn stale_for(&self) -> FreshFor {
        self.stale_for
    }

    /// What becomes of a cached tag that is deleted there.
    pub fn when_deleted(&self) -> WhenDeleted {
        self.when_deleted
    }

    /// Whether it is never asked.
    pub fn is_offline(&self) -> bool {
        self.endpoint().may_be_asked().is_err()
    }

    /// How long a revalidation may keep a client waiting that could have a stale answer.
    pub fn revalidate(&self) -> Duration {
        self.endpoint().deadlines().revalidate
    }
}

/// The mirrors of a whole `[mirror]` section that are enabled, in the order of their keys. One of `running` whose table says
/// the same is the one to go on with.
pub fn mirrors(
    section: &BTreeMap<String, MirrorConfig>,
    running: &[Arc<Mirror>],
) -> Result<Vec<Arc<Mirror>>, InvalidMirror> {
    let enabled = section.iter().filter(|(_, config)| config.enabled);
    let made = enabled.map(|(key, config)| {
        let before = running.iter().find(|mirror| mirror.key == *key);
        match before {
            Some(same) if same.table == *config => Ok(Arc::clone(same)),
            Some(_) | None => Mirror::after(before.map(Arc::as_ref), key, config).map(Arc::new),
        }
    });
    made.collect()
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

fn rate(key: &str, config: &MirrorConfig) -> Result<Option<u64>, InvalidMirror> {
    let rate = config.max_rate.map(|rate| rate.as_u64());
    if rate == Some(0) {
        return Err(InvalidMirror::NoRate { key: key.to_owned() });
    }
    Ok(rate)
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
