//! One request on its way through this layer: its head, who sent it, and its log line.
//!
//! Promises that what hyper lets pass and HTTP or our limits do not is refused here, before anything else looks at it.

use http::HeaderMap;
use http::HeaderName;
use http::Method;
use http::Uri;
use http::Version;
use http::header::CACHE_CONTROL;
use http::header::FORWARDED;
use http::header::HOST;
use http::header::VIA;
use http::request::Parts;
use http::uri::Authority;

use crate::http::limits;
use crate::pull::Check;

/// What proxies tell of whom they ask for: RFC 7239, RFC 9110 section 7.6.3, and what is older than both.
const BY_PROXIES: [HeaderName; 5] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];

/// A request that is refused whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// RFC 9110 section 4.1.
    #[error("the request target is longer than {} bytes", limits::REQUEST_TARGET)]
    TargetTooLong,
    /// RFC 6585 section 5.
    #[error("the headers are larger than {} bytes", limits::HEADERS)]
    HeadersTooLarge,
    /// RFC 9112 section 3.2.
    #[error("an HTTP/1.1 request needs one Host header")]
    Host,
}

/// A request's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) version: Version,
}

impl Head {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            method,
            uri,
            headers,
            version,
            ..
        } = parts;
        Self {
            method,
            uri,
            headers,
            version,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// Whether the client is too old to see where a body without a length ends, or that it was cut.
    pub(super) fn needs_length(&self) -> bool {
        self.version <= Version::HTTP_10
    }

    /// Whether the client insists on what the upstream says now (RFC 9111 section 5.2.1.4).
    pub(super) fn wants(&self) -> Check {
        let lines = self.headers.get_all(CACHE_CONTROL).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let mut directives = lines.flat_map(|line| line.split(','));
        if directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-cache")) {
            Check::Now
        } else {
            Check::WhenDue
        }
    }

    /// Whether a proxy sends it for somebody else. One that does not say so cannot be told from a client.
    pub(super) fn is_forwarded(&self) -> bool {
        BY_PROXIES.iter().any(|name| self.headers.contains_key(name))
    }

    /// The host that the client means to talk to. An absolute request target outranks the header (RFC 9112 3.2.2).
    pub(super) fn host(&self) -> Option<&str> {
        let header = || self.headers.get(HOST)?.to_str().ok();
        self.uri.authority().map(Authority::as_str).or_else(header)
    }

    pub(super) fn check(&self) -> Result<(), Malformed> {
        if target_length(&self.uri) > limits::REQUEST_TARGET {
            return Err(Malformed::TargetTooLong);
        }
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4);
        if headers.sum::<usize>() > limits::HEADERS {
            return Err(Malformed::HeadersTooLarge);
        }
        let hosts = self.headers.get_all(HOST).iter().count();
        if hosts > 1 || hosts == 0 && !self.needs_length() {
            return Err(Malformed::Host);
        }
        Ok(())
    }
}

fn target_length(uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    authority + uri.path().len() + uri.query().map_or(0, |query| query.len() + 1)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Builder;

    use super::*;

    fn head(request: Builder) -> Head {
        Head::new(request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let to = |path_bytes: usize| {
            let path = format!("/{}", "a".repeat(path_bytes - 1));
            head(Request::get(path).header(HOST, "h")).check()
        };
        assert_eq!(to(limits::REQUEST_TARGET), Ok(()));
        assert_eq!(to(limits::REQUEST_TARGET + 1), Err(Malformed::TargetTooLong));
        let with = |bytes: usize| {
            // "host: h" and "a: …", each with its line end.
            let value = "b".repeat(bytes - (4 + 1 + 4) - (1 + 4));
            head(Request::get("/").header(HOST, "h").header("a", value)).check()
        };
        assert_eq!(with(limits::HEADERS), Ok(()));
        assert_eq!(with(limits::HEADERS + 1), Err(Malformed::HeadersTooLarge));
    }

    #[test]
    fn one_host_is_needed_from_http_1_1_on() {
        let get = || Request::get("/v2/");
        assert_eq!(head(get()).check(), Err(Malformed::Host));
        assert_eq!(
            head(get().header(HOST, "a").header(HOST, "a")).check(),
            Err(Malformed::Host)
        );
        assert_eq!(head(get().version(Version::HTTP_10)).check(), Ok(()));
        assert_eq!(head(get().header(HOST, "")).check(), Ok(()));
    }

    #[test]
    fn no_cache_is_a_directive_among_others() {
        let check = |lines: &[&str]| {
            let get = lines
                .iter()
                .fold(Request::get("/"), |get, line| get.header(CACHE_CONTROL, *line));
            head(get).wants()
        };
        for lines in [
            &["no-cache"][..],
            &["No-Cache"],
            &["max-age=0 , no-cache"],
            &["max-age=0", "no-cache"],
        ] {
            assert_eq!(check(lines), Check::Now, "{lines:?}");
        }
        for lines in [&[][..], &["no-store"], &["no-cache-ever"], &["max-age=0"]] {
            assert_eq!(check(lines), Check::WhenDue, "{lines:?}");
        }
    }

    #[test]
    fn an_absolute_target_says_the_host() {
        let absolute = head(Request::get("http://a.example:5000/v2/").header(HOST, "b.example"));
        assert_eq!(absolute.host(), Some("a.example:5000"));
        assert_eq!(
            head(Request::get("/v2/").header(HOST, "b.example")).host(),
            Some("b.example")
        );
        assert_eq!(head(Request::get("/v2/")).host(), None);
    }
}
