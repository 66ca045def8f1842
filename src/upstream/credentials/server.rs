//! Owns: [`Server`], how Docker's files and helpers name a registry.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

use super::super::place::authority;

/// Docker Hub's name there, since before there were others.
const HUB: &str = "https://index.docker.io/v1/";
const HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// A registry as `docker login` names it: `host[:port]`, or [`HUB`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) struct Server(String);

impl Server {
    pub(super) fn of(endpoint: &Url) -> Self {
        if endpoint.host_str().is_some_and(|host| HUB_HOSTS.contains(&host)) {
            return Self(HUB.to_owned());
        }
        Self(authority(endpoint))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What is said of this registry: under its very name, or under one that differs in scheme, case or API version.
    pub(super) fn find<'a, V>(&self, named: &'a BTreeMap<String, V>) -> Option<&'a V> {
        let alike = || {
            let mut named = named.iter();
            named.find(|(name, _)| host(name).is_some_and(|name| host(&self.0) == Some(name)))
        };
        named.get(&self.0).or_else(|| alike().map(|(_, value)| value))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The registry's `host[:port]`; none for a name with another path, which speaks of a part of a registry only.
fn host(name: &str) -> Option<String> {
    let bare = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"));
    let (host, path) = bare
        .unwrap_or(name)
        .split_once('/')
        .unwrap_or((bare.unwrap_or(name), ""));
    let host = host.to_ascii_lowercase();
    let whole = matches!(path.trim_end_matches('/'), "" | "v1" | "v2");
    let host = if HUB_HOSTS.contains(&host.as_str()) {
        HUB_HOSTS[0].to_owned()
    } else {
        host
    };
    whole.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(server: &str, names: &[&str]) -> Option<usize> {
        let said = names.iter().zip(0..).map(|(name, at)| ((*name).to_owned(), at));
        Server(server.to_owned()).find(&said.collect()).copied()
    }

    #[test]
    fn a_registry_has_many_names_in_a_file() {
        let names = [
            "r.example:5000",
            "https://r.example:5000",
            "http://R.example:5000/v2/",
            "https://r.example:5000/v1/",
        ];
        for name in names {
            assert_eq!(finds("r.example:5000", &[name]), Some(0), "{name}");
        }
        for name in [
            HUB,
            "docker.io",
            "https://docker.io",
            "index.docker.io",
            "registry-1.docker.io",
        ] {
            assert_eq!(finds(HUB, &[name]), Some(0), "{name}");
        }
    }

    #[test]
    fn its_very_name_comes_first() {
        assert_eq!(finds("r.example", &["http://r.example", "r.example"]), Some(1));
    }

    #[test]
    fn another_registry_or_a_part_of_one_is_not_it() {
        for name in [
            "r.example:5000",
            "example",
            "r.example/team",
            "evil.r.example",
            "r.example.evil",
            "",
        ] {
            assert_eq!(finds("r.example", &[name]), None, "{name}");
        }
        assert_eq!(finds(HUB, &["hub.docker.io", "notdocker.io"]), None);
    }
}
