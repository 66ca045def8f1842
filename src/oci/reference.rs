//! Tags and references: how one manifest of a repository is asked for.

use std::fmt;
use std::str::FromStr;

use super::digest::{Digest, InvalidDigest};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// A tag or a digest. Whatever has a colon is a digest or an error, never a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// A name that its owner may move.
    Tag(Tag),
    /// The manifest itself.
    Digest(Digest),
}

/// The text is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed tag: expected 1 to 128 letters, digits, `_`, `.` or `-`, not beginning with `.` or `-`")]
pub struct InvalidTag;

/// Why a text is no reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It has no colon, and is no tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// It has a colon, and is no digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

impl Tag {
    /// The tag whose index lists the referrers of `subject` in registries that cannot list them (distribution-spec,
    /// "Referrers Tag Schema").
    pub fn of_referrers(subject: &Digest) -> Self {
        let (algorithm, encoded) = (subject.algorithm().as_str(), subject.encoded());
        Self(format!("{algorithm}-{}", &encoded[..encoded.len().min(64)]))
    }

    /// Whether it is such a tag, or one that signers make of it (`sha256-….sig`): it says something of a digest.
    pub fn is_about_a_digest(&self) -> bool {
        let encoded = |algorithm| self.0.strip_prefix(algorithm)?.get(..64);
        let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        ["sha256-", "sha512-"].into_iter().find_map(encoded).is_some_and(hex)
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let legal = matches!(text.len(), 1..=128)
            && !text.starts_with(['.', '-'])
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTag)
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn accepts_what_the_grammar_accepts() {
        let sig = format!("sha256-{}.sig", "a".repeat(64));
        for tag in [
            "a",
            "_",
            "__",
            "1.2.3",
            "latest",
            "A-b_C.d",
            "a..b",
            &sig,
            &"x".repeat(128),
        ] {
            assert_eq!(tag.parse::<Tag>().map(|it| it.to_string()), Ok(tag.to_owned()));
        }
    }

    #[test]
    fn refuses_what_the_grammar_refuses() {
        for tag in [
            "",
            ".INVALID_MANIFEST_NAME",
            "-x",
            "a/b",
            "a b",
            "a+b",
            "a\0",
            "é",
            "..",
            &"x".repeat(129),
        ] {
            assert_eq!(tag.parse::<Tag>(), Err(InvalidTag), "{tag:?}");
        }
    }

    #[test]
    fn a_colon_never_makes_a_tag() {
        for (text, why) in [
            ("sha256:totallywrong", InvalidDigest::Malformed),
            ("a:b:c", InvalidDigest::Malformed),
            ("a:b", InvalidDigest::UnsupportedAlgorithm),
            (":", InvalidDigest::Malformed),
        ] {
            assert_eq!(text.parse::<Reference>(), Err(InvalidReference::Digest(why)), "{text}");
        }
        assert_eq!("-x".parse::<Reference>(), Err(InvalidReference::Tag(InvalidTag)));
    }

    #[test]
    fn a_subject_has_a_tag_for_its_referrers() {
        let tag = |algorithm| Tag::of_referrers(&Digest::of(algorithm, b"")).to_string();
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tag(Algorithm::Sha256), format!("sha256-{sha256}"));
        let sha512 = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce";
        assert_eq!(tag(Algorithm::Sha512), format!("sha512-{sha512}"), "cut to 64 digits");
        assert_eq!(
            tag(Algorithm::Sha512).parse::<Tag>().map(|tag| tag.as_str().len()),
            Ok(71)
        );
        assert!(tag(Algorithm::Sha256).parse::<Tag>().unwrap().is_about_a_digest());
        assert!(tag(Algorithm::Sha512).parse::<Tag>().unwrap().is_about_a_digest());
    }

    #[test]
    fn signers_tags_are_about_a_digest_and_others_are_not() {
        let hex = "0f".repeat(32);
        for (tag, expected) in [
            (format!("sha256-{hex}.sig"), true),
            (format!("sha256-{hex}"), true),
            (format!("sha256-{}", &hex[1..]), false),
            (format!("sha1-{hex}"), false),
            (format!("sha256-{}", hex.to_uppercase()), false),
            ("sha256-v1".to_owned(), false),
        ] {
            assert_eq!(tag.parse::<Tag>().unwrap().is_about_a_digest(), expected, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn print_inverts_parse(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}|sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}") {
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(matches!(reference, Reference::Digest(_)), text.contains(':'));
            prop_assert_eq!(reference.to_string(), text);
        }

        #[test]
        fn whatever_parses_is_what_was_written(text in ".{0,20}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
