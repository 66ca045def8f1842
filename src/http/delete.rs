//! `DELETE` of a tag, a manifest or a blob (distribution-spec end-9, end-10).

use http::Response;
use http::StatusCode;

use crate::access::Action;
use crate::http::Exchange;
use crate::http::Shared;
use crate::http::body::Body;
use crate::http::error::Refusal;
use crate::oci::Digest;
use crate::oci::Reference;
use crate::oci::RepoName;

impl Shared {
    /// The answer to a deletion of a tag or a manifest.
    pub(super) async fn delete_manifest(
        &self,
        exchange: &mut Exchange,
        name: &RepoName,
        reference: &Reference,
    ) -> Result<Response<Body>, Refusal> {
        exchange.record.asks(name, reference);
        let repo = exchange.writable(name, Action::Delete)?;
        self.push.delete_manifest(&exchange.caller, &repo, reference).await?;
        Ok(deleted())
    }

    /// The answer to a deletion of a blob.
    pub(super) async fn delete_blob(
        &self,
        exchange: &mut Exchange,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Response<Body>, Refusal> {
        exchange.record.asks(name, digest);
        let repo = exchange.writable(name, Action::Delete)?;
        self.push.delete_blob(&exchange.caller, &repo, digest).await?;
        Ok(deleted())
    }
}

/// 202, as the specification wants it, although nothing is left to be done.
fn deleted() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
