//! Where a repository lives: in a mirror, here, or nowhere.
//!
//! Owns the five rules that give a name its meaning, decided once, before anything else. Promises that all spellings of
//! one image lead to one [`Repo::key`], and that no hosted name starts with a mirror's key. Closed world: `?ns=`, path
//! prefix and `Host` are looked up among what is configured, and never dialled.

mod pattern;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::oci::RemoteName;
use crate::oci::RepoKey;
use crate::oci::RepoName;
use crate::upstream::Mirror;

use pattern::Pattern;

/// The configured names and where they lead.
#[derive(Debug)]
pub struct Namespaces {
    /// By registry host, in lower case, `docker.io` for all of Docker Hub's names: mirrors' keys and `ns`, and our names.
    by_ns: BTreeMap<String, Registry>,
    /// By `Host` header, in lower case, without port.
    by_host: BTreeMap<String, Arc<Mirror>>,
    /// The most specific first.
    bare: Vec<(Pattern, Home)>,
}

/// Where a repository lives.
#[derive(Clone, Debug)]
pub enum Repo {
    /// On another registry.
    Mirrored {
        /// Which.
        mirror: Arc<Mirror>,
        /// By which name.
        remote: RemoteName,
    },
    /// Here.
    Hosted(HostedRepo),
}

/// A repository that may be pushed to: only [`Namespaces::resolve`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedRepo(RepoName);

/// What a name turned out to mean.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Where it lives.
    pub repo: Repo,
    /// Whether `ns` decided, and is therefore echoed as `OCI-Namespace`.
    pub echo_ns: bool,
}

/// A name that leads nowhere: to the client, a 404 that says so and lets it fall back to the origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// `?ns=` names a registry that is not mirrored here.
    #[error("no mirror is configured for the registry {ns} (asked for by ?ns=)")]
    UnknownNs {
        /// As the client sent it.
        ns: String,
    },
    /// The name starts with a registry that is not mirrored here. Nothing can be pushed below such a name either.
    #[error("no mirror is configured for the registry {host} (the first component of the name)")]
    UnknownRegistry {
        /// The first component.
        host: String,
    },
    /// The name is a mirror's key and nothing more.
    #[error("the name is that of the mirror {mirror}: a repository must follow it")]
    NoRepository {
        /// The mirror's key.
        mirror: String,
    },
    /// No pattern claims the name.
    #[error("the name {name} is neither mirrored nor hosted here")]
    Unclaimed {
        /// The whole name.
        name: RepoName,
    },
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
    #[error(
        "{key}: \"{pattern}\" is no pattern: expected name components, each of which may end in `*`"
    )]
    MalformedPattern {
        /// Where it stands.
        key: String,
        /// As written.
        pattern: String,
    },
    /// The pattern is about names that always mean another registry.
    #[error(
        "{key}: \"{pattern}\" can never match: names that start so mean the registry of that name"
    )]
    IdlePattern {
        /// Where it stands.
        key: String,
        /// As written.
        pattern: String,
    },
}

/// What a registry host stands for.
#[derive(Clone, Debug)]
enum Registry {
    Ours,
    Mirror(Arc<Mirror>),
}

/// What a bare name leads to.
#[derive(Clone, Debug)]
enum Home {
    Hosted,
    Mirror(Arc<Mirror>),
}

impl Namespaces {
    /// Puts the configuration's names together: `server.names`, `hosted.namespaces`, and all that mirrors claim.
    pub fn new(
        server_names: &[String],
        hosted: &[String],
        mirrors: &[Arc<Mirror>],
    ) -> Result<Self, Error> {
        let mut names = Self {
            by_ns: BTreeMap::new(),
            by_host: BTreeMap::new(),
            bare: Vec::new(),
        };
        for name in server_names {
            names.by_ns.insert(canonical(name), Registry::Ours);
        }
        for mirror in mirrors {
            names.claim_registries(mirror)?;
            names.claim_hosts(mirror)?;
        }
        for pattern in hosted {
            names.claim_bare(pattern, Home::Hosted)?;
        }
        for mirror in mirrors {
            for pattern in mirror.bare() {
                names.claim_bare(pattern, Home::Mirror(Arc::clone(mirror)))?;
            }
        }
        names
            .bare
            .sort_by_cached_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        Ok(names)
    }

    /// Decides where `name` lives. `ns` is the value of `?ns=` (`None` for a write, where it means nothing), `host` the
    /// `Host` header, with its port or without.
    pub fn resolve(
        &self,
        name: &RepoName,
        ns: Option<&str>,
        host: Option<&str>,
    ) -> Result<Resolved, NotServed> {
        match ns
            .filter(|ns| !ns.is_empty())
            .map(|ns| self.registry(ns))
            .transpose()?
        {
            Some(Registry::Mirror(mirror)) => Ok(Resolved {
                repo: self.told(mirror, name),
                echo_ns: true,
            }),
            Some(Registry::Ours) | None => Ok(Resolved {
                repo: self.untold(name, host)?,
                echo_ns: false,
            }),
        }
    }

    fn registry(&self, ns: &str) -> Result<&Registry, NotServed> {
        self.by_ns
            .get(&canonical(ns))
            .ok_or_else(|| NotServed::UnknownNs { ns: ns.to_owned() })
    }

    /// A name of which the mirror is known. Clients with both a prefix and `ns` configured say the registry twice.
    fn told(&self, mirror: &Arc<Mirror>, name: &RepoName) -> Repo {
        let doubled = self
            .prefix(name)
            .is_some_and(|prefix| Arc::ptr_eq(prefix, mirror));
        let rest = if doubled { name.rest() } else { None };
        mirrored(mirror, rest.unwrap_or_else(|| name.clone()))
    }

    /// A name that has to tell by itself.
    fn untold(&self, name: &RepoName, host: Option<&str>) -> Result<Repo, NotServed> {
        if let Some(mirror) = self.prefix(name) {
            let rest = name.rest().ok_or_else(|| NotServed::NoRepository {
                mirror: mirror.key().to_owned(),
            })?;
            return Ok(mirrored(mirror, rest));
        }
        if let Some(mirror) = host.and_then(|host| self.by_host.get(&without_port(host))) {
            return Ok(mirrored(mirror, name.clone()));
        }
        if is_registry(name.first()) {
            return Err(NotServed::UnknownRegistry {
                host: name.first().to_owned(),
            });
        }
        let claim = self.bare.iter().find(|(pattern, _)| pattern.matches(name));
        match claim.map(|(_, home)| home) {
            Some(Home::Hosted) => Ok(Repo::Hosted(HostedRepo(name.clone()))),
            Some(Home::Mirror(mirror)) => Ok(mirrored(mirror, name.clone())),
            None => Err(NotServed::Unclaimed { name: name.clone() }),
        }
    }

    /// The mirror that the first component names: by its key, or by another of its hosts if it looks like one.
    fn prefix(&self, name: &RepoName) -> Option<&Arc<Mirror>> {
        let first = name.first();
        match self.by_ns.get(&canonical(first))? {
            Registry::Mirror(mirror) if mirror.key() == first || is_registry(first) => Some(mirror),
            Registry::Mirror(_) | Registry::Ours => None,
        }
    }

    fn claim_registries(&mut self, mirror: &Arc<Mirror>) -> Result<(), Error> {
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
            self.by_ns
                .insert(host, Registry::Mirror(Arc::clone(mirror)));
        }
        Ok(())
    }

    fn claim_hosts(&mut self, mirror: &Arc<Mirror>) -> Result<(), Error> {
        for host in mirror.hosts() {
            let host = without_port(host);
            if let Some(first) = self
                .by_host
                .get(&host)
                .filter(|first| !Arc::ptr_eq(first, mirror))
            {
                let (first, second) = (table(first) + ".hosts", table(mirror) + ".hosts");
                return Err(Error::SameHost {
                    host,
                    first,
                    second,
                });
            }
            self.by_host.insert(host, Arc::clone(mirror));
        }
        Ok(())
    }

    fn claim_bare(&mut self, text: &str, home: Home) -> Result<(), Error> {
        let (key, pattern) = (home.key(), text.to_owned());
        let parsed = match text.parse::<Pattern>() {
            Ok(parsed) => parsed,
            Err(_) => return Err(Error::MalformedPattern { key, pattern }),
        };
        if parsed
            .first_name()
            .is_some_and(|first| is_registry(first.as_str()) || self.prefix(&first).is_some())
        {
            return Err(Error::IdlePattern { key, pattern });
        }
        match self
            .bare
            .iter()
            .find(|(known, _)| *known == parsed)
            .map(|(_, first)| first.key())
        {
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

impl Repo {
    /// What the store knows it by.
    pub fn key(&self) -> RepoKey {
        match self {
            Self::Mirrored { mirror, remote } => RepoKey::mirrored(mirror.key(), remote),
            Self::Hosted(hosted) => RepoKey::hosted(hosted.name()),
        }
    }
}

impl HostedRepo {
    /// Its name, here and everywhere.
    pub fn name(&self) -> &RepoName {
        &self.0
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

fn mirrored(mirror: &Arc<Mirror>, name: RepoName) -> Repo {
    let remote = RemoteName::from(name);
    let remote = if mirror.has_library() {
        remote.library()
    } else {
        remote
    };
    Repo::Mirrored {
        mirror: Arc::clone(mirror),
        remote,
    }
}

/// The mirror's table in the configuration.
fn table(mirror: &Mirror) -> String {
    format!("mirror.\"{}\"", mirror.key())
}

/// Whether a name component can only be a registry's host. Ports cannot stand in names, so a dot must tell.
fn is_registry(component: &str) -> bool {
    component.contains('.')
}

/// A registry's host in lower case, one for all that have always meant Docker Hub.
fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        _ => host,
    }
}

/// A `Host` header's host in lower case; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> String {
    let after_address = host.rfind(']').map_or(0, |bracket| bracket + 1);
    let end = host[after_address..]
        .find(':')
        .map_or(host.len(), |colon| after_address + colon);
    host[..end].to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
