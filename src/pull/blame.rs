//! Which upstream sent wrong bytes for which digest, and is therefore not asked for it for a while (P3).
//!
//! Owns one entry for each pair, in memory only: a restart forgives. Never does I/O.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::oci::Digest;
use crate::pull::Error;

/// How long an upstream is left alone after the first mismatch; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(5);
/// The longest it is left alone.
const LONGEST: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct Blame {
    strikes: Mutex<HashMap<(String, Digest), Strike>>,
}

#[derive(Debug)]
struct Strike {
    pause: Duration,
    until: Instant,
}

impl Blame {
    /// An error while, at `now`, `upstream` is left alone for `digest`.
    pub(super) fn check(&self, upstream: &str, digest: &Digest, now: Instant) -> Result<(), Error> {
        let strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        match strikes.get(&(upstream.to_owned(), *digest)) {
            Some(strike) if now < strike.until => Err(mismatch(upstream, digest)),
            _ => Ok(()),
        }
    }

    /// Notes a mismatch at `now`, and gives the error for those who wait.
    pub(super) fn strike(&self, upstream: &str, digest: &Digest, now: Instant) -> Error {
        let mut strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        // What is long forgiven is forgotten, so that a lying upstream cannot fill the memory.
        strikes.retain(|_, strike| now < strike.until + LONGEST);
        let strike = strikes
            .entry((upstream.to_owned(), *digest))
            .and_modify(|strike| strike.pause = (strike.pause * 2).min(LONGEST))
            .or_insert(Strike {
                pause: FIRST,
                until: now,
            });
        strike.until = now + strike.pause;
        tracing::warn!(upstream, %digest, pause = ?strike.pause, "the upstream sent wrong bytes");
        mismatch(upstream, digest)
    }

    /// Forgets a pair that has delivered.
    pub(super) fn clear(&self, upstream: &str, digest: &Digest) {
        self.strikes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(upstream.to_owned(), *digest));
    }
}

fn mismatch(upstream: &str, digest: &Digest) -> Error {
    Error::Mismatch {
        upstream: upstream.to_owned(),
        digest: *digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn an_upstream_is_left_alone_for_five_seconds_doubling_to_ten_minutes() {
        let (blame, digest) = (Blame::default(), Digest::of(Algorithm::Sha256, b"x"));
        let mut now = Instant::now();
        for pause in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            blame.strike("a", &digest, now);
            let until = now + Duration::from_secs(pause);
            assert!(
                blame.check("a", &digest, until - Duration::from_millis(1)).is_err(),
                "{pause}"
            );
            assert!(blame.check("a", &digest, until).is_ok(), "{pause}");
            now = until;
        }
    }

    #[test]
    fn blame_is_for_one_upstream_and_one_digest_and_ends_with_the_right_bytes() {
        let (blame, now) = (Blame::default(), Instant::now());
        let (digest, other) = (Digest::of(Algorithm::Sha256, b"x"), Digest::of(Algorithm::Sha256, b"y"));
        blame.strike("a", &digest, now);
        assert!(blame.check("b", &digest, now).is_ok() && blame.check("a", &other, now).is_ok());
        blame.clear("a", &digest);
        assert!(blame.check("a", &digest, now).is_ok());
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let (blame, digest) = (Blame::default(), Digest::of(Algorithm::Sha256, b"x"));
        let now = Instant::now();
        blame.strike("a", &digest, now);
        blame.strike("b", &digest, now + FIRST + LONGEST);
        assert_eq!(blame.strikes.lock().unwrap().len(), 1);
    }
}
