//! `POST` of `?mount=` (distribution-spec end-11).
//!
//! Promises that nobody learns of content in a repository that they may not pull from: such a source, like one that does
//! not exist, is answered by an ordinary upload.

use http::Response;

use crate::access::Action;
use crate::access::Caller;
use crate::http::Exchange;
use crate::http::Shared;
use crate::http::body::Body;
use crate::http::content;
use crate::http::error::Refusal;
use crate::http::route::From;
use crate::http::route::Start;
use crate::namespaces::HostedRepo;
use crate::oci::Digest;
use crate::oci::RepoKey;
use crate::oci::RepoName;

impl Shared {
    /// The answer to the beginning of an upload; as yet, only a mount can be one.
    pub(super) async fn start_upload(
        &self,
        exchange: &mut Exchange,
        name: &RepoName,
        start: &Start,
    ) -> Result<Response<Body>, Refusal> {
        let repo = self.writable(exchange, name, Action::Push)?;
        if let Start::Mount { digest, from } = start
            && let Some(mounted) = self.mount(exchange, &repo, digest, from).await?
        {
            return Ok(mounted);
        }
        Err(Refusal::no_such_repository(repo.name()))
    }

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
            From::Repository(name) => self.source(exchange, name).into_iter().collect(),
            From::Anywhere => self.anywhere(&exchange.caller, digest).await?,
        };
        let mounted = self.push.mount(&exchange.caller, to, digest, &homes).await?;
        let location = format!("/v2/{}/blobs/{digest}", to.name());
        Ok(mounted.then(|| content::created(&location, digest)))
    }

    /// Where `name` lives, if the caller may pull from there.
    fn source(&self, exchange: &Exchange, name: &RepoName) -> Option<RepoKey> {
        let resolved = self.namespaces.resolve(name, None, exchange.head.host()).ok()?;
        let key = resolved.repo.key();
        let admitted = self.access.admit(&exchange.caller, Action::Pull, &key);
        admitted.is_ok().then_some(key)
    }

    async fn anywhere(&self, caller: &Caller, digest: &Digest) -> Result<Vec<RepoKey>, Refusal> {
        let homes = self.push.homes(digest).await?.into_iter();
        Ok(homes
            .filter(|kept| self.may_pull(caller, kept))
            .map(|kept| kept.key)
            .collect())
    }
}
