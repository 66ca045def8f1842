//! The only source of wall time, and how lengths of time are written.
//!
//! Promises that whoever holds clones of one [`Clock`] agrees on the time, so that a test can set it by hand. Socket
//! deadlines are tokio's business, not this clock's.

pub mod friendly;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A clock; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    System,
    Manual {
        start: Timestamp,
        elapsed_ns: Arc<AtomicU64>,
    },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Hands::System)
    }

    /// A clock that stands at `start` until it is moved with [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Hands::Manual {
            start,
            elapsed_ns: Arc::default(),
        })
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the door to wall time")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hands::System => Timestamp::now(),
            Hands::Manual { start, elapsed_ns } => {
                let elapsed = Duration::from_nanos(elapsed_ns.load(Ordering::SeqCst));
                start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Moves a manual clock and all its clones; nobody moves the machine's clock from here.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Hands::System => {}
            Hands::Manual { elapsed_ns, .. } => {
                let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
                elapsed_ns.fetch_add(by, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_with_its_clones_and_by_hand_only() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let clone = clock.clone();
        assert_eq!(clone.now(), Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(90));
        clock.advance(Duration::from_millis(1));
        assert_eq!(clone.now().as_millisecond(), 90_001);
    }

    #[test]
    fn the_system_clock_is_not_ours_to_move() {
        let clock = Clock::system();
        let before = clock.now();
        clock.advance(Duration::from_hours(1));
        assert!(clock.now() < before + Duration::from_mins(50));
    }
}
