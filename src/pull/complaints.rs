//! What is wrong with the store, said now and then: a full disk must not fill the log too.
//!
//! Owns when each kind of trouble was told last. Never does I/O.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{Error, Trouble};

/// One kind of trouble is told about once in so long.
const PAUSE: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<Trouble, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How often the same has been met since.
    since: u64,
}

impl Complaints {
    /// Says in the log what is wrong and what came of it, unless the like has been said within the last minute.
    pub(super) fn tell(&self, what: impl Display, error: &Error) {
        let (trouble, cause): (_, &dyn StdError) = (error.trouble(), error);
        if let Some(untold) = self.turn(trouble, Instant::now()) {
            tracing::error!(cause, untold, "{what}: {trouble}; pulls go on without the store");
        } else {
            tracing::debug!(cause, "{what}");
        }
    }

    /// Whether it is time to say so again; then how often it was not said.
    fn turn(&self, trouble: Trouble, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = match told.get_mut(&trouble) {
            Some(told) if now < told.at + PAUSE => {
                told.since += 1;
                return None;
            }
            Some(told) => told.since,
            None => 0,
        };
        told.insert(trouble, Told { at: now, since: 0 });
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_told_once_a_minute() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        let turn = |trouble, seconds| complaints.turn(trouble, now + Duration::from_secs(seconds));
        assert_eq!(turn(Trouble::Full, 0), Some(0));
        assert_eq!((turn(Trouble::Full, 1), turn(Trouble::Full, 59)), (None, None));
        assert_eq!(turn(Trouble::ReadOnly, 59), Some(0), "another one");
        assert_eq!(turn(Trouble::Full, 60), Some(2));
        assert_eq!(turn(Trouble::Full, 119), None);
    }
}
