//! Who claims which names: the configuration as tables, checked.
//!
//! Promises that no name is claimed twice: what could mean two things is refused when wharf starts.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::oci::{Pattern, RepoName};
use crate::upstream::Mirror;

use super::host::{canonical, is_registry, without_port};

/// The tables. Hosts in lower case, `docker.io` for all of Docker Hub's names.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Mirrors' keys and `ns`, and our own names.
    by_ns: BTreeMap<String, Registry>,
    /// Without port.
    by_host: BTreeMap<String, Arc<Mirror>>,
    /// The most specific first.
    bare: Vec<(Pattern, Home)>,
}

/// What a registry host stands for.
#[derive(Clone, Debug)]
pub(super) enum Registry {
    Ours,
    Mirror(Arc<Mirror>),
}

/// What a bare name leads to.
#[derive(Clone, Debug)]
pub(super) enum Home {
    Hosted,
    Mirror(Arc<Mirror>),
}

/// Configured names that contradict each other. Each variant names the configuration keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two mirrors, or a mirror and we ourselves, are called the same.
    #[error("the registry host {host} is claimed by both {first} and {second}")]
    SameNs {
        /// The host; `docker.io` for each of Docker Hub's names.
        host: String,
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
    },
    /// One `Host` header would select two mirrors.
    #[error("the host {host} is claimed by both {first} and {second}")]
    SameHost {
        /// The host, without port.
        host: String,
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
    },
    /// One pattern leads to two places.
    #[error("the pattern \"{pattern}\" is claimed by both {first} and {second}")]
    SamePattern {
        /// The pattern.
        pattern: String,
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
    },
    /// No name could match the pattern.
    #[error("{key}: \"{pattern}\" is no pattern: expected name components, each of which may end in `*`")]
    MalformedPattern {
        /// Where it stands.
        key: String,
        /// As written.
        pattern: String,
    },
    /// The pattern is about names that always mean another registry.
    #[error("{key}: \"{pattern}\" can never match: names that start so mean the registry of that name")]
    IdlePattern {
        /// Where it stands.
        key: String,
        /// As written.
        pattern: String,
    },
}

impl Claims {
    pub(super) fn new(server_names: &[String], hosted: &[String], mirrors: &[Arc<Mirror>]) -> Result<Self, Error> {
        let mut claims = Self::default();
        let ours = server_names.iter().map(|name| (canonical(name), Registry::Ours));
        claims.by_ns.extend(ours);
        for mirror in mirrors {
            claims.registries(mirror)?;
            claims.hosts(mirror)?;
        }
        for pattern in hosted {
            claims.pattern(pattern, Home::Hosted)?;
        }
        for mirror in mirrors {
            for pattern in mirror.bare() {
                claims.pattern(pattern, Home::Mirror(Arc::clone(mirror)))?;
            }
        }
        claims
            .bare
            .sort_by_cached_key(|(pattern, _)| Reverse(pattern.specificity()));
        Ok(claims)
    }

    /// What `?ns=` means.
    pub(super) fn by_ns(&self, ns: &str) -> Option<&Registry> {
        self.by_ns.get(&canonical(ns))
    }

    /// The mirror that the first component names: by its key, or by another of its hosts if it looks like one.
    pub(super) fn by_prefix(&self, name: &RepoName) -> Option<&Arc<Mirror>> {
        let first = name.first();
        match self.by_ns(first)? {
            Registry::Mirror(mirror) if mirror.key() == first || is_registry(first) => Some(mirror),
            Registry::Mirror(_) | Registry::Ours => None,
        }
    }

    /// The mirror that the `Host` header selects.
    pub(super) fn by_host(&self, host: &str) -> Option<&Arc<Mirror>> {
        self.by_host.get(&without_port(host))
    }

    /// The home of a name that nothing else is said about.
    pub(super) fn by_pattern(&self, name: &RepoName) -> Option<&Home> {
        self.bare
            .iter()
            .find(|(pattern, _)| pattern.matches(name))
            .map(|(_, home)| home)
    }

    fn registries(&mut self, mirror: &Arc<Mirror>) -> Result<(), Error> {
        for host in mirror.ns().iter().map(String::as_str).chain([mirror.key()]) {
            let host = canonical(host);
            let first = match self.by_ns.get(&host) {
                None => None,
                Some(Registry::Mirror(first)) if Arc::ptr_eq(first, mirror) => None,
                Some(Registry::Mirror(first)) => Some(table(first)),
                Some(Registry::Ours) => Some("server.names".to_owned()),
            };
            if let Some(first) = first {
                return Err(Error::SameNs {
                    host,
                    first,
                    second: table(mirror),
                });
            }
            self.by_ns.insert(host, Registry::Mirror(Arc::clone(mirror)));
        }
        Ok(())
    }

    fn hosts(&mut self, mirror: &Arc<Mirror>) -> Result<(), Error> {
        for host in mirror.hosts() {
            let host = without_port(host);
            let first = self.by_host.insert(host.clone(), Arc::clone(mirror));
            if let Some(first) = first.filter(|first| !Arc::ptr_eq(first, mirror)) {
                let (first, second) = (table(&first) + ".hosts", table(mirror) + ".hosts");
                return Err(Error::SameHost { host, first, second });
            }
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str, home: Home) -> Result<(), Error> {
        let (key, pattern) = (home.key(), text.to_owned());
        let Ok(parsed) = text.parse::<Pattern>() else {
            return Err(Error::MalformedPattern { key, pattern });
        };
        let elsewhere = |first: &RepoName| is_registry(first.as_str()) || self.by_prefix(first).is_some();
        if parsed.first_name().as_ref().is_some_and(elsewhere) {
            return Err(Error::IdlePattern { key, pattern });
        }
        let first = self.bare.iter().find(|(known, _)| *known == parsed);
        match first.map(|(_, home)| home.key()) {
            Some(first) if first == key => {}
            Some(first) => {
                return Err(Error::SamePattern {
                    pattern,
                    first,
                    second: key,
                });
            }
            None => self.bare.push((parsed, home)),
        }
        Ok(())
    }
}

impl Home {
    /// The configuration key that claims for it.
    fn key(&self) -> String {
        match self {
            Self::Hosted => "hosted.namespaces".to_owned(),
            Self::Mirror(mirror) => table(mirror) + ".bare",
        }
    }
}

/// The mirror's table in the configuration.
fn table(mirror: &Mirror) -> String {
    format!("mirror.\"{}\"", mirror.key())
}
