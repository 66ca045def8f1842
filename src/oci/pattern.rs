//! Patterns of names, such as `*`, `library/*` and `team/app-*`.
//!
//! Promises that of two different patterns that match one name, one is more specific: so a name has one home.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::{RepoName, is_component};

/// Name components, each of which may end in `*`. A last component `*` stands for one or more components, every other
/// component for exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Vec<Component>);

/// The text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no pattern: expected name components, each of which may end in `*`")]
pub struct InvalidPattern;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    Exactly(String),
    StartingWith(String),
}

impl Pattern {
    /// Whether the pattern claims the name.
    pub fn matches(&self, name: &RepoName) -> bool {
        self.fits(name.as_str())
    }

    /// As [`Pattern::matches`], of a name in whatever type it comes.
    pub(super) fn fits(&self, name: &str) -> bool {
        let mut names = name.split('/');
        let fits = self
            .0
            .iter()
            .all(|component| names.next().is_some_and(|name| component.matches(name)));
        fits && (names.next().is_none() || self.0.last().is_some_and(Component::is_anything))
    }

    /// Greater for the more specific of two patterns that match one name: at the first difference, exact beats `*`, and
    /// the longer beginning the shorter one; without any, more components beat fewer.
    pub fn specificity(&self) -> Vec<(bool, usize)> {
        let rank = |component: &Component| match component {
            Component::Exactly(text) => (true, text.len()),
            Component::StartingWith(text) => (false, text.len()),
        };
        self.0.iter().map(rank).collect()
    }

    /// The first component, if all names that match have the same.
    pub fn first_name(&self) -> Option<RepoName> {
        match self.0.first()? {
            Component::Exactly(text) => text.parse().ok(),
            Component::StartingWith(_) => None,
        }
    }
}

impl Component {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exactly(text) => name == text,
            Self::StartingWith(text) => name.starts_with(text),
        }
    }

    fn is_anything(&self) -> bool {
        *self == Self::StartingWith(String::new())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, component) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "/" })?;
            match component {
                Component::Exactly(text) => f.write_str(text)?,
                Component::StartingWith(text) => write!(f, "{text}*")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        text.split('/').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Component {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        match text.strip_suffix('*') {
            // Whatever may stand for the rest of a component: `a` makes `team-*` a legal name, and `*` too.
            Some(start) if start.is_empty() || is_component(&format!("{start}a")) => {
                Ok(Self::StartingWith(start.to_owned()))
            }
            None if is_component(text) => Ok(Self::Exactly(text.to_owned())),
            _ => Err(InvalidPattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn a_star_at_the_end_is_anything_below() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "a/b/c", true),
            ("library/*", "library/nginx", true),
            ("library/*", "library/a/b", true),
            ("library/*", "library", false),
            ("library/*", "libraryx/a", false),
            ("team-*", "team-a", true),
            ("team-*", "team-a/b", false),
            ("team-*/*", "team-a/b/c", true),
            ("*/app", "a/app", true),
            ("*/app", "a/b/app", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn refuses_what_no_name_could_match() {
        for text in [
            "", "/", "a/", "/a", "A", "a*b", "**", "*a", "-*", "a..*", "a b", "a:*", "_catalog",
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(InvalidPattern), "{text}");
        }
    }

    proptest! {
        #[test]
        fn of_two_patterns_one_is_more_specific(
            one in "[ab]{0,2}[*]?(/[ab]{0,2}[*]?){0,2}",
            other in "[ab]{0,2}[*]?(/[ab]{0,2}[*]?){0,2}",
            name in "[ab]{1,3}(/[ab]{1,3}){0,2}",
        ) {
            if let (Ok(one), Ok(other)) = (one.parse::<Pattern>(), other.parse::<Pattern>()) {
                let name = name.parse().unwrap();
                if one.matches(&name) && other.matches(&name) {
                    prop_assert_eq!(one == other, one.specificity() == other.specificity());
                }
            }
        }
    }
}
