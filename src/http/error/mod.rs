//! What a client is told when it does not get what it asked for: the only file that knows which failure has which
//! status and which OCI code.
//!
//! Promises a body of the distribution specification's form, with the request's id, and for an upstream's failure the
//! mirror and the upstream's status. Never shows a path of this machine, and never a failure as an absence (P6).

mod pushed;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::ALLOW;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_RANGE;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use serde_json::Value;
use serde_json::json;

use crate::access::Denied;
use crate::http::body::Body;
use crate::http::content;
use crate::http::position;
use crate::http::record;
use crate::http::record::Record;
use crate::http::request::Malformed;
use crate::http::route;
use crate::namespaces::NotServed;
use crate::oci::ErrorCode;
use crate::oci::InvalidMediaType;
use crate::oci::Manifest;
use crate::pull;
use crate::pull::Verdict;
use crate::push::Position;
use crate::store::Error as StoreError;

/// How long a client is asked to wait when the upstream that throttles did not say.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// An answer other than the one asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    /// What only the log may say: the whole chain of causes.
    cause: Option<String>,
    with: Option<With>,
    upstream: Option<Upstream>,
    /// Digests of which each gets an error of its own.
    missing: Vec<String>,
}

/// The headers that belong to a status.
#[derive(Debug, Clone, PartialEq, Eq)]
enum With {
    Allow(&'static str),
    /// In seconds.
    RetryAfter(u64),
    /// The whole length, in bytes.
    ContentRange(u64),
    /// How far an upload is that can go on.
    Upload(Box<Position>),
}

/// The upstream's part in a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Upstream {
    /// Where it answered at all.
    status: Option<u16>,
}

impl Refusal {
    fn new(status: StatusCode, code: ErrorCode, message: String) -> Self {
        Self {
            status,
            code,
            message,
            cause: None,
            with: None,
            upstream: None,
            missing: Vec::new(),
        }
    }

    fn not_allowed(allow: &'static str, message: String) -> Self {
        let with = Some(With::Allow(allow));
        Self {
            with,
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, message)
        }
    }

    /// A push to a mirrored repository, or a delete there.
    pub(super) fn read_only(mirror: &str) -> Self {
        let message = format!("the mirror {mirror} can be pulled from, but not pushed to");
        Self::not_allowed("GET, HEAD", message)
    }

    /// A push, or a delete, where nothing can be kept.
    pub(super) fn takes_nothing() -> Self {
        let message = "this registry serves a store that is only read: push where it is written".to_owned();
        Self::not_allowed("GET, HEAD", message)
    }

    /// Nothing was ever pushed there.
    pub(super) fn no_such_repository(name: &dyn Display) -> Self {
        let message = format!("the repository {name} is not known here");
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message)
    }

    /// No byte of the ranges asked for is among the `length` bytes of the content (RFC 9110 section 15.5.17).
    pub(super) fn unsatisfiable(length: u64) -> Self {
        let message = format!("none of the ranges asked for lies within the {length} bytes");
        let with = Some(With::ContentRange(length));
        Self {
            with,
            ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::SizeInvalid, message)
        }
    }

    /// A manifest whose end was not waited for.
    pub(super) fn manifest_too_large() -> Self {
        let message = format!("a manifest may have {} bytes at most", Manifest::MAX_BYTES);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::ManifestInvalid, message)
    }

    /// A large manifest that others wait behind.
    pub(super) fn manifest_too_slow(within: Duration) -> Self {
        let message = format!("a manifest of this size must come in within {within:?}");
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::SizeInvalid, message)
    }

    /// RFC 4918 section 11.5. The specification has no code for it.
    fn full() -> Self {
        let message = "there is no room left on the disk of this registry".to_owned();
        Self::new(StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unavailable, message)
    }

    /// The store takes no changes before a restart.
    fn local_failure(error: &StoreError) -> Self {
        if error.is_closed() {
            let message = "the store takes no changes now; the log says more".to_owned();
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message);
        }
        let message = "the local store failed; the log says more".to_owned();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unavailable, message)
    }

    fn caused_by(mut self, status: Option<u16>) -> Self {
        self.upstream = Some(Upstream { status });
        self
    }

    pub(super) fn for_the_log(&self) -> &str {
        // Without a cause the message is about the request, and repeats some of it: up to a whole `?ns=`.
        self.cause.as_deref().unwrap_or_else(|| record::cut(&self.message))
    }

    /// The answer. For HEAD it has no body, and therefore no length.
    pub(super) fn respond(self, record: &Record, head: bool) -> Response<Body> {
        let body = if head {
            Body::empty()
        } else {
            Body::full(self.body(record).to_string())
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A 404 may be cached by default (RFC 9110 section 15.1), but what is absent now may be there in a moment.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.with.iter().flat_map(With::headers));
        response
    }

    fn body(&self, record: &Record) -> Value {
        let mut detail = json!({ "request_id": record.id() });
        if let Some(upstream) = self.upstream {
            detail["upstream"] = record.mirror().into();
            detail["upstream_status"] = upstream.status.into();
        }
        let error =
            |message: &str, detail: &Value| json!({ "code": self.code.as_str(), "message": message, "detail": detail });
        if self.missing.is_empty() {
            return json!({ "errors": [error(&self.message, &detail)] });
        }
        let each = self.missing.iter().map(|digest| {
            detail["digest"] = digest.as_str().into();
            error(&format!("{}: {digest}", self.message), &detail)
        });
        json!({ "errors": each.collect::<Vec<_>>() })
    }
}

impl With {
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Allow(methods) => vec![(ALLOW, HeaderValue::from_static(methods))],
            Self::RetryAfter(seconds) => vec![(RETRY_AFTER, (*seconds).into())],
            Self::ContentRange(length) => vec![(CONTENT_RANGE, content::value(&format!("bytes */{length}")))],
            Self::Upload(position) => position::headers(position).into(),
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        let status = match error {
            Malformed::TargetTooLong => StatusCode::URI_TOO_LONG,
            Malformed::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Malformed::Host => StatusCode::BAD_REQUEST,
        };
        Self::new(status, ErrorCode::Unsupported, error.to_string())
    }
}

impl From<route::Error> for Refusal {
    fn from(error: route::Error) -> Self {
        use route::Error;
        let bad_or_absent = |writing| {
            if writing {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::NOT_FOUND
            }
        };
        match error {
            Error::NotFound => Self::new(StatusCode::NOT_FOUND, ErrorCode::Unsupported, error.to_string()),
            Error::MethodNotAllowed { allow } => Self::not_allowed(allow, error.to_string()),
            Error::Encoding | Error::RepeatedNs => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, error.to_string())
            }
            Error::Name { writing, .. } => Self::new(bad_or_absent(writing), ErrorCode::NameInvalid, error.to_string()),
            Error::Tag { writing: true, .. } => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, error.to_string())
            }
            Error::Tag { writing: false, .. } => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, error.to_string())
            }
            Error::Page => Self::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, error.to_string()),
            Error::TagForTag => Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, error.to_string()),
            Error::TooManyTags => Self::new(StatusCode::URI_TOO_LONG, ErrorCode::ManifestInvalid, error.to_string()),
            Error::NoDigest | Error::Digest { .. } => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, error.to_string())
            }
        }
    }
}

impl From<NotServed> for Refusal {
    fn from(error: NotServed) -> Self {
        match error {
            NotServed::UnknownNs { .. }
            | NotServed::UnknownRegistry { .. }
            | NotServed::NoRepository { .. }
            | NotServed::Unclaimed { .. } => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, error.to_string())
            }
        }
    }
}

impl From<Denied> for Refusal {
    fn from(error: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, error.to_string())
    }
}

impl From<pull::Error> for Refusal {
    fn from(error: pull::Error) -> Self {
        use pull::Error;
        let message = error.to_string();
        let cause = Some(record::chain(&error));
        let refusal = match error {
            Error::NameUnknown(key) => Self::no_such_repository(&key),
            Error::NoManifest { .. } => Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, message),
            Error::NoBlob { .. } => Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, message),
            Error::ManifestUnknown { source, .. } => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, message).caused_by(source.status())
            }
            Error::BlobUnknown { source, .. } => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, message).caused_by(source.status())
            }
            Error::Upstream(source) => {
                by_verdict(source.verdict(), source.retry_after(), message).caused_by(source.status())
            }
            Error::Mismatch { .. } | Error::Length { .. } | Error::BadManifest { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, message).caused_by(None)
            }
            Error::Store(source) => Self::local_failure(&source),
            Error::Lost(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message),
        };
        Self { cause, ..refusal }
    }
}

impl From<InvalidMediaType> for Refusal {
    /// `Content-Type` of a manifest.
    fn from(error: InvalidMediaType) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, error.to_string())
    }
}

/// P6: 404 and 403 only where the upstream said so.
fn by_verdict(verdict: Verdict, retry_after: Option<Duration>, message: String) -> Refusal {
    let (status, code) = match verdict {
        Verdict::RepositoryAbsent => (StatusCode::NOT_FOUND, ErrorCode::NameUnknown),
        Verdict::RepositoryRefused => (StatusCode::FORBIDDEN, ErrorCode::Denied),
        Verdict::Throttled => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
        Verdict::Slow | Verdict::Offline => (StatusCode::GATEWAY_TIMEOUT, ErrorCode::Unavailable),
        Verdict::Broken | Verdict::Cut | Verdict::NoSuchRange => (StatusCode::BAD_GATEWAY, ErrorCode::Unavailable),
    };
    // Whole seconds, rounded up: earlier would be too early.
    let wait = retry_after.unwrap_or(RETRY_AFTER_DEFAULT) + Duration::from_nanos(999_999_999);
    let with = (verdict == Verdict::Throttled).then_some(With::RetryAfter(wait.as_secs()));
    Refusal {
        with,
        ..Refusal::new(status, code, message)
    }
}
