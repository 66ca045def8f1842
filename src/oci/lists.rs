//! Lists as a registry sends them: tags, and the referrers of a manifest (distribution-spec end-8 and end-12).
//!
//! Promises that an answer without its list is an error, never an empty list. Leaves out what nobody could ask for here:
//! a tag that is none, a digest by an unknown algorithm.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::digest::{Digest, InvalidDigest};
use super::json;
use super::json::InvalidJson;
use super::reference::Tag;

/// A manifest in a list of referrers. `Display` gives its descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    digest: Digest,
    artifact_type: Option<String>,
    descriptor: String,
}

/// Why a text is no list, or no entry of one.
#[derive(Debug, thiserror::Error)]
pub enum InvalidList {
    /// Not JSON, not an object, or without the list.
    #[error(transparent)]
    Json(#[from] InvalidJson),
    /// A descriptor without a digest that could be asked for.
    #[error("a descriptor without a legal digest")]
    Digest(#[from] InvalidDigest),
}

impl Listed {
    /// The manifest's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its descriptor, as JSON on one line.
    pub fn descriptor(&self) -> &str {
        &self.descriptor
    }

    /// What kind of thing it is, if the list says so.
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }
}

impl FromStr for Listed {
    type Err = InvalidList;

    fn from_str(descriptor: &str) -> Result<Self, InvalidList> {
        let fields: Map<String, Value> = json::parse(descriptor.as_bytes())?;
        let text = |key| fields.get(key).and_then(Value::as_str);
        Ok(Self {
            digest: text("digest").unwrap_or_default().parse()?,
            artifact_type: text("artifactType").map(str::to_owned),
            descriptor: Value::Object(fields).to_string(),
        })
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.descriptor)
    }
}

/// The tags of a tag list.
pub fn tags(body: &[u8]) -> Result<Vec<Tag>, InvalidList> {
    #[derive(Deserialize)]
    struct TagList<'a> {
        #[serde(borrow, deserialize_with = "present")]
        tags: Option<Vec<Cow<'a, str>>>,
    }
    let TagList { tags } = json::parse(body)?;
    Ok(tags.into_iter().flatten().filter_map(|tag| tag.parse().ok()).collect())
}

/// The manifests of an index that lists referrers.
pub fn referrers(body: &[u8]) -> Result<Vec<Listed>, InvalidList> {
    #[derive(Deserialize)]
    struct Index<'a> {
        #[serde(borrow, deserialize_with = "present")]
        manifests: Option<Vec<&'a RawValue>>,
    }
    let Index { manifests } = json::parse(body)?;
    let listed = manifests.into_iter().flatten().map(|raw| raw.get().parse());
    let askable =
        |entry: &Result<Listed, _>| !matches!(entry, Err(InvalidList::Digest(InvalidDigest::UnsupportedAlgorithm)));
    listed.filter(askable).collect()
}

/// A list that must stand there. Go writes an empty one as `null`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::Algorithm;

    fn names(body: &str) -> Vec<String> {
        let tags = tags(body.as_bytes()).unwrap();
        tags.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tags_are_read_and_what_is_none_is_left_out() {
        assert_eq!(
            names(r#"{"name":"a","tags":["b","a\u0031",".x","","a/b"]}"#),
            ["b", "a1"]
        );
        assert!(names(r#"{"tags":null}"#).is_empty(), "Go's empty list");
        assert!(names(r#"{"tags":[]}"#).is_empty());
    }

    #[test]
    fn an_answer_without_its_list_is_not_an_empty_list() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"tags":"a"}"#,
            r#"{"tags":[1]}"#,
            r#"{"manifests":{}}"#,
            "<html>",
        ] {
            assert!(tags(body.as_bytes()).is_err(), "{body}");
            assert!(referrers(body.as_bytes()).is_err(), "{body}");
        }
    }

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    #[test]
    fn a_referrer_keeps_all_that_its_descriptor_says_on_one_line() {
        let (one, two) = (digest("one"), digest("two"));
        let body = format!(
            "{{\"manifests\":[\n{{\"digest\":\"{one}\",\n  \"size\": 7,\"artifactType\":\"a/b\",\"annotations\":{{\"k\":\"x\\ny\"}},\"own\":[1]}},
             {{\"digest\":\"blake3:{}\",\"size\":1}}, {{\"digest\":\"{two}\"}}]}}",
            "0".repeat(64)
        );
        let read = referrers(body.as_bytes()).unwrap();
        let known: Vec<_> = read.iter().map(|it| (*it.digest(), it.artifact_type())).collect();
        assert_eq!(known, [(one, Some("a/b")), (two, None)]);
        let line = read[0].to_string();
        assert!(!line.contains('\n'), "{line}");
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["annotations"]["k"], "x\ny");
        assert_eq!((&told["own"][0], &told["size"]), (&Value::from(1), &Value::from(7)));
    }

    #[test]
    fn a_descriptor_without_a_legal_digest_is_an_error() {
        for entry in ["{}", r#"{"digest":"sha256:short"}"#, r#"{"digest":7}"#, "7", "null"] {
            let body = format!(r#"{{"manifests":[{entry}]}}"#);
            assert!(referrers(body.as_bytes()).is_err(), "{entry}");
        }
    }

    proptest! {
        #[test]
        fn print_inverts_parse(kind in ".{0,9}", value in ".{0,9}") {
            let descriptor = serde_json::json!({
                "digest": digest(&value).to_string(), "artifactType": kind, "annotations": { "k": value },
            });
            let listed: Listed = descriptor.to_string().parse().unwrap();
            prop_assert_eq!(listed.artifact_type(), Some(&*kind));
            prop_assert_eq!(listed.to_string().parse::<Listed>().unwrap(), listed);
        }
    }
}
