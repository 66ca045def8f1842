//! Owns: anonymous Bearer tokens (distribution's token specification): who demands one, and those that are good.
//!
//! Promises: one token request per scope for any number of callers; a token is used by the mirror that it was made for
//! only; it is renewed before it expires, and forgotten when it is refused. Never logs one.
//! Dropped: a request for a token goes on, for the others that wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::clock::Clock;
use crate::oci::RemoteName;
use crate::tasks::Tasks;

use super::Tally;
use super::challenge::Challenge;
use super::error::Error;
use super::fault::{Cause, Fault, Step};
use super::guard::{self, Targets};
use super::mirror::Mirror;
use super::redirect::{self, Answer, Start};
use super::shared::outlive;
use super::wire::Wire;

/// Largest token answer in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// What an answer without `expires_in` means, and the least that is believed (distribution: at least 60 s).
const LEAST_LIFE: Duration = Duration::from_mins(1);
const MOST_LIFE: Duration = Duration::from_hours(24);
/// A token is renewed when this much of its life is over: it must be good when a request starts, not longer.
const USED: f64 = 0.85;
const TOKENS: u64 = 1024;
const DEMANDS: u64 = 16 * 1024;
const UNUSED: Duration = Duration::from_hours(1);

/// All tokens of the process.
#[derive(Clone)]
pub(super) struct Tokens {
    tasks: Tasks,
    clock: Clock,
    wire: Wire,
    held: Cache<Key, Arc<Token>>,
    /// Per mirror and repository, so that the second request does not begin with a 401.
    demands: Cache<(String, RemoteName), Arc<Demand>>,
}

/// A token endpoint and what it is to be asked for.
#[derive(Debug)]
pub(super) struct Demand {
    key: Key,
    url: Url,
    targets: Targets,
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    mirror: String,
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    minted: Instant,
    renew_at: Timestamp,
}

/// A demand, and the token that meets it.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) demand: Arc<Demand>,
    token: Arc<Token>,
}

impl Grant {
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.token.header.clone());
    }

    /// Whether the token was made for just this demand, and not before `began`.
    pub(super) fn is_fresh(&self, demand: &Demand, began: Instant) -> bool {
        self.token.minted >= began && self.demand.key == demand.key
    }
}

impl Demand {
    /// What a challenge of this mirror's endpoint asks for, if it may be followed.
    pub(super) fn new(
        mirror: &Mirror,
        remote: &RemoteName,
        challenge: Challenge,
        targets: Targets,
    ) -> Result<Self, Fault> {
        let (url, targets) = guard::realm(mirror, &challenge.realm, targets)?;
        let scope = challenge
            .scope
            .unwrap_or_else(|| format!("repository:{remote}:pull"));
        let mut scopes: Vec<_> = scope.split_whitespace().map(str::to_owned).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let (mirror, realm) = (mirror.key().to_owned(), url.to_string());
        Ok(Self {
            key: Key {
                mirror,
                realm,
                service: challenge.service,
                scopes,
            },
            url,
            targets,
        })
    }

    fn request(&self) -> Url {
        let mut url = self.url.clone();
        let service = self.key.service.iter().map(|service| ("service", service));
        let scopes = self.key.scopes.iter().map(|scope| ("scope", scope));
        url.query_pairs_mut().extend_pairs(service.chain(scopes));
        url
    }
}

impl Tokens {
    pub(super) fn new(tasks: Tasks, clock: Clock, wire: Wire) -> Self {
        let held = Cache::builder().max_capacity(TOKENS).time_to_idle(UNUSED);
        let demands = Cache::builder().max_capacity(DEMANDS).time_to_idle(UNUSED);
        Self {
            tasks,
            clock,
            wire,
            held: held.eviction_policy(EvictionPolicy::lru()).build(),
            demands: demands.eviction_policy(EvictionPolicy::lru()).build(),
        }
    }

    /// A token for a repository that is known to demand one.
    pub(super) async fn recall(
        &self,
        mirror: &Arc<Mirror>,
        remote: &RemoteName,
        tally: &Tally,
    ) -> Result<Option<Grant>, Error> {
        let repository = (mirror.key().to_owned(), remote.clone());
        let Some(demand) = self.demands.get(&repository).await else {
            return Ok(None);
        };
        let grant = self.grant(mirror, demand, tally).await;
        if grant.is_err() {
            // The upstream may have moved its realm: the next request hears the challenge again.
            self.demands.invalidate(&repository).await;
        }
        grant.map(Some)
    }

    /// A token for a demand that was just heard; the repository's next request begins with it.
    pub(super) async fn meet(
        &self,
        mirror: &Arc<Mirror>,
        remote: &RemoteName,
        demand: Arc<Demand>,
        tally: &Tally,
    ) -> Result<Grant, Error> {
        let grant = self.grant(mirror, Arc::clone(&demand), tally).await?;
        self.demands
            .insert((mirror.key().to_owned(), remote.clone()), demand)
            .await;
        Ok(grant)
    }

    /// Forgets a token that was refused, unless another has taken its place.
    pub(super) async fn forget(&self, refused: &Grant) {
        self.remove(&refused.demand, &refused.token).await;
    }

    async fn grant(
        &self,
        mirror: &Arc<Mirror>,
        demand: Arc<Demand>,
        tally: &Tally,
    ) -> Result<Grant, Error> {
        if let Some(token) = self.held.get(&demand.key).await
            && token.renew_at <= self.clock.now()
        {
            self.remove(&demand, &token).await;
        }
        let mint = mint(
            self.wire.clone(),
            self.clock.clone(),
            Arc::clone(mirror),
            Arc::clone(&demand),
            tally.clone(),
        );
        let (held, key) = (self.held.clone(), demand.key.clone());
        let shared = async move { held.try_get_with(key, mint).await };
        match outlive(&self.tasks, shared).await {
            Ok(Ok(token)) => Ok(Grant { demand, token }),
            Ok(Err(error)) => Err(Error::clone(&error)),
            Err(lost) => Err(Error::Unreachable {
                at: mirror.endpoint().place().realm(&demand.url),
                step: Step::Stopped,
                cause: Cause::new(lost),
            }),
        }
    }

    async fn remove(&self, demand: &Demand, token: &Arc<Token>) {
        let entry = self.held.entry_by_ref(&demand.key);
        let same = entry.and_compute_with(|held| {
            let same = held.is_some_and(|held| Arc::ptr_eq(held.value(), token));
            std::future::ready(if same { Op::Remove } else { Op::Nop })
        });
        same.await;
    }
}

/// The token specification's answer. Some send the one, some the other, some both names.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

async fn mint(
    wire: Wire,
    clock: Clock,
    mirror: Arc<Mirror>,
    demand: Arc<Demand>,
    tally: Tally,
) -> Result<Arc<Token>, Error> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let start = Start {
        method: &Method::GET,
        url: demand.request(),
        headers,
        targets: demand.targets,
        at: mirror.endpoint().place().realm(&demand.url),
    };
    let limits = mirror.deadlines();
    let answer = redirect::follow(&wire, start, limits, &tally).await?;
    let answer = granted(answer, &mirror, &clock)?;
    let no_token = answer.unusable(Fault::NoToken);
    let body = answer.small_body(MAX_ANSWER, limits).await?;
    let token = serde_json::from_slice(&body)
        .ok()
        .and_then(|answer| read(answer, &clock));
    token.map(Arc::new).ok_or(no_token)
}

/// A token endpoint says nothing about a repository: its 404 is a fault, its 401 a question for credentials.
fn granted(answer: Answer, mirror: &Mirror, clock: &Clock) -> Result<Answer, Error> {
    let status = answer.status();
    match status {
        401 | 403 => Err(Error::Refused {
            at: answer.at,
            status,
            mirror: mirror.key().to_owned(),
        }),
        404 | 416 => Err(answer.unusable(Fault::Status)),
        _ => answer.expect(&[200], clock),
    }
}

fn read(answer: TokenAnswer, clock: &Clock) -> Option<Token> {
    let present = |token: &String| !token.is_empty();
    let token = answer
        .token
        .filter(present)
        .or(answer.access_token.filter(present))?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    let life = answer
        .expires_in
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let life = life
        .unwrap_or(LEAST_LIFE)
        .clamp(LEAST_LIFE, MOST_LIFE)
        .mul_f64(USED);
    // From receipt, not from `issued_at`: clocks differ.
    Some(Token {
        header,
        minted: Instant::now(),
        renew_at: clock.now() + life,
    })
}

#[cfg(test)]
mod tests;
