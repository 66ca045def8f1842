//! Owns: where a list goes on: the `Link` header of one of its pages (RFC 8288; distribution-spec, "Listing Tags").
//!
//! Promises: of a link only the query is used, and only of one to the host that was asked: a list never leads elsewhere.
//! Port, scheme and path are not compared: a registry behind a proxy often has them wrong.
//! Never: takes a link that it cannot read for the end of the list.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

use super::fault::Fault;
use super::place::authority;

/// A longer query is no page's name.
const LONGEST: usize = 4 * 1024;

/// The query of the page behind the one at `page`; `None` behind the last. `host`: whom we asked, wherever it sent us.
pub(super) fn next(headers: &HeaderMap, page: &Url, host: &str) -> Result<Option<String>, Fault> {
    let values = headers.get_all(LINK).iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let next = values
        .iter()
        .flat_map(|value| links(value))
        .find(|(_, rest)| is_next(rest));
    next.map(|(target, _)| query(target, page, host)).transpose()
}

fn query(target: &str, page: &Url, host: &str) -> Result<String, Fault> {
    let to = page.join(target).map_err(|_malformed| Fault::BadLink)?;
    if ![page.host_str(), Some(host)].contains(&to.host_str()) {
        return Err(Fault::ForeignLink { host: authority(&to) });
    }
    let query = to.query().filter(|query| (1..=LONGEST).contains(&query.len()));
    query.map(str::to_owned).ok_or(Fault::BadLink)
}

/// Each `<target>` with its parameters.
fn links(header: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        let (parameters, next) = after.split_at(end(after));
        rest = next;
        Some((target, parameters))
    })
}

/// Where the parameters end: at a comma that is not in quotes.
fn end(text: &str) -> usize {
    let mut quoted = false;
    let comma = text.char_indices().find(|(_, char)| {
        quoted ^= *char == '"';
        *char == ',' && !quoted
    });
    comma.map_or(text.len(), |(at, _)| at)
}

fn is_next(parameters: &str) -> bool {
    let pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    let mut rel = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("rel"));
    rel.any(|(_, value)| {
        let mut kinds = value.trim().trim_matches('"').split_ascii_whitespace();
        kinds.any(|kind| kind.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    const PAGE: &str = "https://cdn.example/v2/a/tags/list?n=2";

    fn of(values: &[&str]) -> Result<Option<String>, Fault> {
        let values = values.iter().map(|value| (LINK, HeaderValue::from_str(value).unwrap()));
        next(&values.collect(), &Url::parse(PAGE).unwrap(), "registry.example")
    }

    #[test]
    fn the_next_pages_query_is_found() {
        for (header, query) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, "last=b&n=2"),
            ("<?last=b>; rel=next", "last=b"),
            (r#"<list?last=a%2Fb>;title="x, <y>; z";REL="prev NEXT""#, "last=a%2Fb"),
            (r#"<https://cdn.example/x?t=1>; rel="next""#, "t=1"),
            (r#"<http://registry.example:5000/other/path?t=1>; rel="next""#, "t=1"),
            (r#"</1?a>; rel="first", </2?b>; rel="next""#, "b"),
        ] {
            assert_eq!(of(&[header]), Ok(Some(query.to_owned())), "{header}");
        }
        assert_eq!(
            of(&[r#"</1?a>; rel="last""#, r#"</2?b>; rel="next""#]),
            Ok(Some("b".to_owned()))
        );
    }

    #[test]
    fn without_a_next_page_the_list_ends() {
        for header in [
            "",
            "<x?a>",
            r#"<x?a>; rel="prev""#,
            r#"<x?a>; title="rel=next""#,
            "next",
        ] {
            assert_eq!(of(&[header]), Ok(None), "{header}");
        }
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn a_link_elsewhere_is_not_followed_and_no_link_is_not_the_end() {
        for (target, host) in [
            ("https://evil.example/v2/a/tags/list?n=2", "evil.example"),
            ("//evil.example:81/?n=2", "evil.example:81"),
            ("http://registry.example.evil/?n=2", "registry.example.evil"),
            ("http://registry.example@127.0.0.1/?n=2", "127.0.0.1"),
        ] {
            let foreign = Fault::ForeignLink { host: host.to_owned() };
            assert_eq!(of(&[&format!("<{target}>; rel=next")]), Err(foreign), "{target}");
        }
        let long = format!("?{}", "a".repeat(5000));
        for target in ["/v2/a/tags/list", "?", "https://", "http://[::1", &long] {
            assert_eq!(of(&[&format!("<{target}>; rel=next")]), Err(Fault::BadLink), "{target}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(header in "[<>\",;= a-z?é/:]{0,40}") {
            let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_bytes(header.as_bytes()).unwrap())]);
            let _ = next(&headers, &Url::parse(PAGE).unwrap(), "registry.example");
        }
    }
}
