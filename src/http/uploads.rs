//! Uploads: sessions, and blobs that come in one request (distribution-spec end-4, 5, 6, 13 and 14).
//!
//! Promises that no byte of a body is read before all that can be said against its head has been said: a client that
//! waits for `100 Continue` (RFC 9110 section 10.1.1) hears a refusal instead. Where a session was looked up and goes on,
//! the answer says how far it is, a refusal too. A closing `PUT` may be repeated by a client that did not hear the answer.
//! Locations are relative: whoever stands in front of us has another name.

use http::Response;
use http::StatusCode;

use crate::access::Action;
use crate::http::Exchange;
use crate::http::Shared;
use crate::http::body::Body;
use crate::http::chunk;
use crate::http::content;
use crate::http::error::Refusal;
use crate::http::position;
use crate::http::route::Start;
use crate::http::route::Step;
use crate::namespaces::HostedRepo;
use crate::namespaces::Repo;
use crate::oci::Digest;
use crate::oci::RepoName;
use crate::push::Error;
use crate::push::Position;
use crate::push::UploadId;

impl Shared {
    /// The answer to `POST`: a session, unless the blob is here already or comes whole.
    pub(super) async fn start_upload(
        &self,
        exchange: &mut Exchange,
        name: &RepoName,
        start: &Start,
    ) -> Result<Response<Body>, Refusal> {
        let repo = exchange.writable(name, Action::Push)?;
        let algorithm = match start {
            Start::Mount { digest, from } => {
                exchange.record.asks(name, digest);
                if let Some(mounted) = self.mount(exchange, &repo, digest, from).await? {
                    return Ok(mounted);
                }
                Some(digest.algorithm())
            }
            Start::Whole(digest) => {
                exchange.record.asks(name, digest);
                // Without a body, and not the blob that has no bytes: they come later.
                if exchange.body.length() != Some(0) || *digest == Digest::of(digest.algorithm(), b"") {
                    return self.save(exchange, &repo, digest).await;
                }
                Some(digest.algorithm())
            }
            Start::Empty(algorithm) => *algorithm,
        };
        let position = self.push.start_upload(&exchange.caller, &repo, algorithm).await?;
        exchange.record.asks(name, &position.session);
        Ok(at(&position, StatusCode::ACCEPTED))
    }

    async fn save(
        &self,
        exchange: &mut Exchange,
        repo: &HostedRepo,
        digest: &Digest,
    ) -> Result<Response<Body>, Refusal> {
        let piece = exchange.body.piece(None);
        self.push.save(&exchange.caller, repo, digest, piece).await?;
        Ok(created(repo, digest))
    }

    /// The answer to a request on a session.
    pub(super) async fn upload(
        &self,
        exchange: &mut Exchange,
        name: &RepoName,
        session: &str,
        step: Step,
    ) -> Result<Response<Body>, Refusal> {
        exchange.record.asks(name, &session);
        let repo = exchange.writable(name, Action::Push)?;
        let id: UploadId = session.parse().map_err(|_no_id| Error::UploadUnknown)?;
        let (push, caller) = (&self.push, &exchange.caller);
        match step {
            Step::Status => {
                let position = push.upload_status(caller, &repo, &id).await?;
                Ok(at(&position, StatusCode::NO_CONTENT))
            }
            Step::Append => {
                let piece = exchange.body.piece(chunk::span(&exchange.head.headers)?);
                let position = push.append(caller, &repo, &id, piece).await?;
                Ok(at(&position, StatusCode::ACCEPTED))
            }
            Step::Finish(digest) => {
                let piece = exchange.body.piece(chunk::span(&exchange.head.headers)?);
                match push.finish(caller, &repo, &id, &digest, piece).await {
                    Err(Error::UploadUnknown) if self.has(exchange, &repo, &digest).await => {}
                    finished => finished?,
                }
                Ok(created(&repo, &digest))
            }
            Step::Cancel => {
                push.cancel_upload(caller, &repo, &id).await?;
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
        }
    }

    /// Whether the repository has the blob, as far as the caller may know.
    async fn has(&self, exchange: &Exchange, repo: &HostedRepo, digest: &Digest) -> bool {
        let (caller, repo) = (&exchange.caller, Repo::Hosted(repo.clone()));
        let may = exchange.policy.admits(caller, &repo, None);
        let tally = exchange.record.tally();
        may && self.pull.stat_blob(caller, &repo, digest, tally).await.is_ok()
    }
}

fn at(position: &Position, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().extend(position::headers(position));
    response
}

fn created(repo: &HostedRepo, digest: &Digest) -> Response<Body> {
    content::created(&format!("/v2/{}/blobs/{digest}", repo.name()), digest)
}
