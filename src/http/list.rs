//! What the answers with lists have in common: a body that says what it is, and where the rest of a long list is.
//!
//! Promises a `Link` that holds behind any proxy: relative, percent-encoded, and only where more follows (RFC 8288).

use http::HeaderValue;
use http::Response;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_TYPE;
use http::header::LINK;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use crate::http::body::Body;
use crate::http::limits;
use crate::http::route::Page;

/// RFC 3986 section 2.3: everything but the unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// 200 with a list, of which `next` is the rest.
pub(super) fn answer(content_type: &'static str, body: String, next: Option<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let next = next.and_then(|next| HeaderValue::try_from(next).ok());
    headers.extend(next.map(|next| (LINK, next)));
    response
}

/// As [`answer`], of a list that is not more than JSON.
pub(super) fn json(body: &Value, next: Option<String>) -> Response<Body> {
    answer("application/json", body.to_string(), next)
}

/// How many entries a page has.
pub(super) fn limit(page: &Page) -> usize {
    page.n.unwrap_or(limits::PAGE).min(limits::PAGE)
}

/// The `Link` to the page of `limit` entries behind `last`. Behind a page that is empty as it was asked to be, there is
/// none: it would lead to itself.
pub(super) fn next_page(path: &str, limit: usize, last: Option<&str>, ns: Option<&str>) -> Option<String> {
    last.map(|last| next(path, &[("last", last), ("n", &limit.to_string())], ns))
}

/// The `Link` to `path` with these parameters, and with the `ns` that decided what the name in it means.
pub(super) fn next(path: &str, query: &[(&str, &str)], ns: Option<&str>) -> String {
    let ns = ns.map(|ns| ("ns", ns));
    let pairs = query.iter().copied().chain(ns);
    let pairs = pairs.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, ENCODED)));
    format!("<{path}?{}>; rel=\"next\"", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_relative_and_survives_any_value() {
        assert_eq!(
            next(
                "/v2/a/referrers/x",
                &[("artifactType", "a/b+c"), ("last", "sha256:é&\"")],
                Some("quay.io:443")
            ),
            "</v2/a/referrers/x?artifactType=a%2Fb%2Bc&last=sha256%3A%C3%A9%26%22&ns=quay.io%3A443>; rel=\"next\""
        );
    }

    #[test]
    fn a_page_is_as_long_as_asked_for_and_no_longer_than_allowed() {
        let page = |n| Page { n, last: None };
        assert_eq!(limit(&page(None)), limits::PAGE);
        assert_eq!(limit(&page(Some(0))), 0);
        assert_eq!(limit(&page(Some(limits::PAGE + 1))), limits::PAGE);
    }

    #[test]
    fn an_empty_page_leads_nowhere() {
        assert_eq!(next_page("/v2/_catalog", 0, None, None), None);
        assert_eq!(
            next_page("/v2/_catalog", 7, Some("a/b"), None).unwrap(),
            "</v2/_catalog?last=a%2Fb&n=7>; rel=\"next\""
        );
    }
}
