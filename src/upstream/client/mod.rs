//! Owns: the questions that an upstream is asked.
//!
//! Promises: endpoints are asked in order until one has an answer. URLs are built from typed names only; nothing of a client's
//! request goes upstream.
//! Dropped: the question is given up; a token request that others may wait for goes on.

mod ask;
mod lists;
mod present;
mod referrers;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use reqwest::Method;

use crate::clock::Clock;
use crate::oci::{Digest, Manifest, MediaType, Reference, RemoteName};
use crate::tasks::Tasks;

use super::auth::Auth;
use super::body::{BlobBody, Span};
use super::error::Error;
use super::hold::Holds;
use super::mirror::{Endpoint, Mirror};
use super::network::Config;
use super::redirect::Answer;
use super::wire::Wire;
use ask::Ask;
use referrers::Apis;
use turns::{Turn, Turns};

const CONTENT_DIGEST: &str = "docker-content-digest";

/// Asks upstreams. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    clock: Clock,
    wire: Wire,
    auth: Auth,
    apis: Apis,
    holds: Holds,
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
    /// Who sent it.
    pub from: Arc<Endpoint>,
}

impl Client {
    /// A client without connections. Nothing is looked up, read or dialled before the first question.
    pub fn new(config: &Config, tasks: Tasks, clock: Clock) -> Self {
        let wire = Wire::new(config, tasks.clone(), clock.clone());
        let auth = Auth::new(tasks, clock.clone(), wire.clone());
        Self {
            clock,
            wire,
            auth,
            apis: Apis::new(),
            holds: Holds::new(),
        }
    }

    /// Asks which manifest a reference means, by HEAD alone. An upstream without HEAD gives an empty answer.
    pub async fn head_manifest(
        &self,
        mirror: &Mirror,
        remote: &RemoteName,
        reference: &Reference,
        tally: &Tally,
    ) -> Result<ManifestHead, Error> {
        let mut turns = Turns::new(mirror.endpoints());
        loop {
            let ask = Ask::manifest(Method::HEAD, turns.turn(), remote, reference, tally);
            let said = self.head_manifest_at(ask).await;
            if let Some(said) = turns.heard(said).await {
                return said;
            }
        }
    }

    /// Fetches a manifest from the first of these endpoints that has it. Whether it is one, and the one asked for, is for the
    /// caller to prove.
    pub async fn get_manifest(
        &self,
        endpoints: &[Arc<Endpoint>],
        remote: &RemoteName,
        reference: &Reference,
        tally: &Tally,
    ) -> Result<FetchedManifest, Error> {
        let mut turns = Turns::new(endpoints);
        loop {
            let ask = Ask::manifest(Method::GET, turns.turn(), remote, reference, tally);
            let said = self.get_manifest_at(ask).await;
            if let Some(said) = turns.heard(said).await {
                return said;
            }
        }
    }

    /// Asks whether a blob is there, and how many bytes it has if the upstream tells.
    pub async fn head_blob(
        &self,
        mirror: &Mirror,
        remote: &RemoteName,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<Option<u64>, Error> {
        let mut turns = Turns::new(mirror.endpoints());
        loop {
            let said = self.head_blob_at(turns.turn(), remote, digest, tally).await;
            if let Some(said) = turns.heard(said).await {
                return said;
            }
        }
    }

    /// Begins to fetch a blob, or a span of it, from the first of these endpoints that has it. An upstream may answer with
    /// the whole: see [`BlobBody::start`].
    pub async fn get_blob(
        &self,
        endpoints: &[Arc<Endpoint>],
        remote: &RemoteName,
        digest: &Digest,
        span: Span,
        tally: &Tally,
    ) -> Result<BlobBody, Error> {
        let mut turns = Turns::new(endpoints);
        loop {
            let said = self.get_blob_at(turns.turn(), remote, digest, span, tally).await;
            if let Some(said) = turns.heard(said).await {
                return said;
            }
        }
    }

    /// Why no endpoint of this mirror is asked now, if that is so.
    pub fn trouble(&self, mirror: &Mirror) -> Option<Arc<Error>> {
        if let Err(offline) = mirror.endpoint().may_be_asked() {
            return Some(Arc::new(offline));
        }
        let now = self.clock.now();
        let mut troubles = mirror.endpoints().iter().map(|endpoint| endpoint.health().trouble(now));
        let first = troubles.next().flatten()?;
        troubles.all(|trouble| trouble.is_some()).then_some(first)
    }

    async fn head_manifest_at(&self, ask: Ask<'_>) -> Result<ManifestHead, Error> {
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

    async fn get_manifest_at(&self, ask: Ask<'_>) -> Result<FetchedManifest, Error> {
        let answer = self.ask(&ask).await?.expect(&[200], &self.clock)?;
        let (digest, media_type) = (digest_of(&answer), answer.media_type());
        let bytes = answer.small_body(Manifest::MAX_BYTES).await?;
        Ok(FetchedManifest {
            bytes,
            media_type,
            digest,
            from: Arc::clone(ask.endpoint),
        })
    }

    async fn head_blob_at(
        &self,
        turn: Turn<'_>,
        remote: &RemoteName,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<Option<u64>, Error> {
        let ask = Ask::blob(Method::HEAD, turn, remote, digest, tally);
        let answer = self.ask(&ask).await?;
        if !without_head(&answer) {
            return Ok(answer.expect(&[200], &self.clock)?.length());
        }
        let first_byte = Span { from: 0, to: Some(0) };
        match self.get_blob_at(turn, remote, digest, first_byte, tally).await {
            Ok(body) => Ok(body.total()),
            // It is there, and has no first byte.
            Err(Error::RangeNotSatisfiable { total, .. }) => Ok(total),
            Err(error) => Err(error),
        }
    }

    async fn get_blob_at(
        &self,
        turn: Turn<'_>,
        remote: &RemoteName,
        digest: &Digest,
        span: Span,
        tally: &Tally,
    ) -> Result<BlobBody, Error> {
        let ask = Ask::blob(Method::GET, turn, remote, digest, tally).within(span);
        let answer = self.ask(&ask).await?.expect(&[200, 206], &self.clock)?;
        BlobBody::open(answer, span).map(BlobBody::paced)
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
