//! The store's name of a repository.
//!
//! Promises that every spelling of one repository has one key, and that a mirrored and a hosted repository never share
//! one, because a hosted name never starts with a mirror's key (`namespaces` sees to that).

use std::fmt;
use std::str::FromStr;

use super::name;
use super::name::{InvalidName, RemoteName, RepoName};

/// What the store knows a repository by: `<mirror key>/<remote name>`, or a hosted repository's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey(String);

impl RepoKey {
    /// The key of a mirror's repository. `mirror` is the mirror's key, itself a legal name component.
    pub fn mirrored(mirror: &str, remote: &RemoteName) -> Self {
        Self(format!("{mirror}/{remote}"))
    }

    /// The key of a repository that lives here.
    pub fn hosted(name: &RepoName) -> Self {
        Self(name.as_str().to_owned())
    }

    /// `docker.io/alpine` for `docker.io/library/alpine`; `None` for all that is no official image of Docker Hub.
    pub(super) fn without_library(&self) -> Option<String> {
        let short = self.0.strip_prefix("docker.io/library/");
        short.map(|short| format!("docker.io/{short}"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepoKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        name::parse(text).map(Self)
    }
}

impl fmt::Display for RepoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_inverts_print(mirror in "[a-z]{1,5}\\.[a-z]{2}", name in "[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,3}") {
            let name: RepoName = name.parse().unwrap();
            let hosted = RepoKey::hosted(&name);
            let mirrored = RepoKey::mirrored(&mirror, &RemoteName::from(name).library());
            prop_assert_eq!(hosted.to_string().parse(), Ok(hosted));
            prop_assert_eq!(mirrored.to_string().parse(), Ok(mirrored));
        }
    }
}
