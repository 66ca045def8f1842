//! Conditional requests (RFC 9110 section 13), where the entity tag is the quoted digest.

use http::HeaderMap;
use http::HeaderName;
use http::header::IF_MATCH;
use http::header::IF_NONE_MATCH;
use http::header::IF_RANGE;

use crate::oci::Digest;
use crate::push::Conditions;
use crate::push::Entities;

/// The strong entity tag of content: its digest, quoted.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// The conditions of a push. A weak tag is no `If-Match` (section 13.1.1), and what is no digest matches nothing.
pub(super) fn of_push(headers: &HeaderMap) -> Conditions {
    Conditions {
        if_match: entities(headers, &IF_MATCH, |tag| tag.strip_prefix("W/").is_none()),
        if_none_match: entities(headers, &IF_NONE_MATCH, |_| true),
    }
}

fn entities(headers: &HeaderMap, name: &HeaderName, counts: impl Fn(&str) -> bool) -> Option<Entities> {
    let tags: Vec<&str> = tags(headers, name).collect();
    if tags.contains(&"*") {
        return Some(Entities::Any);
    }
    let digests = tags.iter().filter(|tag| counts(tag));
    let digests = digests.filter_map(|tag| opaque(tag).parse().ok()).collect();
    headers.contains_key(name).then_some(Entities::These(digests))
}

/// The entity tags in all headers of this name.
fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Whether the client has the content already (`If-None-Match`), which makes the answer a 304.
/// Quotes are optional, because Docker's clients leave them out; the comparison is weak, as it must be here.
pub(super) fn has_already(headers: &HeaderMap, digest: &Digest) -> bool {
    let digest = digest.to_string();
    tags(headers, &IF_NONE_MATCH).any(|tag| tag == "*" || opaque(tag) == digest)
}

/// Whether `Range` counts: `If-Range` is absent, or names exactly this content. A date never does: there are none here.
pub(super) fn range_counts(headers: &HeaderMap, digest: &Digest) -> bool {
    headers
        .get(IF_RANGE)
        .is_none_or(|tag| tag.as_bytes() == etag(digest).as_bytes())
}

fn opaque(tag: &str) -> &str {
    let strong = tag.strip_prefix("W/").unwrap_or(tag);
    strong
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or(strong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    fn digest() -> Digest {
        Digest::of(Algorithm::Sha256, b"content")
    }

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn if_none_match_in_all_its_forms() {
        let digest = digest();
        let other = Digest::of(Algorithm::Sha256, b"other");
        let cases: [(&[&str], bool); 9] = [
            (&[], false),
            (&["*"], true),
            (&[&format!("\"{digest}\"")], true),
            (&[&format!("{digest}")], true),
            (&[&format!("W/\"{digest}\"")], true),
            (&[&format!("\"{other}\"")], false),
            (&[&format!("\"{other}\" , \"{digest}\"")], true),
            (&["\"a\"", &format!("\"{digest}\"")], true),
            (&["\"", "W/", ",,"], false),
        ];
        for (values, expected) in cases {
            assert_eq!(
                has_already(&headers(&IF_NONE_MATCH, values), &digest),
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_range_counts_only_for_the_same_content() {
        let digest = digest();
        let cases: [(&[&str], bool); 5] = [
            (&[], true),
            (&[&format!("\"{digest}\"")], true),
            (&[&format!("W/\"{digest}\"")], false),
            (&[&format!("{digest}")], false),
            (&["Sat, 21 Nov 2026 10:00:00 GMT"], false),
        ];
        for (values, expected) in cases {
            assert_eq!(
                range_counts(&headers(&IF_RANGE, values), &digest),
                expected,
                "{values:?}"
            );
        }
    }
}
