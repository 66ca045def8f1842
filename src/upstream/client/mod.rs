//! Owns: the questions that an upstream is asked, and the dance of 401 and token around them.
//!
//! Promises: a question (of a list: a page) costs at most three attempts: bare, with what was good before, with what is now. URLs are built
//! from typed names only; nothing of a client's request goes upstream.
//! Dropped: the question is given up; a token request that others may wait for goes on.

mod ask;
mod lists;
mod referrers;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;
use reqwest::Method;

use crate::clock::Clock;
use crate::oci::{Digest, Manifest, MediaType, Reference, RemoteName};
use crate::tasks::Tasks;

use super::auth::{Auth, Demand, Grant};
use super::body::{BlobBody, Span};
use super::challenge::{self, Challenge};
use super::error::Error;
use super::fault::Absence;
use super::guard::Targets;
use super::mirror::Mirror;
use super::network::Config;
use super::redirect::{self, Answer, Start};
use super::token::Purpose;
use super::wire::Wire;
use ask::Ask;
use referrers::Apis;

const CONTENT_DIGEST: &str = "docker-content-digest";
const ATTEMPTS: usize = 3;

/// Asks upstreams. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    clock: Clock,
    wire: Wire,
    auth: Auth,
    apis: Apis,
}

impl fmt::Debug for Client {
    // By hand: what it holds is connections and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// How many requests went upstream for one client request: redirects and tokens included. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<AtomicU32>);

impl Tally {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many until now.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a HEAD says about a manifest. Some registries say none of it, and then only a GET can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestHead {
    /// `Docker-Content-Digest`.
    pub digest: Option<Digest>,
    /// `Content-Type`.
    pub media_type: Option<MediaType>,
    /// `Content-Length`, in bytes.
    pub size: Option<u64>,
}

/// A manifest as it came: nothing is proven yet.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// The body, at most [`Manifest::MAX_BYTES`].
    pub bytes: Bytes,
    /// `Content-Type`.
    pub media_type: Option<MediaType>,
    /// `Docker-Content-Digest`.
    pub digest: Option<Digest>,
}

impl Client {
    /// A client without connections. Nothing is looked up, read or dialled before the first question.
    pub fn new(config: &Config, tasks: Tasks, clock: Clock) -> Self {
        let wire = Wire::new(config, tasks.clone());
        let auth = Auth::new(tasks, clock.clone(), wire.clone());
        Self {
            clock,
            wire,
            auth,
            apis: Apis::new(),
        }
    }

    /// Asks which manifest a reference means, by HEAD alone. An upstream without HEAD gives an empty answer.
    pub async fn head_manifest(
        &self,
        mirror: &Arc<Mirror>,
        remote: &RemoteName,
        reference: &Reference,
        tally: &Tally,
    ) -> Result<ManifestHead, Error> {
        let ask = Ask::manifest(Method::HEAD, mirror, remote, reference, tally);
        let answer = self.ask(&ask).await?;
        if without_head(&answer) {
            return Ok(ManifestHead::default());
        }
        let answer = answer.expect(&[200], &self.clock)?;
        Ok(ManifestHead {
            digest: digest_of(&answer),
            media_type: answer.media_type(),
            size: answer.length(),
        })
    }

    /// Fetches a manifest. Whether it is one, and the one asked for, is for the caller to prove.
    pub async fn get_manifest(
        &self,
        mirror: &Arc<Mirror>,
        remote: &RemoteName,
        reference: &Reference,
        tally: &Tally,
    ) -> Result<FetchedManifest, Error> {
        let ask = Ask::manifest(Method::GET, mirror, remote, reference, tally);
        let answer = self.ask(&ask).await?.expect(&[200], &self.clock)?;
        let (digest, media_type) = (digest_of(&answer), answer.media_type());
        let bytes = answer.small_body(Manifest::MAX_BYTES, mirror.deadlines()).await?;
        Ok(FetchedManifest {
            bytes,
            media_type,
            digest,
        })
    }

    /// Asks whether a blob is there, and how many bytes it has if the upstream tells.
    pub async fn head_blob(
        &self,
        mirror: &Arc<Mirror>,
        remote: &RemoteName,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<Option<u64>, Error> {
        let ask = Ask::blob(Method::HEAD, mirror, remote, digest, tally);
        let answer = self.ask(&ask).await?;
        if !without_head(&answer) {
            return Ok(answer.expect(&[200], &self.clock)?.length());
        }
        let first_byte = Span { from: 0, to: Some(0) };
        match self.get_blob(mirror, remote, digest, first_byte, tally).await {
            Ok(body) => Ok(body.total()),
            // It is there, and has no first byte.
            Err(Error::RangeNotSatisfiable { total, .. }) => Ok(total),
            Err(error) => Err(error),
        }
    }

    /// Begins to fetch a blob, or a span of it. An upstream may answer with the whole: see [`BlobBody::start`].
    pub async fn get_blob(
        &self,
        mirror: &Arc<Mirror>,
        remote: &RemoteName,
        digest: &Digest,
        span: Span,
        tally: &Tally,
    ) -> Result<BlobBody, Error> {
        let ask = Ask::blob(Method::GET, mirror, remote, digest, tally).within(span);
        let answer = self.ask(&ask).await?.expect(&[200, 206], &self.clock)?;
        BlobBody::open(answer, span, mirror.deadlines().silence)
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        // Before anything that would ask in its stead: a token endpoint, a credential helper.
        if ask.mirror.is_offline() {
            let mirror = ask.mirror.key().to_owned();
            return Err(Error::Offline { mirror });
        }
        let began = Instant::now();
        let Ask {
            mirror, remote, tally, ..
        } = *ask;
        let mut grant = self.auth.recall(mirror, remote, tally).await?;
        let mut attempts = 1;
        loop {
            let answer = self.attempt(ask, grant.as_ref()).await?;
            if !is_refused(&answer, grant.as_ref()) {
                return Ok(answer);
            }
            let demand = demand(ask, grant.as_ref(), &answer)?;
            let better = match &grant {
                None => Some(self.auth.meet(mirror, remote, demand, tally).await?),
                Some(_) if attempts == ATTEMPTS => None,
                Some(refused) => {
                    let better = self.auth.instead_of(refused, demand, began, mirror, remote, tally);
                    better.await?
                }
            };
            if better.is_none() {
                return Err(refusal(ask, grant.as_ref(), &answer, &self.clock));
            }
            grant = better;
            attempts += 1;
        }
    }

    async fn attempt(&self, ask: &Ask<'_>, grant: Option<&Grant>) -> Result<Answer, Error> {
        let mut headers = ask.headers.clone();
        if let Some(grant) = grant {
            grant.authorize(&mut headers);
        }
        let endpoint = ask.mirror.endpoint();
        let start = Start {
            method: &ask.method,
            url: ask.at(endpoint),
            headers,
            targets: Targets::Any,
            network: ask.mirror.network(),
            at: endpoint.place(),
            stays: ask.stays,
        };
        redirect::follow(&self.wire, start, ask.mirror.deadlines(), ask.tally).await
    }
}

/// Whether something else may have to be presented. ECR Public says 400 to a token that has expired, and no more.
fn is_refused(answer: &Answer, grant: Option<&Grant>) -> bool {
    match answer.status() {
        401 | 403 => !answer.elsewhere,
        400 => !answer.elsewhere && matches!(grant, Some(Grant::Token(_))),
        _ => false,
    }
}

/// What a refusal demands: what its challenge says, or what was demanded before. Where nothing is said, credentials
/// that are configured are shown to the endpoint that they are for.
fn demand(ask: &Ask<'_>, grant: Option<&Grant>, answer: &Answer) -> Result<Demand, Error> {
    match (challenge::find(answer.response.headers()), grant) {
        (Some(Challenge::Bearer(bearer)), _) => {
            let purpose = Purpose::new(ask.mirror, ask.remote, bearer, answer.targets);
            let purpose = purpose.map_err(|fault| answer.unusable(fault))?;
            Ok(Demand::Token(Arc::new(purpose)))
        }
        (None, Some(grant)) => Ok(grant.demand()),
        (Some(Challenge::Basic) | None, _) if ask.mirror.credentials().is_some() => Ok(Demand::Basic),
        (Some(Challenge::Basic) | None, _) => Err(Error::Refused {
            at: answer.at.clone(),
            status: answer.status(),
            mirror: ask.mirror.key().to_owned(),
        }),
    }
}

/// A refusal of the best that could be presented.
fn refusal(ask: &Ask<'_>, grant: Option<&Grant>, answer: &Answer, clock: &Clock) -> Error {
    let (at, status) = (answer.at.clone(), answer.status());
    if status == 400 {
        return answer.error(clock);
    }
    match grant.and_then(Grant::credential) {
        Some(credential) => Error::Denied {
            at,
            status,
            whose: credential.whose(ask.mirror.key()),
        },
        None => Error::Absent {
            at,
            status,
            how: Absence::RefusedAnonymous,
        },
    }
}

/// Whether this is a HEAD's refusal as such: by the registry, or by a redirect target whose URL is signed for GET.
fn without_head(answer: &Answer) -> bool {
    match answer.status() {
        405 | 501 => true,
        400 | 401 | 403 => answer.elsewhere,
        _ => false,
    }
}

fn digest_of(answer: &Answer) -> Option<Digest> {
    answer.header(CONTENT_DIGEST).and_then(|value| value.parse().ok())
}

#[cfg(test)]
mod tests;
