//! Owns: the credentials that wharf asks upstreams with: where they come from, and how old what came from there may be.
//!
//! Promises: a file is looked at every second at most, a helper once in a lifetime, and either when the upstream refuses
//! what it gave; one look for any number of callers, and who has credentials does not wait for newer ones. A source that
//! fails later on changes nothing: what it gave last is used until it is refused.
//! Dropped: a look goes on, for the others that wait for it.

mod credential;
mod docker;
mod file;
mod helper;
mod server;
mod source;
mod unavailable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use moka::ops::compute::Op;
use tokio::time::timeout;
use tracing::warn;

use crate::clock::Clock;
use crate::tasks::Tasks;

use super::error::Error;
use super::mirror::Endpoint;
use super::shared::outlive;
use file::SecretFile;
use source::{Given, Outside};

pub use credential::Whose;
pub(super) use credential::{Credential, sensitive};
pub(super) use source::Source;
pub use unavailable::Unavailable;

const SOURCES: u64 = 1024;
const MOMENT: Duration = Duration::from_secs(1);

/// All credentials of the process.
#[derive(Clone)]
pub(super) struct Credentials {
    tasks: Tasks,
    clock: Clock,
    held: Cache<Outside, Arc<Held>>,
}

/// What a source gave when it was last looked at.
struct Held {
    given: Result<Given, Arc<Unavailable>>,
    /// Whether the last look gave nothing.
    failed: bool,
    looked_at: Timestamp,
    /// When to look again, unasked.
    due: Timestamp,
    /// Whether somebody is looking already.
    looking: AtomicBool,
}

impl Credentials {
    pub(super) fn new(tasks: Tasks, clock: Clock) -> Self {
        let held = Cache::builder().max_capacity(SOURCES).build();
        Self { tasks, clock, held }
    }

    /// What to ask an endpoint with; `None` where nothing is configured.
    pub(super) async fn current(&self, endpoint: &Endpoint) -> Result<Option<Arc<Credential>>, Error> {
        let Some(source) = endpoint.credentials() else {
            return Ok(None);
        };
        match self.given(source, endpoint, None).await {
            Ok(credential) => Ok(Some(credential)),
            // Docker's file speaks of each registry by itself, and of those that want no login not at all.
            Err(cause) if endpoint.is_one_of_several() && matches!(*cause, Unavailable::NoEntry { .. }) => Ok(None),
            Err(cause) => Err(Error::NoCredentials {
                at: endpoint.place(),
                mirror: endpoint.mirror().to_owned(),
                key: source.key(),
                source: cause,
            }),
        }
    }

    /// What has taken the place of a credential that the upstream refuses, if anything has.
    pub(super) async fn instead_of(&self, refused: &Credential, endpoint: &Endpoint) -> Option<Arc<Credential>> {
        let given = self
            .given(endpoint.credentials()?, endpoint, Some(refused))
            .await
            .ok()?;
        (*given != *refused).then_some(given)
    }

    async fn given(
        &self,
        source: &Source,
        endpoint: &Endpoint,
        refused: Option<&Credential>,
    ) -> Result<Arc<Credential>, Arc<Unavailable>> {
        let mut outside = match source {
            Source::Said(credential) => return Ok(Arc::clone(credential)),
            Source::Outside(outside) => outside.clone(),
        };
        loop {
            // A file may name a helper, and a helper names nothing more.
            match self.held(outside, endpoint.patience(), refused).await? {
                Given::Credential(credential) => return Ok(credential),
                Given::Helper(helper) => outside = Outside::Helper(helper),
            }
        }
    }

    async fn held(
        &self,
        outside: Outside,
        within: Duration,
        refused: Option<&Credential>,
    ) -> Result<Given, Arc<Unavailable>> {
        let held = self.held.get(&outside).await;
        if let Some(held) = held.filter(|held| held.given.is_ok() && refused.is_none()) {
            if held.due <= self.clock.now() && !held.looking.swap(true, Ordering::Relaxed) {
                // Not waited for: it goes on by itself.
                drop(self.look(outside, within, None));
            }
            return held.given.clone();
        }
        // A helper keeps to `within` by itself, and has a moment to say so; a file system may never answer.
        let looked = timeout(within + MOMENT, self.look(outside, within, refused.cloned())).await;
        let held = looked.ok().flatten().ok_or_else(|| Arc::new(Unavailable::GivenUp))?;
        held.given.clone()
    }

    /// Looks in a task of its own, unless somebody just has; `None` when wharf winds down.
    fn look(
        &self,
        outside: Outside,
        within: Duration,
        refused: Option<Credential>,
    ) -> impl Future<Output = Option<Arc<Held>>> {
        let this = self.clone();
        let looked = outlive(&self.tasks, async move {
            let entry = this.held.entry(outside.clone());
            let looked = entry.and_compute_with(async |entry| {
                let before = entry.map(moka::Entry::into_value);
                let now = this.clock.now();
                let due = |held: &Arc<Held>| held.is_to_be_replaced(outside.rest(), refused.as_ref(), now);
                if before.as_ref().is_none_or(due) {
                    Op::Put(Arc::new(this.read(&outside, within, before.as_deref()).await))
                } else {
                    Op::Nop
                }
            });
            looked.await.into_entry().map(moka::Entry::into_value)
        });
        async move { looked.await.ok().flatten() }
    }

    async fn read(&self, outside: &Outside, within: Duration, before: Option<&Held>) -> Held {
        let read = match outside {
            Outside::Helper(helper) => helper.ask(&self.tasks, within).await,
            Outside::File(file) => self.read_aside(file.clone()).await,
        };
        let looked_at = self.clock.now();
        let failed = read.is_err();
        let given = match (read, before.map(|before| (before.failed, &before.given))) {
            (Err(error), Some((failed, Ok(given)))) => {
                if !failed {
                    warn!(%error, "credentials cannot be renewed; those from before are used");
                }
                Ok(given.clone())
            }
            (read, _) => read.map_err(Arc::new),
        };
        let wait = if failed { outside.pause() } else { outside.period() };
        Held {
            given,
            failed,
            looked_at,
            due: looked_at.checked_add(wait).unwrap_or(Timestamp::MAX),
            looking: AtomicBool::new(false),
        }
    }

    async fn read_aside(&self, file: SecretFile) -> Result<Given, Unavailable> {
        let read = self.tasks.blocking(move || file.read()).await;
        read.unwrap_or(Err(Unavailable::GivenUp))
    }
}

impl Held {
    /// Whether to look again, for one who has a credential that was refused, or for one who has none or an old one.
    fn is_to_be_replaced(&self, rest: Duration, refused: Option<&Credential>, now: Timestamp) -> bool {
        match (refused, &self.given) {
            (None, _) => self.due <= now,
            // Somebody else has looked already.
            (Some(refused), Ok(Given::Credential(given))) if **given != *refused => false,
            (Some(_), Ok(_) | Err(_)) => self.looked_at + rest <= now,
        }
    }
}
