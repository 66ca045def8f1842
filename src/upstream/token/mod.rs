//! Owns: Bearer tokens (distribution's token specification): what each is for, and those that are good.
//!
//! Promises: one token request for any number of callers, and none with a credential that was refused a moment ago; a token
//! is shown to the endpoint, for the purpose and with the credential that it was made for only; the next one is asked for
//! aside before it expires, and it is used until that one is there, or it is refused, or its life is over. Never logs one.
//! Dropped: a request for a token goes on, for the others that wait for it.

mod mint;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tracing::debug;
use url::Url;

use crate::clock::Clock;
use crate::oci::RemoteName;
use crate::tasks::Tasks;

use super::Tally;
use super::challenge::Bearer;
use super::credentials::Credential;
use super::error::Error;
use super::fault::{Cause, Fault, Step};
use super::guard::{self, Targets};
use super::mirror::{Endpoint, EndpointId};
use super::refusals::Refusals;
use super::shared::outlive;
use super::wire::Wire;
use mint::Mint;

const TOKENS: u64 = 1024;
const UNUSED: Duration = Duration::from_hours(1);
/// A token endpoint that gave no next token is asked again after so long, unless it says when.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// All tokens of the process.
#[derive(Clone)]
pub(super) struct Tokens {
    tasks: Tasks,
    clock: Clock,
    wire: Wire,
    held: Cache<Key, Arc<Token>>,
    refusals: Refusals<Key>,
}

/// A token endpoint and what it is to be asked for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    endpoint: EndpointId,
    realm: Url,
    targets: Targets,
    service: Option<String>,
    scopes: Vec<String>,
}

/// What a token is good for, and whom it was given to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    purpose: Arc<Purpose>,
    credential: Option<Arc<Credential>>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    minted: Instant,
    /// When to ask for the next one; none while somebody does.
    renew_at: Mutex<Option<Timestamp>>,
    /// When it is no longer good.
    ends_at: Timestamp,
}

impl Token {
    /// Whether the caller is the one to ask for the next one, now.
    fn take_renewal(&self, now: Timestamp) -> bool {
        let mut renew_at = self.renew_at.lock().unwrap_or_else(PoisonError::into_inner);
        renew_at.take_if(|at| *at <= now).is_some()
    }

    fn renew_at(&self, then: Timestamp) {
        *self.renew_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(then);
    }
}

/// A token in use.
#[derive(Debug)]
pub(super) struct Pass {
    key: Key,
    token: Arc<Token>,
}

impl Pass {
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.token.header.clone());
    }

    pub(super) fn purpose(&self) -> &Arc<Purpose> {
        &self.key.purpose
    }

    pub(super) fn credential(&self) -> Option<&Credential> {
        self.key.credential.as_deref()
    }

    /// Whether the token was made for just this purpose, and not before `began`.
    pub(super) fn is_fresh(&self, purpose: &Purpose, began: Instant) -> bool {
        self.token.minted >= began && *self.key.purpose == *purpose
    }
}

impl Purpose {
    /// What a challenge of this endpoint asks for, if it may be followed.
    pub(super) fn new(
        endpoint: &Endpoint,
        remote: &RemoteName,
        challenge: Bearer,
        targets: Targets,
    ) -> Result<Self, Fault> {
        let (realm, targets) = guard::realm(endpoint, &challenge.realm, targets)?;
        let scope = challenge.scope.unwrap_or_else(|| format!("repository:{remote}:pull"));
        let mut scopes: Vec<_> = scope.split_whitespace().map(str::to_owned).collect();
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self {
            endpoint: endpoint.id().clone(),
            realm,
            targets,
            service: challenge.service,
            scopes,
        })
    }
}

impl Tokens {
    pub(super) fn new(tasks: Tasks, clock: Clock, wire: Wire) -> Self {
        let held = Cache::builder().max_capacity(TOKENS).time_to_idle(UNUSED);
        Self {
            tasks,
            clock,
            wire,
            held: held.eviction_policy(EvictionPolicy::lru()).build(),
            refusals: Refusals::new(),
        }
    }

    /// A token for this purpose, of one who has this credential, or of anybody.
    pub(super) async fn pass(
        &self,
        endpoint: &Arc<Endpoint>,
        purpose: &Arc<Purpose>,
        credential: Option<Arc<Credential>>,
        tally: &Tally,
    ) -> Result<Pass, Error> {
        let purpose = Arc::clone(purpose);
        let key = Key { purpose, credential };
        if let Some(token) = self.held.get(&key).await {
            if self.clock.now() < token.ends_at {
                self.renew_aside(endpoint, &key, &token);
                return Ok(Pass { key, token });
            }
            self.remove(&key, &token).await;
        }
        let mint = self.mint(endpoint, &key, tally);
        let (held, wanted) = (self.held.clone(), key.clone());
        let shared = async move { held.try_get_with(wanted, mint.run()).await };
        match outlive(&self.tasks, shared).await {
            Ok(Ok(token)) => Ok(Pass { key, token }),
            Ok(Err(error)) => Err(Error::clone(&error)),
            Err(lost) => Err(Error::Unreachable {
                at: endpoint.place().realm(&key.purpose.realm),
                step: Step::Stopped,
                cause: Cause::new(lost),
            }),
        }
    }

    /// Asks for the next token where that is due, in a task of its own: one for a token, which is used meanwhile.
    fn renew_aside(&self, endpoint: &Arc<Endpoint>, key: &Key, token: &Arc<Token>) {
        if !token.take_renewal(self.clock.now()) {
            return;
        }
        // No client's doing: it is in no client's count.
        let mint = self.mint(endpoint, key, &Tally::default());
        let (this, key, token) = (self.clone(), key.clone(), Arc::clone(token));
        drop(outlive(&self.tasks, async move {
            match mint.run().await {
                Ok(next) => this.held.insert(key, next).await,
                Err(error) => {
                    debug!(%error, "a token is not renewed; the one from before is used");
                    let pause = error.retry_after().unwrap_or(RENEWAL_PAUSE);
                    token.renew_at(this.clock.now().checked_add(pause).unwrap_or(Timestamp::MAX));
                }
            }
        }));
    }

    fn mint(&self, endpoint: &Arc<Endpoint>, key: &Key, tally: &Tally) -> Mint {
        Mint {
            wire: self.wire.clone(),
            clock: self.clock.clone(),
            endpoint: Arc::clone(endpoint),
            key: key.clone(),
            refusals: self.refusals.clone(),
            tally: tally.clone(),
        }
    }

    /// Forgets a token that was refused, unless another has taken its place.
    pub(super) async fn forget(&self, refused: &Pass) {
        self.remove(&refused.key, &refused.token).await;
    }

    async fn remove(&self, key: &Key, token: &Arc<Token>) {
        let entry = self.held.entry_by_ref(key);
        let same = entry.and_compute_with(|held| {
            let same = held.is_some_and(|held| Arc::ptr_eq(held.value(), token));
            std::future::ready(if same { Op::Remove } else { Op::Nop })
        });
        same.await;
    }
}

#[cfg(test)]
mod tests;
