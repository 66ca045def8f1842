//! Owns: what a request presents: nothing, a login, or a token; and what each repository is known to demand.
//!
//! Promises: a repository's second request begins with what its first one had to present. What is refused is replaced
//! once: a token by a fresh one, a credential by what its source gives now; only then it is the answer, and it is not
//! presented again for a moment.
//! Dropped: a request for a token and a look at a source go on, for the others that wait for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use reqwest::header::HeaderMap;

use crate::clock::Clock;
use crate::oci::RemoteName;
use crate::tasks::Tasks;

use super::Tally;
use super::credentials::{Credential, Credentials};
use super::error::Error;
use super::mirror::{Endpoint, EndpointId};
use super::refusals::Refusals;
use super::token::{Pass, Purpose, Tokens};
use super::wire::Wire;

const DEMANDS: u64 = 16 * 1024;
const UNUSED: Duration = Duration::from_hours(1);

/// Whom wharf is to every upstream.
#[derive(Clone)]
pub(super) struct Auth {
    clock: Clock,
    credentials: Credentials,
    tokens: Tokens,
    /// Per endpoint and repository, so that the second request does not begin with a 401.
    demands: Cache<(EndpointId, RemoteName), Demand>,
    /// Of credentials that were shown to the endpoint itself.
    refusals: Refusals<(EndpointId, RemoteName, Arc<Credential>)>,
}

/// What an upstream wants to see.
#[derive(Debug, Clone)]
pub(super) enum Demand {
    /// The credentials themselves.
    Basic,
    /// A token from its token endpoint.
    Token(Arc<Purpose>),
}

/// What it is shown.
#[derive(Debug)]
pub(super) enum Grant {
    Basic(Arc<Credential>),
    Token(Pass),
}

impl Grant {
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        match self {
            Self::Basic(credential) => credential.authorize(headers),
            Self::Token(pass) => pass.authorize(headers),
        }
    }

    pub(super) fn demand(&self) -> Demand {
        match self {
            Self::Basic(_) => Demand::Basic,
            Self::Token(pass) => Demand::Token(Arc::clone(pass.purpose())),
        }
    }

    /// Whom it was granted to; `None` for everybody.
    pub(super) fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Basic(credential) => Some(credential),
            Self::Token(pass) => pass.credential(),
        }
    }
}

impl Auth {
    pub(super) fn new(tasks: Tasks, clock: Clock, wire: Wire) -> Self {
        let demands = Cache::builder().max_capacity(DEMANDS).time_to_idle(UNUSED);
        Self {
            credentials: Credentials::new(tasks.clone(), clock.clone()),
            tokens: Tokens::new(tasks, clock.clone(), wire),
            clock,
            demands: demands.eviction_policy(EvictionPolicy::lru()).build(),
            refusals: Refusals::new(),
        }
    }

    /// Who wharf is to an endpoint now; `None`: anybody, or one who cannot say.
    pub(super) async fn who(&self, endpoint: &Endpoint) -> Option<Arc<Credential>> {
        self.credentials.current(endpoint).await.ok().flatten()
    }

    /// What a repository is known to demand.
    pub(super) async fn recall(
        &self,
        endpoint: &Arc<Endpoint>,
        remote: &RemoteName,
        tally: &Tally,
    ) -> Result<Option<Grant>, Error> {
        let repository = (endpoint.id().clone(), remote.clone());
        let Some(demand) = self.demands.get(&repository).await else {
            return Ok(None);
        };
        let grant = self.grant(endpoint, remote, demand, tally).await;
        if grant.is_err() {
            // The upstream may have moved its realm: the next request hears the challenge again.
            self.demands.invalidate(&repository).await;
        }
        grant.map(Some)
    }

    /// What meets a demand that was just heard; the repository's next request begins with it.
    pub(super) async fn meet(
        &self,
        endpoint: &Arc<Endpoint>,
        remote: &RemoteName,
        demand: Demand,
        tally: &Tally,
    ) -> Result<Grant, Error> {
        let grant = self.grant(endpoint, remote, demand.clone(), tally).await?;
        let repository = (endpoint.id().clone(), remote.clone());
        self.demands.insert(repository, demand).await;
        Ok(grant)
    }

    /// What may do better than a grant that was refused with this demand, in answer to a question that `began` then.
    pub(super) async fn instead_of(
        &self,
        refused: &Grant,
        demand: Demand,
        began: Instant,
        endpoint: &Arc<Endpoint>,
        remote: &RemoteName,
        tally: &Tally,
    ) -> Result<Option<Grant>, Error> {
        match (refused, &demand) {
            (Grant::Basic(credential), Demand::Basic) => {
                let other = self.credentials.instead_of(credential, endpoint).await;
                return Ok(other.map(Grant::Basic));
            }
            (Grant::Token(pass), Demand::Token(purpose)) if pass.is_fresh(purpose, began) => return Ok(None),
            (Grant::Token(pass), Demand::Token(_) | Demand::Basic) => self.tokens.forget(pass).await,
            (Grant::Basic(_), Demand::Token(_)) => {}
        }
        self.meet(endpoint, remote, demand, tally).await.map(Some)
    }

    /// Remembers that the endpoint itself does not accept a credential (401). What a 403 forbids may be one image only.
    pub(super) async fn note_refusal(&self, grant: &Grant, endpoint: &Endpoint, remote: &RemoteName, error: &Error) {
        if let (Grant::Basic(credential), Some(401)) = (grant, error.status()) {
            let key = (endpoint.id().clone(), remote.clone(), Arc::clone(credential));
            self.refusals.remember(key, error.clone(), self.clock.now()).await;
        }
    }

    async fn grant(
        &self,
        endpoint: &Arc<Endpoint>,
        remote: &RemoteName,
        demand: Demand,
        tally: &Tally,
    ) -> Result<Grant, Error> {
        let credential = self.credentials.current(endpoint).await?;
        let granted = self.present(endpoint, remote, &demand, credential.clone(), tally).await;
        let refused = matches!(granted, Err(Error::Rejected { .. } | Error::Denied { .. }));
        let Some(credential) = credential.filter(|_| refused) else {
            return granted;
        };
        match self.credentials.instead_of(&credential, endpoint).await {
            Some(other) => self.present(endpoint, remote, &demand, Some(other), tally).await,
            None => granted,
        }
    }

    async fn present(
        &self,
        endpoint: &Arc<Endpoint>,
        remote: &RemoteName,
        demand: &Demand,
        credential: Option<Arc<Credential>>,
        tally: &Tally,
    ) -> Result<Grant, Error> {
        match (demand, credential) {
            (Demand::Token(purpose), credential) => {
                let pass = self.tokens.pass(endpoint, purpose, credential, tally).await;
                pass.map(Grant::Token)
            }
            (Demand::Basic, Some(credential)) => {
                let key = (endpoint.id().clone(), remote.clone(), Arc::clone(&credential));
                self.refusals.check(&key, self.clock.now()).await?;
                Ok(Grant::Basic(credential))
            }
            (Demand::Basic, None) => Err(Error::Refused {
                at: endpoint.place(),
                status: 401,
                mirror: endpoint.mirror().to_owned(),
            }),
        }
    }
}
