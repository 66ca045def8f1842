//! The daily copy of the index: tags and manifests that were pushed are nowhere else in the world.
//!
//! Owns `<store>/backup`. Promises a copy that is a day old at most while wharf runs, and that a copy which fails leaves
//! the one before. Dropping [`Store::keep_backed_up`] leaves a copy that was begun to its end.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::store::content::disk;
use crate::store::index::copy;
use crate::store::{Error, Store};

/// How old the copy gets.
const EVERY: Duration = Duration::from_hours(24);
/// How long until the clock is looked at again: machines sleep, and clocks are set.
const LOOK: Duration = Duration::from_hours(1);

impl Store {
    /// Copies the index as it is now, in place of the last copy. Ends early, with an error, when wharf winds down.
    pub async fn back_up(&self, now: Timestamp) -> Result<(), Error> {
        let to = self.copy();
        let dir = self.layout.backup();
        let made = self.tasks.blocking(move || disk::create_dir(&dir));
        made.await.map_err(Error::Lost)??;
        self.index.copy_to(to, now, self.tasks.closing()).await
    }

    /// When the last copy was made; `None` when there is no usable one.
    pub async fn backed_up_at(&self) -> Result<Option<Timestamp>, Error> {
        let copy = self.copy();
        self.tasks
            .blocking(move || copy::made_at(&copy))
            .await
            .map_err(Error::Lost)
    }

    /// Makes copies, until wharf winds down: at once when the last one is older than a day, and then by the clock.
    pub async fn keep_backed_up(self, clock: Clock) {
        let trouble = "the index is not backed up: tried again in an hour";
        self.keep(LOOK, trouble, || self.back_up_if_due(clock.now())).await;
    }

    /// Makes a copy if the last one is too old; says when to look again.
    async fn back_up_if_due(&self, now: Timestamp) -> Result<Duration, Error> {
        let age = self.backed_up_at().await?.map(|then| now.duration_since(then));
        let left = match age.map(Duration::try_from) {
            Some(Ok(age)) => EVERY.saturating_sub(age),
            // None, or one of the future: nobody knows how old that is.
            Some(Err(_)) | None => Duration::ZERO,
        };
        if !left.is_zero() {
            return Ok(left);
        }
        self.back_up(now).await?;
        tracing::info!("the index is backed up");
        Ok(EVERY)
    }

    fn copy(&self) -> PathBuf {
        self.layout.backup().join(copy::FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Dir;

    #[tokio::test]
    async fn a_copy_is_made_at_once_and_again_when_it_is_a_day_old() {
        let dir = Dir::new();
        let store = dir.open().await;
        let hour = |n: u64| Timestamp::from_second(1_000_000).unwrap() + Duration::from_hours(n);
        let made = async |now| {
            let wait = store.back_up_if_due(now).await.unwrap();
            (wait, store.backed_up_at().await.unwrap())
        };
        assert_eq!(made(hour(0)).await, (EVERY, Some(hour(0))));
        assert_eq!(made(hour(23)).await, (Duration::from_hours(1), Some(hour(0))));
        assert_eq!(made(hour(24)).await, (EVERY, Some(hour(24))));
        assert_eq!(made(hour(5)).await, (EVERY, Some(hour(5))), "the clock was put right");
    }

    #[tokio::test]
    async fn copying_ends_with_wharf() {
        let dir = Dir::new();
        let store = dir.open().await;
        let clock = Clock::manual(Timestamp::from_second(7).unwrap());
        let keeping = store.tasks.spawn(store.clone().keep_backed_up(clock));
        assert!(store.tasks.close(Duration::from_mins(1)).await);
        keeping.await.unwrap();
    }
}
