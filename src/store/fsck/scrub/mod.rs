//! All content is proven again while wharf serves, slowly.
//!
//! Promises that a round takes as long as it was told to, or less where little is stored; that it goes on after a restart
//! where it was; and that after a stop that was not clean what landed last is looked at soon. Reads one blob at a time.
//! What is damaged is dropped as if it had been asked for. Dropping the future ends a round at the next step.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::oci::Digest;
use crate::store::fsck::examine::{Damage, Pace, Verdict};
use crate::store::index::{BlobRow, Round};
use crate::store::{Error, Scrub, Store};

/// A round is never slower, in bytes a second: that little costs nobody anything.
const SLOWEST: u64 = 1 << 20;
/// How fast what landed last is looked at.
const SOON: u64 = 16 << 20;
/// What landed within so long before the last of all landed last, in nanoseconds.
const LAST_NS: i64 = 3600 * 1_000_000_000;
/// Of that, so many blobs at most.
const MOST: usize = 4096;
/// Rows in a page, and blobs between two notes of the place.
const PAGE: usize = 32;
/// How long until the clock is looked at again: machines sleep, and clocks are set.
const LOOK: Duration = Duration::from_hours(1);

impl Store {
    /// Proves all content once within each period, until wharf winds down.
    pub async fn keep_scrubbed(self, clock: Clock, scrub: Scrub) {
        let Scrub::Every(period) = scrub else { return };
        let closing = self.tasks.closing();
        if !self.running.was_in_order()
            && let Err(error) = self.scrub_latest().await
        {
            tracing::warn!(%error, "what landed before the unclean stop is not proven now");
        }
        while !closing.is_cancelled() {
            let wait = match self.scrub_if_due(clock.now(), period).await {
                Ok(wait) => wait,
                Err(_) if closing.is_cancelled() => return,
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    tracing::error!(%error, ?cause, "content is not proven: gone on with in an hour");
                    LOOK
                }
            };
            tokio::select! {
                () = closing.cancelled() => {}
                () = sleep(wait.min(LOOK)) => {}
            }
        }
    }

    /// Begins a round, or goes on with one, if it is time for that; says when it is due again.
    pub(super) async fn scrub_if_due(&self, now: Timestamp, period: Duration) -> Result<Duration, Error> {
        let last = self.index.scrubbed().await?;
        let began = match last {
            Some(Round { began, done: false, .. }) => began,
            Some(Round { began, done: true, .. }) => {
                let age = Duration::try_from(now.duration_since(began)).unwrap_or(period);
                if age < period {
                    return Ok(period.saturating_sub(age));
                }
                now
            }
            None => now,
        };
        let behind = last.and_then(|round| round.behind);
        self.scrub_from(
            Round {
                began,
                behind,
                done: false,
            },
            period,
        )
        .await?;
        let age = Duration::try_from(now.duration_since(began)).unwrap_or_default();
        Ok(period.saturating_sub(age))
    }

    async fn scrub_from(&self, mut round: Round, period: Duration) -> Result<(), Error> {
        let (_, bytes) = self.index.stored().await?;
        let mut pace = silent(bytes / period.as_secs().max(1));
        loop {
            let blobs = self.index.blobs_behind(round.behind, PAGE).await?;
            let Some((last, _)) = blobs.last() else { break };
            round.behind = Some(*last);
            for (digest, row) in blobs {
                if !self.scrub_one(&digest, row, &mut pace).await? {
                    return Ok(());
                }
            }
            self.index.note_scrub(round).await?;
        }
        if round.behind.is_some() {
            tracing::info!("all content has been proven again");
        }
        let round = Round {
            done: true,
            behind: None,
            ..round
        };
        self.index.note_scrub(round).await
    }

    async fn scrub_latest(&self) -> Result<(), Error> {
        let mut pace = silent(SOON);
        for (digest, row) in self.index.latest_blobs(LAST_NS, MOST).await? {
            if !self.scrub_one(&digest, row, &mut pace).await? {
                return Ok(());
            }
        }
        tracing::info!("what landed before the unclean stop has been proven again");
        Ok(())
    }

    /// Proves one blob; false when wharf winds down.
    async fn scrub_one(&self, digest: &Digest, row: BlobRow, pace: &mut Pace) -> Result<bool, Error> {
        match self.examine(digest, row, pace).await? {
            None => return Ok(false),
            Some(Verdict::Touched(modified_ns)) => {
                self.index.reprove_blob(digest, row, modified_ns).await?;
            }
            // What cannot be read has been told, and stays where it is: perhaps the disk gives it another time.
            Some(Verdict::Good | Verdict::Damaged(Damage::Unreadable)) => {}
            Some(Verdict::Damaged(damage)) => {
                self.drop_blob(digest, row, damage.as_str(), false).await?;
            }
        }
        Ok(true)
    }
}

fn silent(rate: u64) -> Pace {
    Pace::new(Some(rate.max(SLOWEST)), Arc::new(|_| {}))
}

#[cfg(test)]
mod tests;
