//! Repository names: what a client says, and what an upstream is asked.
//!
//! Owns the grammar of `<name>` (distribution-spec, "Pulling manifests"). Never decides where a name leads: that is
//! `namespaces`.

use std::fmt;
use std::str::FromStr;

/// A repository name as a client said it: `/`-separated components, at most [`RepoName::MAX_CHARS`] long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName(String);

/// A repository name as an upstream is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteName(String);

/// Why a text is no repository name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Longer than [`RepoName::MAX_CHARS`].
    #[error("repository name longer than {} characters", RepoName::MAX_CHARS)]
    TooLong,
    /// Outside the grammar.
    #[error(
        "malformed repository name: expected lower-case letters and digits, separated by one `.`, one or two `_`, any number of `-`, or `/`"
    )]
    Malformed,
}

impl RepoName {
    /// The longest name that is accepted, in characters (distribution-spec: many clients limit host and name to this).
    pub const MAX_CHARS: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first component: all of the name when it has one only.
    pub fn first(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(first, _)| first)
    }

    /// The name without its first component; `None` when nothing is left.
    pub fn rest(&self) -> Option<RepoName> {
        self.0.split_once('/').map(|(_, rest)| RepoName(rest.to_owned()))
    }

    /// The components from left to right; at least one.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl RemoteName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Docker Hub's full name of an official image: a single component gets `library/` in front.
    #[must_use]
    pub fn library(self) -> Self {
        if self.0.contains('/') {
            self
        } else {
            Self(format!("library/{}", self.0))
        }
    }

    /// Docker Hub's short name of an official image; `None` for all that is none.
    pub fn without_library(&self) -> Option<Self> {
        let short = self.0.strip_prefix("library/").filter(|rest| !rest.contains('/'));
        short.map(|short| Self(short.to_owned()))
    }
}

impl FromStr for RepoName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // Bytes are characters here: whatever is not ASCII is refused by the grammar.
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidName::TooLong);
        }
        parse(text).map(Self)
    }
}

impl FromStr for RemoteName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        parse(text).map(Self)
    }
}

impl From<RepoName> for RemoteName {
    fn from(name: RepoName) -> Self {
        Self(name.0)
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is one component of a name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`. A mirror's key has to be one.
pub fn is_component(text: &str) -> bool {
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text
            .split(is_alphanumeric)
            .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

/// The name in `text`, however long.
pub(super) fn parse(text: &str) -> Result<String, InvalidName> {
    if text.split('/').all(is_component) {
        Ok(text.to_owned())
    } else {
        Err(InvalidName::Malformed)
    }
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_what_the_grammar_accepts() {
        for name in [
            "a",
            "0",
            "a/b/c/d/e",
            "a.b",
            "a_b",
            "a__b",
            "a---b",
            "a-b.c_d__e/f",
            "blobs",
            "tags/list",
            "docker.io/library/nginx",
        ] {
            assert_eq!(name.parse::<RepoName>().map(|it| it.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn refuses_what_the_grammar_refuses() {
        for name in [
            "", "A", "-a", "a-", "a..b", "a___b", "a._b", "a-_b", "a//b", "/a", "a/", "/", ".", "..", "a/../b",
            "_catalog", "a:b", "a b", "a\0b", "é", "aé", "a\n",
        ] {
            assert_eq!(name.parse::<RepoName>(), Err(InvalidName::Malformed), "{name:?}");
        }
    }

    #[test]
    fn ends_at_255_characters() {
        assert!("a".repeat(255).parse::<RepoName>().is_ok());
        assert_eq!("a".repeat(256).parse::<RepoName>(), Err(InvalidName::TooLong));
    }

    #[test]
    fn comes_apart_at_its_slashes() {
        let name: RepoName = "quay.io/org/app".parse().unwrap();
        assert_eq!(name.first(), "quay.io");
        assert_eq!(name.rest(), Some("org/app".parse().unwrap()));
        assert_eq!(name.components().collect::<Vec<_>>(), ["quay.io", "org", "app"]);
        let bare: RepoName = "app".parse().unwrap();
        assert_eq!((bare.first(), bare.rest()), ("app", None));
    }

    #[test]
    fn library_stands_before_single_components_only() {
        let remote = |text: &str| {
            RemoteName::from(text.parse::<RepoName>().unwrap())
                .library()
                .to_string()
        };
        assert_eq!(remote("nginx"), "library/nginx");
        assert_eq!(remote("grafana/grafana"), "grafana/grafana");
        assert_eq!(remote("library/nginx"), "library/nginx");
    }

    #[test]
    fn only_an_official_image_has_a_short_name() {
        for (name, expected) in [
            ("library/nginx", Some("nginx")),
            ("library/nginx/x", None),
            ("nginx", None),
            ("librarian/nginx", None),
        ] {
            let short = name.parse::<RemoteName>().unwrap().without_library();
            assert_eq!(short.as_ref().map(RemoteName::as_str), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn print_inverts_parse(text in r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}(/[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}){0,4}") {
            prop_assert_eq!(text.parse::<RepoName>().unwrap().to_string(), text.clone());
            prop_assert_eq!(text.parse::<RemoteName>().unwrap().to_string(), text);
        }

        #[test]
        fn agrees_with_a_naive_reading(text in "[a-bA/._-]{0,10}") {
            prop_assert_eq!(text.parse::<RepoName>().is_ok(), text.split('/').all(naive));
        }
    }

    /// The grammar read letter by letter, as a state machine.
    fn naive(component: &str) -> bool {
        let mut separator = String::from("start");
        for c in component.chars() {
            match c {
                'a'..='z' | '0'..='9' => separator.clear(),
                '.' | '_' | '-' => {
                    separator.push(c);
                    let legal = separator == "."
                        || separator == "_"
                        || separator == "__"
                        || separator.trim_matches('-').is_empty();
                    if !legal {
                        return false;
                    }
                }
                _ => return false,
            }
        }
        separator.is_empty()
    }
}
