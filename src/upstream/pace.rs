//! Owns: [`Pace`], how many bytes a second a mirror's upstreams send us as bodies of blobs.
//!
//! Promises: the rate over any while, however many bodies share it; a body is slowed by not being read.
//! Dropped: who waits for its turn has taken nothing.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The rate of one mirror.
#[derive(Debug)]
pub(super) struct Pace {
    account: Mutex<Account>,
    adjusted: Notify,
}

#[derive(Debug)]
struct Account {
    /// In bytes a second; none: as fast as they come.
    rate: Option<u64>,
    /// When what has been taken so far is paid for.
    paid_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self {
            account: Mutex::new(Account { rate, paid_at: None }),
            adjusted: Notify::new(),
        }
    }

    /// From now on at this rate. What has been taken is paid for: by the old one it could take for ever.
    pub(super) fn adjust(&self, rate: Option<u64>) {
        let mut account = self.lock();
        if account.rate != rate {
            *account = Account { rate, paid_at: None };
            self.adjusted.notify_waiters();
        }
    }

    /// Waits until more may be taken.
    pub(super) async fn ready(&self) {
        let mut adjusted = pin!(self.adjusted.notified());
        let paid_at = self.lock().paid_at;
        if let Some(paid_at) = paid_at {
            tokio::select! {
                () = sleep_until(paid_at) => {}
                () = &mut adjusted => {}
            }
        }
    }

    /// So many bytes came at `now`.
    pub(super) fn took(&self, bytes: usize, now: Instant) {
        let mut account = self.lock();
        let Some(rate) = account.rate else { return };
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        account.paid_at = Some(account.paid_at.map_or(now, |paid_at| paid_at.max(now)) + price);
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[test]
    fn what_is_taken_is_paid_for_in_time_and_rest_saves_nothing() {
        let (pace, start) = (Pace::new(Some(1000)), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let paid_at = || pace.lock().paid_at.unwrap();
        pace.took(100, at(0));
        pace.took(400, at(10));
        assert_eq!(paid_at(), at(500));
        pace.took(100, at(60_000));
        assert_eq!(paid_at(), at(60_100));
    }

    #[tokio::test]
    async fn another_rate_is_kept_at_once_by_who_waits_for_the_old_one() {
        let pace = Pace::new(Some(1));
        pace.took(1_000_000, Instant::now());
        let mut waits = pin!(pace.ready());
        assert!(poll!(waits.as_mut()).is_pending());
        pace.adjust(Some(1));
        assert!(poll!(waits.as_mut()).is_pending(), "nothing has changed");
        pace.adjust(Some(2));
        assert!(poll!(waits.as_mut()).is_ready());
        pace.took(1_000_000, Instant::now());
        assert!(poll!(pin!(pace.ready())).is_pending());
        pace.adjust(None);
        pace.took(1_000_000, Instant::now());
        pace.ready().await;
    }

    #[tokio::test]
    async fn without_a_rate_nobody_waits() {
        let pace = Pace::new(None);
        pace.took(usize::MAX, Instant::now());
        pace.ready().await;
    }
}
