//! Owns: anonymous Bearer tokens (distribution's token specification): who demands one, and those that are good.
//!
//! Promises: one token request per scope for any number of callers; a token is used by the mirror that it was made for
//! only; it is renewed before it expires, and forgotten when it is refused. Never logs one.
//! Dropped: a request for a token goes on, for the others that wait for it.

mod mint;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
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
use super::shared::outlive;
use super::wire::Wire;

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
        let scope = challenge.scope.unwrap_or_else(|| format!("repository:{remote}:pull"));
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

    async fn grant(&self, mirror: &Arc<Mirror>, demand: Arc<Demand>, tally: &Tally) -> Result<Grant, Error> {
        if let Some(token) = self.held.get(&demand.key).await
            && token.renew_at <= self.clock.now()
        {
            self.remove(&demand, &token).await;
        }
        let mint = mint::mint(
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

#[cfg(test)]
mod tests;
