//! Owns: the particulars of an [`Error`](super::Error), each a closed list with the words for it.
//!
//! Never: a query string or a token; text that an upstream wrote is kept to host names.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Step {
    /// DNS.
    #[error("its name does not resolve")]
    Name,
    /// TCP.
    #[error("no connection")]
    Connect,
    /// The proxy was asked to connect.
    #[error("no connection through the proxy")]
    Proxy,
    /// The TLS handshake.
    #[error("no TLS session")]
    Tls,
    /// This machine has no certificate authorities to check a server against.
    #[error("TLS is not possible here (a ca_file, SSL_CERT_FILE or SSL_CERT_DIR can name the authorities)")]
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
    /// From the start of a request to the head of its answer, the connection included.
    #[error("no answer")]
    FirstByte,
    /// Between two chunks of a body.
    #[error("no further byte")]
    Silence,
    /// The whole of a small body: a manifest, a token.
    #[error("no complete body")]
    SmallBody,
    /// All pages of a list.
    #[error("no complete list")]
    List,
}

/// How an upstream says that something is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// 404.
    #[error("not found")]
    NotFound,
    /// 404, and another endpoint could not be asked.
    #[error("not found there, and another endpoint could not be asked")]
    NotFoundByOne,
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
    /// 407: the proxy in between wants credentials, or others.
    #[error("the proxy wants a user and a password, or others than those in its URL")]
    ProxyCredentials,
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
    #[error("{host} is a loopback, link-local or private address, and a public upstream may not point there")]
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
    /// Another realm than the configured one.
    #[error("it sends us to {realm} for a token, and mirror.\"{mirror}\".token_realm allows {configured} only")]
    OtherRealm {
        /// Its `host[:port]`.
        realm: String,
        /// The mirror's key.
        mirror: String,
        /// As configured, without a query.
        configured: String,
    },
    /// A realm in the network that wharf stands in, although the endpoint is not.
    #[error(
        "the token realm {realm} has a loopback, link-local or private address; if that is right, set mirror.\"{mirror}\".token_realm"
    )]
    PrivateRealm {
        /// Its `host[:port]`, or the name that resolves to such an address.
        realm: String,
        /// The mirror's key.
        mirror: String,
    },
    /// Credentials are not carried along.
    #[error("it redirects the token request to another host, scheme or port, where the credentials must not go")]
    MovedRealm,
    /// What should be a list of tags or referrers is none.
    #[error("its answer holds no list")]
    NoList,
    /// A list beyond its limits.
    #[error("its list is longer than {entries} entries, {bytes} bytes or {pages} pages")]
    LongList {
        /// Tags or referrers.
        entries: usize,
        /// Of all pages.
        bytes: usize,
        /// However small.
        pages: usize,
    },
    /// A link to a next page that leads nowhere.
    #[error("its list goes on at a page that is not there")]
    BadLink,
    /// A next page that the endpoint does not have.
    #[error("its list goes on at {host}, which is another host")]
    ForeignLink {
        /// Its `host[:port]`.
        host: String,
    },
    /// A next page that has been read already.
    #[error("its list leads in a circle")]
    Circle,
    /// Bytes that are not those which the head of the answer names.
    #[error("the body has another digest than its head tells")]
    Digest,
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
