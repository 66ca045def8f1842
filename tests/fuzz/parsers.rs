//! Every parser of what strangers send, fed with any bytes. None may panic, and what one accepts has to be sound: it is
//! checked here. Each function tells whether the input was accepted.

use std::str;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use wharf::http::range::Outcome;
use wharf::http::{chunk, range, route};
use wharf::oci::{Algorithm, Digest, Manifest, Reference, RepoName};
use wharf::upstream::challenge::{self as challenges, Challenge};

/// A digest.
pub fn digest(data: &[u8]) -> bool {
    printed(data, |text| text.parse::<Digest>().ok())
}

/// A repository's name.
pub fn name(data: &[u8]) -> bool {
    printed(data, |text| text.parse::<RepoName>().ok())
}

/// A tag or a digest.
pub fn reference(data: &[u8]) -> bool {
    printed(data, |text| text.parse::<Reference>().ok())
}

/// A manifest of any kind, with all that is told of it.
pub fn manifest(data: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(Bytes::copy_from_slice(data), None, Algorithm::Sha256) else {
        return false;
    };
    assert_eq!(manifest.bytes(), data);
    assert_eq!(manifest.digest(), Digest::of(Algorithm::Sha256, data));
    assert!(manifest.media_type().is_manifest());
    assert!(manifest.named().count() <= Manifest::MAX_DESCRIPTORS);
    let again = Manifest::parse(manifest.bytes().clone(), Some(manifest.media_type()), Algorithm::Sha256);
    assert_eq!(again.unwrap().media_type(), manifest.media_type());
    if let Ok(Some(about)) = manifest.about() {
        assert_eq!(Some(about.subject), manifest.subject().map(|subject| subject.digest));
    }
    true
}

/// `Range`, behind a line with the length of the content.
pub fn range(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let (length, header) = text.split_once('\n').unwrap_or(("1000", text));
    let length = length.parse().unwrap_or(1000);
    match range::parse(Some(header), length) {
        Outcome::Whole => false,
        Outcome::Unsatisfiable => true,
        Outcome::Partial { ranges, completing } => {
            assert!(!ranges.is_empty());
            assert!(
                ranges
                    .iter()
                    .all(|range| range.start < range.end && range.end <= length)
            );
            let everything = ranges.first() == Some(&(0..length));
            assert!(completing || !everything);
            let mut sorted = ranges;
            sorted.sort_by_key(|range| range.start);
            assert!(sorted.windows(2).all(|pair| pair[0].end < pair[1].start));
            true
        }
    }
}

/// A request line without its version: the method, a space, path and query.
pub fn route(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else {
        return false;
    };
    route::parse(&method, uri.path(), uri.query()).is_ok()
}

/// Values of `WWW-Authenticate`, one a line.
pub fn challenge(data: &[u8]) -> bool {
    let challenge = challenges::find(&headers("www-authenticate", data));
    challenge.is_some_and(|challenge| {
        if let Challenge::Bearer(bearer) = &challenge {
            assert!(!bearer.realm.is_empty());
        }
        true
    })
}

/// Values of `Content-Range`, one a line.
pub fn content_range(data: &[u8]) -> bool {
    let span = chunk::span(&headers("content-range", data));
    span.is_ok_and(|span| {
        span.is_some_and(|span| {
            assert!(span.start < span.end);
            true
        })
    })
}

/// What is accepted is printed as it was written.
fn printed<T: ToString>(data: &[u8], parse: impl Fn(&str) -> Option<T>) -> bool {
    let Some((text, parsed)) = str::from_utf8(data).ok().and_then(|text| Some((text, parse(text)?))) else {
        return false;
    };
    assert_eq!(parsed.to_string(), text);
    true
}

fn headers(name: &'static str, data: &[u8]) -> HeaderMap {
    let values = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value);
    }
    headers
}
