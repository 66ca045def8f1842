//! Owns: which credentials were refused a moment ago, and with what words.
//!
//! Promises: whoever would show the same again at the same place hears those words instead, for ten seconds: a wrong
//! password that is shown at every pull locks its account. Kept by the credential: another one is shown at once.
//! Never: waits by itself.

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::error::Error;

/// As long as any other negative answer.
const COUNTS_FOR: Duration = Duration::from_secs(10);
const KEPT: u64 = 1024;

/// Refusals, by what was shown and where.
#[derive(Clone)]
pub(super) struct Refusals<K>(Cache<K, (Timestamp, Error)>);

impl<K: Hash + Eq + Send + Sync + 'static> Refusals<K> {
    pub(super) fn new() -> Self {
        let kept = Cache::builder().max_capacity(KEPT);
        Self(kept.eviction_policy(EvictionPolicy::lru()).build())
    }

    /// An error where the same was refused a moment before `now`.
    pub(super) async fn check(&self, key: &K, now: Timestamp) -> Result<(), Error> {
        let Some((said_at, error)) = self.0.get(key).await else {
            return Ok(());
        };
        // A refusal from the future is of a clock that was set back.
        let age = Duration::try_from(now.duration_since(said_at));
        if age.is_ok_and(|age| age < COUNTS_FOR) {
            return Err(error);
        }
        Ok(())
    }

    pub(super) async fn remember(&self, key: K, error: Error, now: Timestamp) {
        self.0.insert(key, (now, error)).await;
    }
}

impl<K> fmt::Debug for Refusals<K> {
    // By hand: the keys are credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").finish_non_exhaustive()
    }
}
