//! Owns: every way in which asking an upstream can end badly, in words fit for an OCI error body.
//!
//! Promises: each `Display` is one line that names the upstream's host, the status if there was one, and the cause.
//! Never: a query string (redirect targets are signed), a token, a header that a client sent.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// Why an upstream did not give what was asked. Cheap to clone, because a herd shares one ending.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer: the name did not resolve, nothing listened, TLS failed, or the connection broke first.
    #[error("{at} cannot be reached: {step}: {cause}")]
    Unreachable {
        /// Who was asked.
        at: Place,
        /// How far we came.
        step: Step,
        /// The innermost reason.
        #[source]
        cause: Cause,
    },
    /// A deadline of the mirror passed.
    #[error("{at} was too slow: {phase} within {within:?}")]
    Timeout {
        /// Who was asked.
        at: Place,
        /// What did not happen in time.
        phase: Phase,
        /// The deadline.
        within: Duration,
    },
    /// The upstream has no such repository, manifest or blob.
    #[error("{at} answered {status}: {how}")]
    Absent {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// How it was said.
        how: Absence,
    },
    /// The upstream wants to know who asks, and nobody told wharf what to say.
    #[error(
        "{at} answered {status}: it demands credentials, and wharf has none configured for mirror \"{mirror}\""
    )]
    Refused {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// The key of the mirror whose credentials are missing.
        mirror: String,
    },
    /// The upstream counts our requests (429).
    #[error("{at} answered 429: too many requests{}", retry(*retry_after))]
    Throttled {
        /// Who answered.
        at: Place,
        /// `Retry-After`, counted from the answer.
        retry_after: Option<Duration>,
    },
    /// The upstream is in trouble: 5xx, 408, or a redirect target that refuses what the registry had allowed.
    #[error("{at} answered {status}")]
    Failed {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
    },
    /// An answer that must not be used or followed.
    #[error("{at} {}: {fault}", answered(*status))]
    Unusable {
        /// Who answered.
        at: Place,
        /// With which status, where the answer had come so far.
        status: Option<u16>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The body ended before its end. What arrived is as good as its digest.
    #[error("{at} broke off after {got} bytes{}{}", of(*promised), because(cause.as_ref()))]
    Cut {
        /// Who sent it.
        at: Place,
        /// Bytes of this body that arrived.
        got: u64,
        /// Bytes that were promised.
        promised: Option<u64>,
        /// What the connection said, if it did not just end.
        #[source]
        cause: Option<Cause>,
    },
    /// 416: the blob has no such bytes.
    #[error("{at} answered 416: it does not have the range asked for")]
    RangeNotSatisfiable {
        /// Who answered.
        at: Place,
        /// The blob's whole length in bytes, if it was told.
        total: Option<u64>,
    },
}

/// What a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// About this repository only: it, or the object in it, is not there.
    RepositoryAbsent,
    /// About this repository only: not without credentials.
    RepositoryRefused,
    /// Not now; see [`Error::retry_after`].
    Throttled,
    /// A deadline passed before the answer.
    Slow,
    /// The upstream failed or answered nonsense.
    Broken,
    /// The body stopped half way: what arrived counts, ask for the rest.
    Cut,
    /// The range asked for does not exist.
    NoSuchRange,
}

impl Error {
    /// What to do about it, without the particulars.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Absent { .. } => Verdict::RepositoryAbsent,
            Self::Refused { .. } => Verdict::RepositoryRefused,
            Self::Throttled { .. } => Verdict::Throttled,
            Self::Timeout {
                phase: Phase::Silence,
                ..
            }
            | Self::Cut { .. } => Verdict::Cut,
            Self::Timeout { .. } => Verdict::Slow,
            Self::Unreachable { .. } | Self::Failed { .. } | Self::Unusable { .. } => {
                Verdict::Broken
            }
            Self::RangeNotSatisfiable { .. } => Verdict::NoSuchRange,
        }
    }

    /// The status that the upstream answered with, if it answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Cut { .. } => None,
            Self::Absent { status, .. }
            | Self::Refused { status, .. }
            | Self::Failed { status, .. } => Some(*status),
            Self::Throttled { .. } => Some(429),
            Self::Unusable { status, .. } => *status,
            Self::RangeNotSatisfiable { .. } => Some(416),
        }
    }

    /// How long a throttling upstream asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Throttled { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }
}

/// Who was asked: the endpoint, and whom it sent us to. `Display` gives hosts and ports, nothing more of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    endpoint: Arc<str>,
    beyond: Option<Beyond>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Beyond {
    Redirect(String),
    Realm(String),
}

impl Place {
    /// The endpoint itself; `authority` is its `host[:port]`.
    pub(super) fn endpoint(authority: Arc<str>) -> Self {
        Self {
            endpoint: authority,
            beyond: None,
        }
    }

    /// The token realm at `url` that this endpoint named.
    pub(super) fn realm(&self, url: &Url) -> Self {
        Self {
            endpoint: Arc::clone(&self.endpoint),
            beyond: Some(Beyond::Realm(authority(url))),
        }
    }

    /// The place at `url` that this one redirected to.
    pub(super) fn redirected(&self, url: &Url) -> Self {
        let beyond = match self.beyond {
            None | Some(Beyond::Redirect(_)) => Beyond::Redirect(authority(url)),
            Some(Beyond::Realm(_)) => Beyond::Realm(authority(url)),
        };
        Self {
            endpoint: Arc::clone(&self.endpoint),
            beyond: Some(beyond),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.beyond {
            None => f.write_str(&self.endpoint),
            Some(Beyond::Redirect(host)) => write!(f, "{} (redirecting to {host})", self.endpoint),
            Some(Beyond::Realm(host)) => write!(f, "{host} (token realm of {})", self.endpoint),
        }
    }
}

/// `host[:port]`, the port only where it is not the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Step {
    /// DNS.
    #[error("its name does not resolve")]
    Name,
    /// TCP.
    #[error("no connection")]
    Connect,
    /// The TLS handshake.
    #[error("no TLS session")]
    Tls,
    /// This machine has no certificate authorities to check a server against.
    #[error("TLS is not possible here (SSL_CERT_FILE or SSL_CERT_DIR can name the authorities)")]
    Roots,
    /// The request was sent, at least in part.
    #[error("the connection broke before an answer")]
    Answer,
    /// wharf itself is winding down.
    #[error("the request was given up")]
    Stopped,
}

/// A deadline, named by what did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Phase {
    /// Resolving, connecting, TLS.
    #[error("no connection")]
    Connect,
    /// From sending a request to the head of its answer.
    #[error("no answer")]
    FirstByte,
    /// Between two chunks of a body.
    #[error("no further byte")]
    Silence,
    /// The whole of a small body: a manifest, a token.
    #[error("no complete body")]
    SmallBody,
}

/// How an upstream says that something is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// 404.
    #[error("not found")]
    NotFound,
    /// 401 or 403 to an anonymous token that it had just granted: Docker Hub's way of saying absent.
    #[error("refused although it had just granted an anonymous token, so absent or private")]
    RefusedAnonymous,
}

/// What makes an answer unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A status that means nothing here.
    #[error("not an answer to this request")]
    Status,
    /// A login or error page of something in between.
    #[error("an HTML page instead of content")]
    Html,
    /// A `Content-Encoding`, although we asked for none.
    #[error("the content is encoded, although identity was asked for")]
    Encoded,
    /// A 206 that does not say, or not sensibly, which bytes it has, or has others than those asked for.
    #[error("its Content-Range does not fit the range asked for")]
    WrongRange,
    /// More bytes than promised.
    #[error("more bytes than it promised")]
    Excess,
    /// A manifest or token answer beyond its limit.
    #[error("the body is larger than {limit} bytes")]
    TooBig {
        /// In bytes.
        limit: usize,
    },
    /// Redirect upon redirect.
    #[error("more than {limit} redirects")]
    Redirects {
        /// How many are followed.
        limit: usize,
    },
    /// A redirect without a `Location` that is an http(s) URL.
    #[error("a redirect to nowhere")]
    NoLocation,
    /// https must not become http.
    #[error("a redirect from https to http at {host}")]
    Downgrade {
        /// Where to.
        host: String,
    },
    /// A public upstream must not reach into the network that wharf stands in (design P9).
    #[error(
        "{host} is a loopback, link-local or private address, and a public upstream may not point there"
    )]
    PrivateTarget {
        /// The address, or the name that resolves to it.
        host: String,
    },
    /// A challenge whose realm is no http(s) URL.
    #[error("its challenge names no usable token realm")]
    BadRealm,
    /// Tokens travel under TLS unless the endpoint itself does not.
    #[error("the token realm {realm} is plain http, the endpoint is https")]
    InsecureRealm {
        /// Its `host[:port]`.
        realm: String,
    },
    /// A realm that the configuration does not imply.
    #[error(
        "it sends us to {realm} for a token, which is another domain; if that is right, set mirror.\"{mirror}\".token_realm"
    )]
    ForeignRealm {
        /// Its `host[:port]`.
        realm: String,
        /// The mirror's key.
        mirror: String,
    },
    /// The token endpoint's answer holds no token.
    #[error("its answer holds no token")]
    NoToken,
}

/// Somebody else's error, shown by its innermost reason.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    pub(super) fn new(error: impl StdError + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut innermost: &dyn StdError = &*self.0;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        fmt::Display::fmt(innermost, f)
    }
}

// No `source`: `Display` already says the innermost reason, and the outer layers of reqwest would show the URL.
impl StdError for Cause {}

fn retry(after: Option<Duration>) -> String {
    after.map_or_else(String::new, |after| {
        format!(", retry after {} s", after.as_secs())
    })
}

fn answered(status: Option<u16>) -> String {
    status.map_or_else(
        || "is unusable".to_owned(),
        |status| format!("answered {status}"),
    )
}

fn of(promised: Option<u64>) -> String {
    promised.map_or_else(String::new, |promised| format!(" of {promised}"))
}

fn because(cause: Option<&Cause>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}
