//! Facts of mirrors' repositories that nobody asks for leave the index, so that it does not grow for ever.
//!
//! Promises that what was asked for within the time set stays, and so does what has content stored; and that nothing of a
//! hosted repository is touched. What goes is what the upstream can tell anew. No step keeps other writes waiting for
//! longer than some of their own. Killed at any moment, a pass is begun anew.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::store::index::forget::Place;
use crate::store::{Error, Store};

/// How often everything is looked over: how exactly it is known when something was asked for last.
const EVERY: Duration = Duration::from_hours(24);
/// How long until the clock is looked at again: machines sleep, and clocks are set.
const LOOK: Duration = Duration::from_hours(1);
/// Rows in one step.
const STEP: usize = 64;

impl Store {
    /// Looks over everything once: marks what was not asked for since the last time, and forgets what has been marked for
    /// `after` and has no content. Says how many tags and links went. Ends between two steps when wharf winds down.
    pub async fn forget(&self, now: Timestamp, after: Duration) -> Result<u64, Error> {
        let closing = self.tasks.closing();
        let before = now.checked_sub(after).unwrap_or(Timestamp::MIN);
        let (mut place, mut forgotten) = (Place::default(), 0);
        while !closing.is_cancelled() {
            let step = self.index.forget(place, now, before, STEP).await?;
            forgotten += step.forgotten;
            let Some(next) = step.next else {
                self.index.looked_over(now).await?;
                break;
            };
            place = next;
        }
        Ok(forgotten)
    }

    /// Looks over everything once a day, until wharf winds down.
    pub async fn keep_forgetting(self, clock: Clock, after: Duration) {
        let trouble = "what nobody asks for is not forgotten: tried again in an hour";
        self.keep(LOOK, trouble, || self.forget_if_due(clock.now(), after))
            .await;
    }

    /// Looks over everything if the last time is too long ago; says when it is due again.
    async fn forget_if_due(&self, now: Timestamp, after: Duration) -> Result<Duration, Error> {
        let age = self.index.looked_over_at().await?.map(|then| now.duration_since(then));
        let left = match age.map(Duration::try_from) {
            Some(Ok(age)) => EVERY.saturating_sub(age),
            // Never, or in the future: nobody knows how long ago that is.
            Some(Err(_)) | None => Duration::ZERO,
        };
        if !left.is_zero() {
            return Ok(left);
        }
        let forgotten = self.forget(now, after).await?;
        if forgotten > 0 {
            tracing::info!(facts = forgotten, "forgot what nobody asked for");
        }
        Ok(EVERY)
    }
}

#[cfg(test)]
mod tests;
