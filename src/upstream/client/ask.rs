//! Owns: a question as it is put to an endpoint: method, path and headers, made from typed names only.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RANGE};
use url::Url;

use crate::oci::{Digest, Reference, RemoteName};

use super::super::body::Span;
use super::super::mirror::Endpoint;
use super::Tally;
use super::turns::Turn;

/// Every type there is, whatever a client accepts: registries answer 404 to an `Accept` without the type that they have.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One question to one endpoint, however many requests it takes.
pub(super) struct Ask<'a> {
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) remote: &'a RemoteName,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    /// Whether only redirects within the host are followed.
    pub(super) stays: bool,
    /// Whether a 5xx says something of the endpoint.
    pub(super) counts: bool,
    pub(super) tally: &'a Tally,
}

impl<'a> Ask<'a> {
    pub(super) fn manifest(
        method: Method,
        turn: Turn<'a>,
        remote: &'a RemoteName,
        reference: &Reference,
        tally: &'a Tally,
    ) -> Self {
        Self::new(
            method,
            turn,
            remote,
            &format!("manifests/{reference}"),
            MANIFESTS,
            tally,
        )
    }

    pub(super) fn blob(
        method: Method,
        turn: Turn<'a>,
        remote: &'a RemoteName,
        digest: &Digest,
        tally: &'a Tally,
    ) -> Self {
        Self::new(method, turn, remote, &format!("blobs/{digest}"), "*/*", tally)
    }

    pub(super) fn tags(turn: Turn<'a>, remote: &'a RemoteName, tally: &'a Tally) -> Self {
        Self::new(Method::GET, turn, remote, "tags/list", "application/json", tally)
    }

    /// A registry that cannot list referrers may send such a request anywhere (GHCR: to a web page), or fail at it.
    pub(super) fn referrers(turn: Turn<'a>, remote: &'a RemoteName, subject: &Digest, tally: &'a Tally) -> Self {
        let path = format!("referrers/{subject}");
        Self {
            stays: true,
            counts: false,
            ..Self::new(Method::GET, turn, remote, &path, INDEX, tally)
        }
    }

    fn new(
        method: Method,
        turn: Turn<'a>,
        remote: &'a RemoteName,
        path: &str,
        accept: &'static str,
        tally: &'a Tally,
    ) -> Self {
        Self {
            endpoint: turn.endpoint,
            remote,
            method,
            path: format!("/v2/{remote}/{path}"),
            query: None,
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]),
            stays: false,
            counts: !turn.again,
            tally,
        }
    }

    /// Only these bytes of it.
    pub(super) fn within(mut self, span: Span) -> Self {
        self.headers.extend(range(span).map(|range| (RANGE, range)));
        self
    }

    /// The page of a list with this query.
    pub(super) fn page(mut self, query: Option<String>) -> Self {
        self.query = query;
        self
    }

    /// Where the endpoint has it.
    pub(super) fn url(&self) -> Url {
        let mut url = self.endpoint.at(&self.path);
        url.set_query(self.query.as_deref());
        // A link of the endpoint's own may have it already.
        if let Some(ns) = self.endpoint.send_ns()
            && !url.query_pairs().any(|(key, _)| key == "ns")
        {
            url.query_pairs_mut().append_pair("ns", ns);
        }
        url
    }
}

/// The `Range` header of a span; none for the whole.
fn range(span: Span) -> Option<HeaderValue> {
    let text = match span {
        Span { from: 0, to: None } => return None,
        Span { from, to: None } => format!("bytes={from}-"),
        Span { from, to: Some(to) } => format!("bytes={from}-{to}"),
    };
    HeaderValue::try_from(text).ok()
}
