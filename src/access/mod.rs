//! May this caller do this to this repository?
//!
//! Owns the answer, and nothing else: who the caller is was decided where the connection was accepted. What a mirror's
//! `allow` and `deny` say holds for every caller, by whatever name they ask, and whether it is cached or not.

mod rules;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::namespaces::Repo;
use crate::oci::{RepoKey, Tag};

pub use rules::Ruled;

/// The `[access]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a caller without a name may do. Not said: everything on a loopback address, which only this machine
    /// reaches; only `pull` on any other, and through a proxy, which lets others reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Vec<Action>>,
}

impl Config {
    /// What a caller without a name may do to a server that listens there.
    pub fn anonymous(&self, listen: SocketAddr) -> Vec<Action> {
        let default = || {
            if listen.ip().is_loopback() {
                vec![Action::Pull, Action::Push, Action::Delete]
            } else {
                vec![Action::Pull]
            }
        };
        self.anonymous.clone().unwrap_or_else(default)
    }
}

/// Whoever sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who they are.
    pub principal: Principal,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// Whether a proxy made it for somebody else, and said so.
    pub by_proxy: bool,
}

/// Who a caller has shown to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
}

/// What can be done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Read its content.
    Pull,
    /// Add content, or move a tag.
    Push,
    /// Remove content.
    Delete,
}

/// The rules.
#[derive(Clone, Debug)]
pub struct Access {
    anonymous: Vec<Action>,
    by_proxy: Vec<Action>,
}

/// The rules say no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// To this caller.
    #[error("{principal} may not {action} {repository}: this server's access.{principal} does not list it")]
    Caller {
        /// Who asked.
        principal: Principal,
        /// For what.
        action: Action,
        /// Where.
        repository: RepoKey,
    },
    /// To everybody.
    #[error(transparent)]
    Ruled(#[from] Ruled),
}

impl Access {
    /// The configured rules, and the defaults of a server that listens there.
    pub fn new(config: &Config, listen: SocketAddr) -> Self {
        let by_proxy = config.anonymous.clone();
        Self {
            anonymous: config.anonymous(listen),
            by_proxy: by_proxy.unwrap_or_else(|| vec![Action::Pull]),
        }
    }

    /// Lets the caller pass, or says who was denied what. `tag`: what of the repository is meant, where that is a tag; a
    /// digest is judged by its repository alone.
    pub fn admit(&self, caller: &Caller, action: Action, repo: &Repo, tag: Option<&Tag>) -> Result<(), Denied> {
        let granted = match &caller.principal {
            Principal::Anonymous if caller.by_proxy => &self.by_proxy,
            Principal::Anonymous => &self.anonymous,
        };
        if !granted.contains(&action) {
            return Err(Denied::Caller {
                principal: caller.principal.clone(),
                action,
                repository: repo.key(),
            });
        }
        match repo {
            Repo::Mirrored { mirror, remote } => Ok(rules::judge(mirror, remote, tag)?),
            Repo::Hosted(_) => Ok(()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "anonymous",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
            Self::Delete => "delete from",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::namespaces::Namespaces;

    const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

    fn caller(by_proxy: bool) -> Caller {
        Caller {
            principal: Principal::Anonymous,
            address: Ipv4Addr::LOCALHOST.into(),
            by_proxy,
        }
    }

    fn hosted() -> Repo {
        let namespaces = Namespaces::new(&[], &["*".to_owned()], &[]).unwrap();
        let resolved = namespaces.resolve(&"team/app".parse().unwrap(), None, None);
        resolved.unwrap().repo
    }

    #[test]
    fn who_comes_by_a_proxy_pushes_only_where_that_is_said() {
        let repo = hosted();
        for (said, by_proxy, expected) in [
            ("", false, true),
            ("", true, false),
            ("anonymous = ['push']", false, true),
            ("anonymous = ['push']", true, true),
            ("anonymous = ['pull']", true, false),
        ] {
            let access = Access::new(&toml::from_str(said).unwrap(), LISTEN);
            let admitted = access.admit(&caller(by_proxy), Action::Push, &repo, None);
            assert_eq!(admitted.is_ok(), expected, "{said} {by_proxy}");
        }
    }

    #[test]
    fn only_a_loopback_address_is_open_by_default() {
        let all = vec![Action::Pull, Action::Push, Action::Delete];
        let cases = [
            ("127.0.0.1:5000", "", all.clone()),
            ("[::1]:5000", "", all),
            ("0.0.0.0:5000", "", vec![Action::Pull]),
            ("[::]:5000", "", vec![Action::Pull]),
            ("192.0.2.1:5000", "", vec![Action::Pull]),
            (
                "0.0.0.0:5000",
                "anonymous = ['pull', 'push']",
                vec![Action::Pull, Action::Push],
            ),
            ("127.0.0.1:5000", "anonymous = []", vec![]),
        ];
        for (listen, said, expected) in cases {
            let config: Config = toml::from_str(said).unwrap();
            assert_eq!(config.anonymous(listen.parse().unwrap()), expected, "{listen} {said}");
        }
        assert!(toml::from_str::<Config>("anonymous = ['everything']").is_err());
    }

    #[test]
    fn anonymous_callers_do_what_is_listed_and_nothing_else() {
        let access = Access::new(&toml::from_str("anonymous = ['pull']").unwrap(), LISTEN);
        let (caller, repo) = (caller(false), hosted());
        assert_eq!(access.admit(&caller, Action::Pull, &repo, None), Ok(()));
        for action in [Action::Push, Action::Delete] {
            let denied = access.admit(&caller, action, &repo, None).unwrap_err();
            let said = denied.to_string();
            assert!(
                said.starts_with(&format!("anonymous may not {action} team/app: ")),
                "{said}"
            );
        }
    }
}
