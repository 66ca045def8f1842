//! Answers that say that something is not there: remembered for a moment, so that a client which asks again and again
//! costs the upstream nothing, and what appears is soon seen.
//!
//! Owns them in memory only: after a restart, and when the upstream cannot be asked, nothing is known to be absent.

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;

/// How long such an answer counts (design section 3, "Asking an upstream").
const COUNTS_FOR: Duration = Duration::from_secs(10);
/// Answers kept; forgotten ones cost a request more.
const KEPT: u64 = 10_000;

/// The latest such answers.
#[derive(Clone)]
pub(super) struct Brief<K, V>(Cache<K, (Timestamp, V)>);

impl<K, V> Brief<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// What was remembered, while it counts.
    pub(super) async fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let (age, answer) = self.aged(key, now).await?;
        (age < COUNTS_FOR).then_some(answer)
    }

    /// What was remembered, and how long ago.
    pub(super) async fn aged(&self, key: &K, now: Timestamp) -> Option<(Duration, V)> {
        let (said_at, answer) = self.0.get(key).await?;
        // An answer from the future is of a clock that was set back.
        let age = Duration::try_from(now.duration_since(said_at)).ok()?;
        Some((age, answer))
    }

    /// Whoever asks next hears it from the upstream.
    pub(super) async fn forget(&self, key: &K) {
        self.0.invalidate(key).await;
    }

    pub(super) async fn remember(&self, key: K, said_at: Timestamp, answer: V) {
        self.0.insert(key, (said_at, answer)).await;
    }
}

impl<K, V> fmt::Debug for Brief<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brief").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_counts_for_ten_seconds() {
        let (brief, said_at) = (Brief::new(), Timestamp::UNIX_EPOCH);
        let after = async |millis: i64| {
            let now = said_at + jiff::SignedDuration::from_millis(millis);
            brief.get(&"x", now).await
        };
        assert_eq!(after(0).await, None);
        brief.remember("x", said_at, 7).await;
        assert_eq!(after(9_999).await, Some(7));
        assert_eq!(after(10_000).await, None);
        assert_eq!(after(-1).await, None, "a clock that was set back");
        brief.forget(&"x").await;
        assert_eq!(after(0).await, None);
    }

    #[tokio::test]
    async fn answers_are_few_however_many_are_remembered() {
        let (brief, said_at) = (Brief::new(), Timestamp::UNIX_EPOCH);
        for key in 0..2 * KEPT {
            brief.remember(key, said_at, ()).await;
        }
        brief.0.run_pending_tasks().await;
        assert!(brief.0.entry_count() <= KEPT, "{}", brief.0.entry_count());
    }
}
