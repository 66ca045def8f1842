//! Owns: [`Endpoint`], one place where a mirror is asked: how it is reached, who wharf is there, and how it fares.
//!
//! Promises: what one endpoint grants, counts or refuses is never taken for another's word.
//! Never: resolves a name or opens a connection.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::{Host, Url};

use super::super::budget::Budget;
use super::super::config::MirrorConfig;
use super::super::credentials::Source;
use super::super::error::Error;
use super::super::health::Health;
use super::super::network::Network;
use super::super::pace::Pace;
use super::super::place::{Place, authority, without_user};
use super::{Deadlines, InvalidMirror, deadlines, web_url};

/// Scheme, host and port of a registry, and what a mirror's table says of it. `Display` is `host[:port]`.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointId,
    url: Url,
    authority: Arc<str>,
    credentials: Option<Source>,
    token_realm: Option<Url>,
    send_ns: Option<String>,
    deadlines: Deadlines,
    shared: Arc<Shared>,
    health: Health,
    budget: Mutex<Option<Budget>>,
}

/// What the endpoints of a mirror have in common.
#[derive(Debug)]
struct Shared {
    count: usize,
    offline: bool,
    network: Network,
    pace: Arc<Pace>,
}

/// What keeps the words of one endpoint apart from those of another, and of one that another table made of the same place:
/// what was heard by way of a realm that is no longer trusted is not heard. Holds the mirror's key.
#[derive(Debug, Clone)]
pub struct EndpointId(Arc<String>);

impl PartialEq for EndpointId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for EndpointId {}

impl Hash for EndpointId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Endpoint {
    /// All that a table names, in order.
    pub(super) fn all(
        key: &str,
        config: &MirrorConfig,
        send_ns: Option<&String>,
        pace: &Arc<Pace>,
    ) -> Result<Vec<Arc<Self>>, InvalidMirror> {
        if config.endpoints.is_empty() {
            return Err(InvalidMirror::NoEndpoint { key: key.to_owned() });
        }
        let shared = Shared {
            count: config.endpoints.len(),
            offline: config.offline,
            network: Network::new(key, config)?,
            pace: Arc::clone(pace),
        };
        let shared = Arc::new(shared);
        let mut all: Vec<Arc<Self>> = Vec::new();
        for value in &config.endpoints {
            let endpoint = Self::new(key, value, config, send_ns, &shared)?;
            if all.iter().any(|other| other.url == endpoint.url) {
                let (key, value) = (key.to_owned(), endpoint.to_string());
                return Err(InvalidMirror::SameEndpoint { key, value });
            }
            all.push(Arc::new(endpoint));
        }
        Ok(all)
    }

    fn new(
        key: &str,
        value: &str,
        config: &MirrorConfig,
        send_ns: Option<&String>,
        shared: &Arc<Shared>,
    ) -> Result<Self, InvalidMirror> {
        let url = web_url(value).filter(|url| url.path() == "/" && url.query().is_none());
        let url = url.ok_or_else(|| InvalidMirror::Endpoint {
            key: key.to_owned(),
            value: without_user(value),
        })?;
        Ok(Self {
            id: EndpointId(Arc::new(key.to_owned())),
            credentials: Source::new(key, config, &url)?,
            token_realm: token_realm(key, config.token_realm.as_deref(), &url)?,
            send_ns: send_ns.cloned(),
            deadlines: deadlines(key, config)?,
            shared: Arc::clone(shared),
            health: Health::default(),
            budget: Mutex::default(),
            authority: authority(&url).into(),
            url,
        })
    }

    /// The host, a name in lower case or an address (IPv6 in brackets).
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// What it last said of our request budget; `None` where it never did.
    pub fn budget(&self) -> Option<Budget> {
        *self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the mirror that it belongs to.
    pub(in crate::upstream) fn mirror(&self) -> &str {
        &self.id.0
    }

    /// What tells its words from those of any other.
    pub fn id(&self) -> &EndpointId {
        &self.id
    }

    /// An error where nothing is to be asked.
    pub(in crate::upstream) fn may_be_asked(&self) -> Result<(), Error> {
        if self.shared.offline {
            let mirror = self.mirror().to_owned();
            return Err(Error::Offline { mirror });
        }
        Ok(())
    }

    pub(in crate::upstream) fn is_one_of_several(&self) -> bool {
        self.shared.count > 1
    }

    pub(in crate::upstream) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it says by itself that it is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// The endpoint's URL with this path, which must come from typed names only.
    pub(in crate::upstream) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    pub(in crate::upstream) fn place(&self) -> Place {
        Place::endpoint(Arc::clone(&self.authority))
    }

    /// What to send as `?ns=`.
    pub(in crate::upstream) fn send_ns(&self) -> Option<&str> {
        self.send_ns.as_deref()
    }

    pub(in crate::upstream) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// How long to wait for what an answer waits for: a credential.
    pub(in crate::upstream) fn patience(&self) -> Duration {
        self.deadlines.connect + self.deadlines.first_byte
    }

    pub(in crate::upstream) fn network(&self) -> &Network {
        &self.shared.network
    }

    pub(in crate::upstream) fn credentials(&self) -> Option<&Source> {
        self.credentials.as_ref()
    }

    pub(in crate::upstream) fn token_realm(&self) -> Option<&Url> {
        self.token_realm.as_ref()
    }

    pub(in crate::upstream) fn pace(&self) -> &Pace {
        &self.shared.pace
    }

    pub(in crate::upstream) fn health(&self) -> &Health {
        &self.health
    }

    pub(in crate::upstream) fn note_budget(&self, budget: Budget) {
        *self.budget.lock().unwrap_or_else(PoisonError::into_inner) = Some(budget);
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

fn token_realm(key: &str, value: Option<&str>, endpoint: &Url) -> Result<Option<Url>, InvalidMirror> {
    let Some(value) = value else { return Ok(None) };
    let invalid = |accepted| InvalidMirror::TokenRealm {
        key: key.to_owned(),
        value: without_user(value),
        accepted,
    };
    let url = web_url(value).ok_or_else(|| invalid("the http:// or https:// URL of a token endpoint, without user"))?;
    if endpoint.scheme() == "https" && url.scheme() != "https" {
        return Err(invalid("an https:// URL, because the endpoint is https"));
    }
    Ok(Some(url))
}
