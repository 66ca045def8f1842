//! Patterns of tags, such as `latest`, `v*` and `*-nightly`.
//!
//! Owns their grammar: what a tag may be made of, and `*` for any number of characters, none included.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::reference::Tag;

/// Matches whole tags; a `*` stands for any part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagPattern(String);

/// The text is no pattern that a tag could match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no pattern of tags: expected letters, digits, `_`, `.`, `-`, and `*` for any of them")]
pub struct InvalidTagPattern;

impl TagPattern {
    /// Whether the pattern is this tag's.
    pub fn matches(&self, tag: &Tag) -> bool {
        let text = tag.as_str();
        let Some((start, rest)) = self.0.split_once('*') else {
            return text == self.0;
        };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let within = text.strip_prefix(start).and_then(|text| text.strip_suffix(end));
        // The first place for each part leaves the most for those behind it.
        let mut parts = middle.split('*');
        within.is_some_and(|within| {
            parts
                .try_fold(within, |left, part| left.split_once(part).map(|(_, left)| left))
                .is_some()
        })
    }
}

impl FromStr for TagPattern {
    type Err = InvalidTagPattern;

    fn from_str(text: &str) -> Result<Self, InvalidTagPattern> {
        // Whatever may stand for the stars: with `a` there, what is left must be a tag.
        let tag = text.replace('*', "a").parse::<Tag>();
        tag.map(|_| Self(text.to_owned())).map_err(|_| InvalidTagPattern)
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TagPattern {
    type Error = InvalidTagPattern;

    fn try_from(text: String) -> Result<Self, InvalidTagPattern> {
        text.parse()
    }
}

impl From<TagPattern> for String {
    fn from(pattern: TagPattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, tag: &str) -> bool {
        pattern.parse::<TagPattern>().unwrap().matches(&tag.parse().unwrap())
    }

    #[test]
    fn a_star_is_any_part_of_a_tag() {
        for (pattern, tag, expected) in [
            ("latest", "latest", true),
            ("latest", "latest1", false),
            ("*", "anything", true),
            ("v*", "v1.2.3", true),
            ("v*", "v", true),
            ("v*", "1.v", false),
            ("*-nightly", "1.2-nightly", true),
            ("*-nightly", "1.2-nightly.1", false),
            ("*.*.*", "1.2.3", true),
            ("*.*.*", "1.2", false),
            ("v*a*b", "vab", true),
            ("v*a*b", "vba", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
        ] {
            assert_eq!(matches(pattern, tag), expected, "{pattern} {tag}");
        }
    }

    #[test]
    fn refuses_what_no_tag_could_match() {
        for text in ["", "-v*", ".", "v*/a", "a:*", "a b", "[0-9]*", &"a".repeat(129)] {
            assert_eq!(text.parse::<TagPattern>(), Err(InvalidTagPattern), "{text}");
        }
    }

    /// The definition, a character at a time.
    fn by_definition(pattern: &[u8], tag: &[u8]) -> bool {
        match (pattern, tag) {
            ([], []) => true,
            ([b'*', rest @ ..], _) if by_definition(rest, tag) => true,
            ([b'*', ..], [_, left @ ..]) => by_definition(pattern, left),
            ([one, rest @ ..], [other, left @ ..]) => one == other && by_definition(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(pattern in "[ab*]{1,6}", tag in "[ab]{1,7}") {
            prop_assert_eq!(matches(&pattern, &tag), by_definition(pattern.as_bytes(), tag.as_bytes()));
        }
    }
}
