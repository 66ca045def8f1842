//! The readers of an arriving blob that wait for bytes, and what to fetch for those far ahead.
//!
//! Owns one entry for each reader that waits, with its waker: a reader is woken when its byte is there, and not before.
//! Promises that nobody who would be reached soon costs the upstream a request. Never does I/O.

use std::collections::BTreeMap;
use std::ops::Range;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

const MIB: u64 = 1024 * 1024;

/// A reader nearer than this waits for the main stream.
const NEAR: u64 = MIB;
/// How long a reader waits before it is looked at, so that the main stream's pace is known.
const PATIENCE: Duration = Duration::from_millis(25);
/// The main stream is waited for when it will arrive within this time at its present pace.
const SOON: Duration = Duration::from_millis(250);
/// The smallest and the largest window that a side stream fetches. It doubles for a reader that reads on.
const WINDOW: Range<u64> = MIB..64 * MIB;

/// The readers that wait, by reader.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    readers: BTreeMap<u64, Wait>,
}

/// One reader's wait.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) waker: Waker,
    /// The span it wants next; `None` when it waits for the proof.
    pub(super) span: Option<Range<u64>>,
    pub(super) since: Instant,
    /// Where the main stream was then.
    pub(super) main_was_at: u64,
    /// How many waits this reader has had before.
    pub(super) streak: u32,
}

/// What the readers that wait need fetched out of order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// This span, now.
    Fetch(Range<u64>),
    /// Perhaps something: look again then.
    LookAgain(Instant),
    /// Nothing.
    Nothing,
}

impl Waiting {
    /// Notes that a reader waits; one that waits already keeps its place. Tells whether the wait is a new one.
    pub(super) fn wait(&mut self, reader: u64, wait: Wait) -> bool {
        match self.readers.get_mut(&reader) {
            Some(before) if before.span == wait.span => {
                before.waker = wait.waker;
                false
            }
            _ => {
                self.readers.insert(reader, wait);
                true
            }
        }
    }

    pub(super) fn leave(&mut self, reader: u64) {
        self.readers.remove(&reader);
    }

    /// Takes out those whose next byte lies in `arrived`, to be woken outside the lock.
    pub(super) fn reached(&mut self, arrived: &Range<u64>) -> Vec<Waker> {
        let reached = self.readers.extract_if(.., |_, wait| {
            wait.span.as_ref().is_some_and(|span| arrived.contains(&span.start))
        });
        reached.map(|(_, wait)| wait.waker).collect()
    }

    /// Takes out everybody.
    pub(super) fn all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.readers)
            .into_values()
            .map(|wait| wait.waker)
            .collect()
    }

    /// What the reader that has waited longest, far from the main stream and from every claim, needs.
    pub(super) fn demand(&self, now: Instant, main_at: u64, claimed: impl Fn(u64) -> bool) -> Demand {
        let mut look_again: Option<Instant> = None;
        let mut longest: Option<(&Wait, &Range<u64>)> = None;
        for wait in self.readers.values() {
            let Some(span) = wait.span.as_ref().filter(|span| !claimed(span.start)) else {
                continue;
            };
            match wait.reached_at(span.start, main_at, now) {
                Some(then) => look_again = Some(look_again.map_or(then, |other| other.min(then))),
                None if longest.is_none_or(|(other, _)| wait.since < other.since) => longest = Some((wait, span)),
                None => {}
            }
        }
        match (longest, look_again) {
            (Some((wait, span)), _) => Demand::Fetch(wait.window(span)),
            (None, Some(then)) => Demand::LookAgain(then),
            (None, None) => Demand::Nothing,
        }
    }
}

impl Wait {
    /// When to look at this reader again; `None` when it needs a stream of its own now.
    fn reached_at(&self, start: u64, main_at: u64, now: Instant) -> Option<Instant> {
        let waited = now.saturating_duration_since(self.since);
        if waited < PATIENCE {
            return Some(self.since + PATIENCE);
        }
        let distance = start.checked_sub(main_at)?;
        let moved = main_at.saturating_sub(self.main_was_at);
        let within = u128::from(moved) * SOON.as_millis() / waited.as_millis().max(1);
        (distance < NEAR || u128::from(distance) <= within).then(|| now + SOON / 4)
    }

    fn window(&self, span: &Range<u64>) -> Range<u64> {
        let largest = ((4 * MIB) << self.streak.min(4)).min(WINDOW.end);
        let wanted = (span.end - span.start).clamp(WINDOW.start, largest);
        span.start..span.start + wanted
    }
}

#[cfg(test)]
mod tests;
