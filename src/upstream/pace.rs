//! Owns: [`Pace`], how many bytes a second a mirror's upstreams send us as bodies of blobs.
//!
//! Promises: the rate over any while, however many bodies share it; a body is slowed by not being read.
//! Dropped: who waits for its turn has taken nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The rate of one mirror.
#[derive(Debug)]
pub(super) struct Pace {
    /// In bytes a second; none: as fast as they come.
    rate: Option<u64>,
    /// When what has been taken so far is paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>) -> Self {
        let paid_at = Mutex::default();
        Self { rate, paid_at }
    }

    /// Waits until more may be taken.
    pub(super) async fn ready(&self) {
        let paid_at = *self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(paid_at) = paid_at {
            sleep_until(paid_at).await;
        }
    }

    /// So many bytes came at `now`.
    pub(super) fn took(&self, bytes: usize, now: Instant) {
        let Some(rate) = self.rate else { return };
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        *paid_at = Some(paid_at.map_or(now, |paid_at| paid_at.max(now)) + price);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_paid_for_in_time_and_rest_saves_nothing() {
        let (pace, start) = (Pace::new(Some(1000)), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let paid_at = || pace.paid_at.lock().unwrap().unwrap();
        pace.took(100, at(0));
        pace.took(400, at(10));
        assert_eq!(paid_at(), at(500));
        pace.took(100, at(60_000));
        assert_eq!(paid_at(), at(60_100));
    }

    #[tokio::test]
    async fn without_a_rate_nobody_waits() {
        let pace = Pace::new(None);
        pace.took(usize::MAX, Instant::now());
        pace.ready().await;
    }
}
