//! The registry's HTTP: from a request's head to an answer, and back to a log line.
//!
//! Owns headers, statuses and bodies. Promises an OCI error for everything that is not answered, one log line for each
//! request, and that nothing a client sends makes a 5xx by itself. Never reads a request's body before it is known where
//! it goes. Dropping [`Http::answer`] is the client leaving: what it started below goes on without it.

mod blobs;
mod body;
mod cache_status;
mod catalog;
pub mod chunk;
mod conditions;
mod content;
mod delete;
mod error;
mod extensions;
pub mod limits;
mod list;
mod manifests;
mod mount;
mod multipart;
mod ping;
mod policy;
mod position;
mod put_manifest;
pub mod range;
mod record;
mod referrers;
mod request;
mod request_body;
mod room;
pub mod route;
mod tags;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::header::CONNECTION;
use http::header::WARNING;
use hyper::body::Incoming;

use crate::access::Action;
use crate::access::Caller;
use crate::access::Principal;
use crate::namespaces::HostedRepo;
use crate::namespaces::Repo;
use crate::oci::Reference;
use crate::oci::RepoName;
use crate::oci::Tag;
use crate::pull::Kept;
use crate::pull::Pull;
use crate::pull::Via;
use crate::push::Push;

use body::Streams;
use cache_status::CacheStatus;
use content::Answer;
use content::Asked;
use error::Refusal;
use record::Ending;
use record::Record;
use referrers::Wanted;
use request::Head;
use request_body::RequestBody;
use room::Room;
use route::Route;
use route::Target;

pub use body::Body;
pub use policy::Policy;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// Answers requests. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Http(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// For requests that begin now.
    policy: RwLock<Arc<Policy>>,
    pull: Pull,
    push: Push,
    /// Longest wait for the next bytes of a request's body.
    client_silence: Duration,
    room: Room,
    streams: Streams,
}

/// One request on its way.
#[derive(Debug)]
struct Exchange {
    head: Head,
    body: RequestBody,
    caller: Caller,
    record: Record,
    /// What was in force when it began.
    policy: Arc<Policy>,
    /// Whether nothing can be pushed here.
    read_only: bool,
    /// `?ns=`, where it decided what the name means.
    ns: Option<HeaderValue>,
}

impl Http {
    /// Over what decides and what delivers.
    pub fn new(policy: Policy, pull: Pull, push: Push, client_silence: Duration) -> Self {
        Self(Arc::new(Shared {
            policy: RwLock::new(Arc::new(policy)),
            pull,
            push,
            client_silence,
            room: Room::new(client_silence),
            streams: Streams::default(),
        }))
    }

    /// Judges requests by `policy` from now on. Those under way are not disturbed.
    pub fn adopt(&self, policy: Policy) {
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.0.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer to one request of the client at `address`. Its body writes the log line when it is done with.
    pub async fn answer(self, request: Request<Incoming>, address: IpAddr) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let head = Head::new(parts);
        let record = Record::new(address, &head.method, head.uri.path(), &head.headers);
        let caller = Caller {
            principal: Principal::Anonymous,
            address,
            by_proxy: head.is_forwarded(),
        };
        let mut exchange = Exchange {
            body: RequestBody::new(body, self.0.client_silence),
            head,
            caller,
            record,
            policy: self.policy(),
            read_only: self.0.push.is_read_only(),
            ns: None,
        };
        let answered = self.0.answer(&mut exchange).await;
        exchange.finish(answered)
    }
}

impl Shared {
    async fn answer(&self, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
        exchange.head.check()?;
        let (method, uri) = (&exchange.head.method, &exchange.head.uri);
        let Target { route, ns } = route::parse(method, uri.path(), uri.query())?;
        let ns = ns.as_deref();
        let answer = match route {
            Route::Ping => return Ok(ping::answer()),
            Route::Manifest { name, reference } => {
                exchange.record.asks(&name, &reference);
                let tag = match &reference {
                    Reference::Tag(tag) => Some(tag),
                    Reference::Digest(_) => None,
                };
                let repo = exchange.readable(&name, ns, tag)?;
                manifests::answer(&self.pull, exchange.asks(&repo), &reference).await?
            }
            Route::Blob { name, digest } => {
                exchange.record.asks(&name, &digest);
                let repo = exchange.readable(&name, ns, None)?;
                blobs::answer(&self.pull, &self.streams, exchange.asks(&repo), &digest).await?
            }
            Route::Tags { name, page } => {
                let repo = exchange.readable(&name, ns, None)?;
                let may = |tag: &Tag| exchange.policy.admits(&exchange.caller, &repo, Some(tag));
                tags::answer(&self.pull, exchange.asks(&repo), may, &name, &page).await?
            }
            Route::Referrers {
                name,
                digest,
                artifact_type,
                after,
            } => {
                let repo = exchange.readable(&name, ns, None)?;
                let wanted = Wanted {
                    subject: digest,
                    artifact_type,
                    after,
                };
                referrers::answer(&self.pull, exchange.asks(&repo), &name, &wanted).await?
            }
            Route::Catalog { page } => {
                let may = |kept: &Kept| exchange.policy.may_pull(&exchange.caller, kept);
                return catalog::answer(&self.pull, may, &page).await;
            }
            Route::Extensions => return Ok(extensions::answer()),
            Route::PutManifest { name, reference, tags } => {
                return self.put_manifest(exchange, &name, reference, tags).await;
            }
            Route::DeleteManifest { name, reference } => {
                return self.delete_manifest(exchange, &name, &reference).await;
            }
            Route::DeleteBlob { name, digest } => return self.delete_blob(exchange, &name, &digest).await,
            Route::StartUpload { name, start } => return self.start_upload(exchange, &name, &start).await,
            Route::Upload { name, session, step } => return self.upload(exchange, &name, &session, step).await,
        };
        Ok(exchange.pulled(answer))
    }
}

impl Exchange {
    /// Where `name` lives, if the caller may read there: this tag, where one is asked for.
    fn readable(&mut self, name: &RepoName, ns: Option<&str>, tag: Option<&Tag>) -> Result<Repo, Refusal> {
        let repo = self.home(name, ns)?;
        self.policy.access.admit(&self.caller, Action::Pull, &repo, tag)?;
        Ok(repo)
    }

    /// The hosted repository `name`, if the caller may change it. `ns` means nothing here.
    fn writable(&mut self, name: &RepoName, action: Action) -> Result<HostedRepo, Refusal> {
        let repo = self.home(name, None)?;
        match &repo {
            Repo::Mirrored { mirror, .. } => Err(Refusal::read_only(mirror.key())),
            Repo::Hosted(_) if self.read_only => Err(Refusal::takes_nothing()),
            Repo::Hosted(hosted) => {
                self.policy.access.admit(&self.caller, action, &repo, None)?;
                Ok(hosted.clone())
            }
        }
    }

    fn home(&mut self, name: &RepoName, ns: Option<&str>) -> Result<Repo, Refusal> {
        let resolved = self.policy.namespaces.resolve(name, ns, self.head.host())?;
        self.record.leads_to(resolved.repo.mirror());
        if resolved.echo_ns {
            self.ns = ns.and_then(|ns| HeaderValue::try_from(ns).ok());
        }
        Ok(resolved.repo)
    }

    fn asks<'a>(&'a self, repo: &'a Repo) -> Asked<'a> {
        Asked {
            head: &self.head,
            caller: &self.caller,
            repo,
            ns: self.ns.as_ref().and_then(|ns| ns.to_str().ok()),
            tally: self.record.tally(),
        }
    }

    fn pulled(&mut self, mut answer: Answer) -> Response<Body> {
        let status = CacheStatus {
            via: &answer.via,
            head: self.head.is_head(),
        }
        .to_string();
        self.record.came(&status);
        answer.set(CACHE_STATUS, status);
        if let Via::Stale { detail, .. } = &answer.via {
            let warning = format!("299 - \"out of date: the upstream could not be asked ({detail})\"");
            answer.set(WARNING, warning);
        }
        answer.response
    }

    fn finish(mut self, answered: Result<Response<Body>, Refusal>) -> Response<Body> {
        let mut response = answered.unwrap_or_else(|refusal| {
            self.record.failed(refusal.for_the_log());
            refusal.respond(&self.record, self.head.is_head())
        });
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        if let Ok(id) = HeaderValue::try_from(self.record.id()) {
            headers.insert(record::REQUEST_ID, id);
        }
        headers.extend(self.ns.map(|ns| (NAMESPACE, ns)));
        if !self.body.is_read() {
            // What was not read cannot be told from the next request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.record.answered(response.status());
        if self.head.is_head() {
            // hyper drops its body unread: the head is all of it.
            self.record.ended(Ending::Whole);
        }
        response.map(|body| body.recorded(self.record))
    }
}

impl Repo {
    fn mirror(&self) -> Option<&str> {
        match self {
            Self::Mirrored { mirror, .. } => Some(mirror.key()),
            Self::Hosted(_) => None,
        }
    }
}
