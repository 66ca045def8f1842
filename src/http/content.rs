//! What the answers about blobs and manifests have in common.

use std::fmt;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::header::ETAG;
use http::header::LOCATION;

use crate::access::Caller;
use crate::http::body::Body;
use crate::http::conditions;
use crate::http::request::Head;
use crate::namespaces::Repo;
use crate::oci::Digest;
use crate::pull::Tally;
use crate::pull::Via;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// 201: `digest` is stored, and can be pulled from `location`.
pub(super) fn created(location: &str, digest: &Digest) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(LOCATION, value(&location));
    response.headers_mut().insert(DIGEST, value(digest));
    response
}

/// As a header's value; for what is visible ASCII by its type.
pub(super) fn value(of: &impl fmt::Display) -> HeaderValue {
    HeaderValue::try_from(of.to_string()).unwrap_or_else(|_impossible| HeaderValue::from_static(""))
}

/// A pull that has been admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) head: &'a Head,
    pub(super) caller: &'a Caller,
    pub(super) repo: &'a Repo,
    /// `?ns=`, where it decided what the name means.
    pub(super) ns: Option<&'a str>,
    pub(super) tally: &'a Tally,
}

/// An answer, and how it came about.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) via: Via,
}

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// What a digest names never changes.
    Forever,
    /// What a tag names may change at any moment.
    Unknown,
}

impl Lasting {
    fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Forever => "max-age=31536000, immutable",
            Self::Unknown => "no-cache",
        })
    }
}

impl Answer {
    /// 200 with `body`, unless the client has the content already: then 304, with the same headers (RFC 9110 15.4.5).
    pub(super) fn new(asked: Asked<'_>, digest: &Digest, lasting: Lasting, via: Via, body: Body) -> Self {
        let unchanged = conditions::has_already(&asked.head.headers, digest);
        let mut response = Response::new(if unchanged { Body::empty() } else { body });
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let mut answer = Self { response, via };
        answer.set(DIGEST, digest);
        answer.set(ETAG, conditions::etag(digest));
        answer.headers().insert(CACHE_CONTROL, lasting.cache_control());
        answer
    }

    pub(super) fn headers(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    /// Sets a header whose value is visible ASCII by its type; any other is left out.
    pub(super) fn set(&mut self, name: HeaderName, value: impl fmt::Display) {
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.headers().insert(name, value);
        }
    }
}
