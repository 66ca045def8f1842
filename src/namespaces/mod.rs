//! Where a repository lives: in a mirror, here, or nowhere.
//!
//! Owns the five rules that give a name its meaning, decided once, before anything else. Promises that all spellings of
//! one image lead to one [`Repo::key`], and that no hosted name starts with a mirror's key. Closed world: `?ns=`, path
//! prefix and `Host` are looked up among what is configured, and never dialled.

mod claims;
mod host;

use std::sync::Arc;

use crate::oci::{RemoteName, RepoKey, RepoName};
use crate::upstream::Mirror;

pub use claims::Error;

use claims::{Claims, Home, Registry};

/// The configured names and where they lead.
#[derive(Debug)]
pub struct Namespaces {
    claims: Claims,
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

impl Namespaces {
    /// Puts the configuration's names together: `server.names`, `hosted.namespaces`, and all that mirrors claim.
    pub fn new(server_names: &[String], hosted: &[String], mirrors: &[Arc<Mirror>]) -> Result<Self, Error> {
        Claims::new(server_names, hosted, mirrors).map(|claims| Self { claims })
    }

    /// Decides where `name` lives. `ns` is the value of `?ns=` (`None` for a write, where it means nothing), `host` the
    /// `Host` header, with its port or without.
    pub fn resolve(&self, name: &RepoName, ns: Option<&str>, host: Option<&str>) -> Result<Resolved, NotServed> {
        let ns = ns.filter(|ns| !ns.is_empty());
        match ns.map(|ns| self.registry(ns)).transpose()? {
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
        self.claims
            .by_ns(ns)
            .ok_or_else(|| NotServed::UnknownNs { ns: ns.to_owned() })
    }

    /// Rule 1: `ns` told the mirror. Clients with a prefix configured as well say it twice.
    fn told(&self, mirror: &Arc<Mirror>, name: &RepoName) -> Repo {
        let prefix = self.claims.by_prefix(name);
        let twice = prefix.is_some_and(|prefix| Arc::ptr_eq(prefix, mirror));
        let rest = if twice { name.rest() } else { None };
        mirrored(mirror, rest.unwrap_or_else(|| name.clone()))
    }

    /// Rules 2 to 5, in this order: the name and the `Host` header have to tell.
    fn untold(&self, name: &RepoName, host: Option<&str>) -> Result<Repo, NotServed> {
        if let Some(mirror) = self.claims.by_prefix(name) {
            let mirror_only = || NotServed::NoRepository {
                mirror: mirror.key().to_owned(),
            };
            return Ok(mirrored(mirror, name.rest().ok_or_else(mirror_only)?));
        }
        if let Some(mirror) = host.and_then(|host| self.claims.by_host(host)) {
            return Ok(mirrored(mirror, name.clone()));
        }
        if host::is_registry(name.first()) {
            return Err(NotServed::UnknownRegistry {
                host: name.first().to_owned(),
            });
        }
        match self.claims.by_pattern(name) {
            Some(Home::Hosted) => Ok(Repo::Hosted(HostedRepo(name.clone()))),
            Some(Home::Mirror(mirror)) => Ok(mirrored(mirror, name.clone())),
            None => Err(NotServed::Unclaimed { name: name.clone() }),
        }
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

fn mirrored(mirror: &Arc<Mirror>, name: RepoName) -> Repo {
    let remote = RemoteName::from(name);
    let remote = if mirror.has_library() { remote.library() } else { remote };
    Repo::Mirrored {
        mirror: Arc::clone(mirror),
        remote,
    }
}

#[cfg(test)]
mod tests;
