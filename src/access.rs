//! May this caller do this to this repository?
//!
//! Owns the answer, and nothing else: who the caller is was decided where the connection was accepted.

use std::fmt;
use std::net::IpAddr;

use crate::oci::RepoKey;

/// Whoever sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who they are.
    pub principal: Principal,
    /// Where the connection comes from.
    pub address: IpAddr,
}

/// Who a caller has shown to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
}

/// What can be done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

/// The rules say no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not {action} {repository}")]
pub struct Denied {
    /// Who asked.
    pub principal: Principal,
    /// For what.
    pub action: Action,
    /// Where.
    pub repository: RepoKey,
}

impl Access {
    /// Rules that let callers without a name do what `anonymous` lists, everywhere.
    pub fn new(anonymous: impl Into<Vec<Action>>) -> Self {
        Self {
            anonymous: anonymous.into(),
        }
    }

    /// Lets the caller pass, or says who was denied what.
    pub fn admit(&self, caller: &Caller, action: Action, repository: &RepoKey) -> Result<(), Denied> {
        let granted = match &caller.principal {
            Principal::Anonymous => &self.anonymous,
        };
        if granted.contains(&action) {
            Ok(())
        } else {
            Err(Denied {
                principal: caller.principal.clone(),
                action,
                repository: repository.clone(),
            })
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

    #[test]
    fn anonymous_callers_do_what_is_listed_and_nothing_else() {
        let access = Access::new([Action::Pull]);
        let caller = Caller {
            principal: Principal::Anonymous,
            address: Ipv4Addr::LOCALHOST.into(),
        };
        let key: RepoKey = "team/app".parse().unwrap();
        assert_eq!(access.admit(&caller, Action::Pull, &key), Ok(()));
        for action in [Action::Push, Action::Delete] {
            let denied = access.admit(&caller, action, &key).unwrap_err();
            assert_eq!(denied.to_string(), format!("anonymous may not {action} team/app"));
        }
    }
}
