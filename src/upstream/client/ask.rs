//! Owns: a question as it is put to an endpoint: method, path and headers, made from typed names only.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RANGE};

use crate::oci::{Digest, Reference, RemoteName};

use super::super::body::Span;
use super::super::mirror::Mirror;
use super::Tally;

/// Every type there is, whatever a client accepts: registries answer 404 to an `Accept` without the type that they have.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*";

/// One question, however many requests it takes.
pub(super) struct Ask<'a> {
    pub(super) mirror: &'a Arc<Mirror>,
    pub(super) remote: &'a RemoteName,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) tally: &'a Tally,
}

impl<'a> Ask<'a> {
    pub(super) fn manifest(
        method: Method,
        mirror: &'a Arc<Mirror>,
        remote: &'a RemoteName,
        reference: &Reference,
        tally: &'a Tally,
    ) -> Self {
        let path = format!("/v2/{remote}/manifests/{reference}");
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(MANIFESTS))]);
        Self {
            mirror,
            remote,
            method,
            path,
            headers,
            tally,
        }
    }

    pub(super) fn blob(
        method: Method,
        mirror: &'a Arc<Mirror>,
        remote: &'a RemoteName,
        digest: &Digest,
        tally: &'a Tally,
    ) -> Self {
        let path = format!("/v2/{remote}/blobs/{digest}");
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("*/*"))]);
        Self {
            mirror,
            remote,
            method,
            path,
            headers,
            tally,
        }
    }
    /// Only these bytes of it.
    pub(super) fn within(mut self, span: Span) -> Self {
        self.headers.extend(range(span).map(|range| (RANGE, range)));
        self
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
