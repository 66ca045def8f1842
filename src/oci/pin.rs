//! What is never to be evicted, such as `docker.io/library/alpine:3*`, `quay.io/org/app` and `ghcr.io/org/app@sha256:…`.
//!
//! Promises that a pin which parses can match. Never decides what follows from a match.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::reference::Tag;
use super::repo_key::RepoKey;
use super::rule::Rule;

/// Names repositories as the store does, by their mirror's key, and of these all that they have, some tags, or one digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin(Of);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Rule(Rule),
    Digest(RepoKey, Digest),
}

/// The text is no pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no pin: expected a pattern of names that begins with a mirror's key, perhaps with `:` and a pattern of tags, or a name with `@` and a digest"
)]
pub struct InvalidPin;

impl Pin {
    /// The digest, if it is about one.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.0 {
            Of::Rule(_) => None,
            Of::Digest(_, digest) => Some(digest),
        }
    }

    /// Whether all that the repository has is pinned.
    pub fn holds_all_of(&self, repository: &RepoKey) -> bool {
        self.rule_for(repository).is_some_and(|rule| !rule.names_tags())
    }

    /// Whether some tags of the repository are pinned, or all that it has.
    pub fn concerns(&self, repository: &RepoKey) -> bool {
        self.rule_for(repository).is_some()
    }

    /// Whether what the repository's tag points to is pinned.
    pub fn holds(&self, repository: &RepoKey, tag: &Tag) -> bool {
        self.rule_for(repository).is_some_and(|rule| rule.covers(tag))
    }

    /// The first component that all its repositories have: the mirror's key. `None` when they may have several.
    pub fn first_name(&self) -> Option<String> {
        match &self.0 {
            Of::Rule(rule) => rule.first_name(),
            Of::Digest(repository, _) => repository.as_str().split('/').next().map(str::to_owned),
        }
    }

    fn rule_for(&self, repository: &RepoKey) -> Option<&Rule> {
        match &self.0 {
            Of::Rule(rule) if rule.concerns_key(repository) => Some(rule),
            Of::Rule(_) | Of::Digest(..) => None,
        }
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        // It would be a name with a tag.
        if text.parse::<Digest>().is_ok() {
            return Err(InvalidPin);
        }
        let of = match text.split_once('@') {
            Some((name, digest)) => name
                .parse()
                .ok()
                .zip(digest.parse().ok())
                .map(|(a, b)| Of::Digest(a, b)),
            None => text.parse().ok().map(Of::Rule),
        };
        of.map(Self).ok_or(InvalidPin)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Of::Rule(rule) => rule.fmt(f),
            Of::Digest(repository, digest) => write!(f, "{repository}@{digest}"),
        }
    }
}

impl TryFrom<String> for Pin {
    type Error = InvalidPin;

    fn try_from(text: String) -> Result<Self, InvalidPin> {
        text.parse()
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_about_tags_about_all_or_about_a_digest() {
        for (pin, repository, tag, expected) in [
            ("docker.io/library/alpine:*", "docker.io/library/alpine", "3", true),
            ("docker.io/library/alpine:3*", "docker.io/library/alpine", "edge", false),
            ("docker.io/library/*", "docker.io/library/alpine", "3", true),
            ("docker.io/library/alpine", "quay.io/library/alpine", "3", false),
            ("docker.io/*:latest", "docker.io/org/app", "latest", true),
            // As people say it.
            ("docker.io/alpine:3", "docker.io/library/alpine", "3", true),
            ("docker.io/alpine:3", "docker.io/org/alpine", "3", false),
        ] {
            let (parsed, repository): (Pin, RepoKey) = (pin.parse().unwrap(), repository.parse().unwrap());
            assert_eq!(parsed.holds(&repository, &tag.parse().unwrap()), expected, "{pin}");
            assert_eq!(
                parsed.holds_all_of(&repository),
                expected && !pin.contains(':'),
                "{pin}"
            );
            assert_eq!(parsed.digest(), None);
            assert_eq!(parsed.to_string(), pin);
            assert_eq!(parsed.first_name().as_deref(), Some("docker.io"));
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let pin: Pin = format!("docker.io/library/alpine@{digest}").parse().unwrap();
        assert_eq!(pin.digest().unwrap().to_string(), digest);
        assert!(
            !pin.concerns(&"docker.io/library/alpine".parse().unwrap()),
            "it is about no tag"
        );
        assert_eq!("*".parse::<Pin>().unwrap().first_name(), None);
    }

    #[test]
    fn refuses_what_could_never_match() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let wrong = [
            String::new(),
            "docker.io/Alpine".to_owned(),
            "docker.io/a:b:c".to_owned(),
            "https://docker.io/a".to_owned(),
            "docker.io/a@sha256:0".to_owned(),
            "docker.io/a@latest".to_owned(),
            format!("docker.io/*@{digest}"),
            format!("docker.io/a:v1@{digest}"),
            digest,
        ];
        for text in wrong {
            assert_eq!(text.parse::<Pin>(), Err(InvalidPin), "{text}");
        }
    }
}
