//! `POST` of `?mount=` (distribution-spec end-11).
//!
//! Promises that nobody learns of content in a repository that they may not pull from: such a source, like one that does
//! not exist, is answered by an ordinary upload.

use http::Response;

use crate::http::Exchange;
use crate::http::Shared;
use crate::http::body::Body;
use crate::http::content;
use crate::http::error::Refusal;
use crate::http::route::From;
use crate::namespaces::HostedRepo;
use crate::oci::Digest;
use crate::oci::RepoKey;
use crate::oci::RepoName;

impl Shared {
    /// The answer to a mount that is possible; `None`: the client has to upload the blob.
    pub(super) async fn mount(
        &self,
        exchange: &Exchange,
        to: &HostedRepo,
        digest: &Digest,
        from: &From,
    ) -> Result<Option<Response<Body>>, Refusal> {
        let homes: Vec<RepoKey> = match from {
            From::Nowhere => Vec::new(),
            From::Repository(name) => source(exchange, name).into_iter().collect(),
            From::Anywhere => self.anywhere(exchange, digest).await?,
        };
        let mounted = self.push.mount(&exchange.caller, to, digest, &homes).await?;
        let location = format!("/v2/{}/blobs/{digest}", to.name());
        Ok(mounted.then(|| content::created(&location, digest)))
    }

    async fn anywhere(&self, exchange: &Exchange, digest: &Digest) -> Result<Vec<RepoKey>, Refusal> {
        let homes = self.push.homes(digest).await?.into_iter();
        Ok(homes
            .filter(|kept| exchange.policy.may_pull(&exchange.caller, kept))
            .map(|kept| kept.key)
            .collect())
    }
}

/// Where `name` lives, if the caller may pull from there.
fn source(exchange: &Exchange, name: &RepoName) -> Option<RepoKey> {
    let policy = &exchange.policy;
    let repo = policy.namespaces.resolve(name, None, exchange.head.host()).ok()?.repo;
    policy.admits(&exchange.caller, &repo, None).then(|| repo.key())
}
