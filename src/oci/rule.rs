//! Rules about what a registry has: names, and perhaps tags, such as `library/*`, `org/app` and `library/alpine:3*`.
//!
//! Promises that a rule which parses can match. Never decides what follows from a match.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::RemoteName;
use super::pattern::Pattern;
use super::reference::Tag;
use super::repo_key::RepoKey;
use super::tag_pattern::TagPattern;

/// A pattern of names; without tags, it is about all that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    names: Pattern,
    tags: Option<TagPattern>,
}

/// The text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule: expected a pattern of names, perhaps with `:` and a pattern of tags")]
pub struct InvalidRule;

impl Rule {
    /// Whether it is about this repository, or about some of its tags.
    pub fn concerns(&self, repository: &RemoteName) -> bool {
        self.names.fits(repository.as_str())
    }

    /// As [`Rule::concerns`], of a repository as the store knows it: with its mirror's key in front. An official image of
    /// Docker Hub goes by its short name too.
    pub(super) fn concerns_key(&self, repository: &RepoKey) -> bool {
        let short = repository.without_library();
        self.names.fits(repository.as_str()) || short.is_some_and(|short| self.names.fits(&short))
    }

    /// The first component, if all names that match have the same.
    pub(super) fn first_name(&self) -> Option<String> {
        self.names.first_name().map(|name| name.to_string())
    }

    /// Whether it is about some tags only.
    pub fn names_tags(&self) -> bool {
        self.tags.is_some()
    }

    /// Whether it is about this tag, where it is about the repository.
    pub fn covers(&self, tag: &Tag) -> bool {
        self.tags.as_ref().is_none_or(|tags| tags.matches(tag))
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        // A name has no colon.
        let (names, tags) = match text.split_once(':') {
            Some((names, tags)) => (names, Some(tags.parse().map_err(|_no_pattern| InvalidRule)?)),
            None => (text, None),
        };
        let names = names.parse().map_err(|_no_pattern| InvalidRule)?;
        Ok(Self { names, tags })
    }
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.fmt(f)?;
        match &self.tags {
            None => Ok(()),
            Some(tags) => write!(f, ":{tags}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_about_names_and_perhaps_tags() {
        for (rule, name, tag, expected) in [
            ("*", "a/b/c", "v1", true),
            ("library/*", "library/alpine", "v1", true),
            ("library/*", "org/app", "v1", false),
            ("org/app", "org/app", "v1", true),
            ("org/app", "org/app/x", "v1", false),
            ("library/alpine:3*", "library/alpine", "3", true),
            ("library/alpine:3*", "library/alpine", "3.20", true),
            ("library/alpine:3*", "library/alpine", "edge", false),
            ("library/alpine:3*", "library/nginx", "3.20", false),
            ("*:latest", "a/b", "latest", true),
            ("*:latest", "a/b", "latest2", false),
            ("*:*", "a/b", "v1", true),
            ("*:*-rc*", "a/b", "v1-rc2", true),
            ("*:*-rc*", "a/b", "v1", false),
        ] {
            let parsed: Rule = rule.parse().unwrap();
            let (name, tag) = (name.parse().unwrap(), tag.parse().unwrap());
            assert_eq!(
                parsed.concerns(&name) && parsed.covers(&tag),
                expected,
                "{rule} {name}:{tag}"
            );
            assert_eq!(parsed.names_tags(), rule.contains(':'), "{rule}");
            assert_eq!(parsed.to_string(), rule);
        }
    }

    #[test]
    fn refuses_what_could_never_match() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        for text in [
            "", ":", ":v1", "a:", "a:b:c", "A", "a:-*", "a:.x", "a/:v1", "a b", &digest,
        ] {
            assert_eq!(text.parse::<Rule>(), Err(InvalidRule), "{text}");
        }
    }
}
