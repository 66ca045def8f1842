//! Answers about changing facts, remembered for as long as nobody has changed them.
//!
//! Owns a counter for each shard of keys: the writer raises it after the commit, and an answer counts only while the
//! counter stands where it stood *before* the answer was read. Promises that an answer read beside a commit is never
//! given after it, whichever was put away last; a cache that is only invalidated gives such an answer back for good.
//! Dropping a future remembers nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::future::Cache;

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::Error;
use crate::store::index::listings::List;

/// A manifest raises one for each digest that it names, so few would make hot answers forget each other.
const SHARDS: usize = 16_384;

/// Names the counter that covers a key. Two keys may share one: that costs a read, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard(usize);

impl Shard {
    /// Covers all that any repository knows of the digest.
    pub(super) fn of_digest(digest: &Digest) -> Self {
        Self::of(("digest", digest))
    }

    /// Covers one tag.
    pub(super) fn of_tag(repo: &RepoKey, tag: &Tag) -> Self {
        Self::of(("tag", repo, tag))
    }

    /// Covers one list of an upstream.
    pub(super) fn of_list(repo: &RepoKey, list: &List) -> Self {
        Self::of(("list", repo, list))
    }

    fn of(key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        Self(hasher.finish() as usize % SHARDS)
    }
}

/// The counters.
#[derive(Debug)]
pub(super) struct Generations {
    counters: Box<[AtomicU64]>,
}

impl Generations {
    pub(super) fn new() -> Self {
        Self {
            counters: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// To be called before the read that is to be remembered.
    pub(super) fn now(&self, shard: Shard) -> u64 {
        self.counters[shard.0].load(Ordering::Acquire)
    }

    /// To be called after the commit and before it is acknowledged.
    pub(super) fn raise(&self, shard: Shard) {
        self.counters[shard.0].fetch_add(1, Ordering::AcqRel);
    }
}

/// Answers of one kind.
pub(super) struct Remembered<K, V> {
    answers: Cache<K, (u64, V)>,
    generations: Arc<Generations>,
}

impl<K, V> Remembered<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Holds up to `entries` answers.
    pub(super) fn new(entries: u64, generations: Arc<Generations>) -> Self {
        Self {
            answers: Cache::new(entries),
            generations,
        }
    }

    /// Holds answers up to `capacity`, of which `weigh` says what each takes.
    pub(super) fn weighed(capacity: u64, generations: Arc<Generations>, weigh: fn(&V) -> u32) -> Self {
        let answers = Cache::builder().max_capacity(capacity);
        Self {
            answers: answers.weigher(move |_, (_, answer): &(u64, V)| weigh(answer)).build(),
            generations,
        }
    }

    /// The answer for `key`, which `shard` covers: the remembered one, or what `read` says.
    pub(super) async fn get(
        &self,
        key: K,
        shard: Shard,
        read: impl Future<Output = Result<V, Error>>,
    ) -> Result<V, Error> {
        let generation = self.generations.now(shard);
        match self.answers.get(&key).await {
            Some((then, answer)) if then == generation => Ok(answer),
            _ => {
                let answer = read.await?;
                self.answers.insert(key, (generation, answer.clone())).await;
                Ok(answer)
            }
        }
    }
}

#[cfg(test)]
mod tests;
