//! Which upstream sent wrong bytes for which digest, and is therefore not asked for it for a while (P3).
//!
//! Owns one entry for each pair, and one for each blob that came out wrong with nobody to accuse, in memory only: a restart
//! forgives. Never does I/O.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::oci::Digest;
use crate::pull::Error;
use crate::upstream::{Endpoint, EndpointId, Mirror};

/// How long an upstream is left alone after the first mismatch; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(5);
/// The longest it is left alone.
const LONGEST: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct Blame {
    strikes: Mutex<Strikes>,
    /// By mirror and digest: since when.
    doubts: Mutex<HashMap<(String, Digest), Instant>>,
}

/// By endpoint and digest.
type Strikes = HashMap<(EndpointId, Digest), Strike>;

#[derive(Debug)]
struct Strike {
    pause: Duration,
    until: Instant,
}

impl Blame {
    /// Who may be asked for `digest` at `now`, one at least; an error when all are left alone.
    pub(super) fn innocent(&self, mirror: &Mirror, digest: &Digest, now: Instant) -> Result<Vec<Arc<Endpoint>>, Error> {
        let strikes = self.lock();
        let blamed = |endpoint: &Arc<Endpoint>| {
            let strike = strikes.get(&(endpoint.id().clone(), *digest));
            strike.is_some_and(|strike| now < strike.until)
        };
        let innocent: Vec<_> = mirror.endpoints().iter().filter(|it| !blamed(it)).cloned().collect();
        if innocent.is_empty() {
            return Err(mismatch(mirror.endpoint(), digest));
        }
        Ok(innocent)
    }

    /// Notes that these sent wrong bytes.
    pub(super) fn strike(&self, endpoints: &[Arc<Endpoint>], digest: &Digest, now: Instant) {
        let mut strikes = self.lock();
        // What is long forgiven is forgotten, so that a lying upstream cannot fill the memory.
        strikes.retain(|_, strike| now < strike.until + LONGEST);
        for upstream in endpoints {
            let strike = strikes
                .entry((upstream.id().clone(), *digest))
                .and_modify(|strike| strike.pause = (strike.pause * 2).min(LONGEST))
                .or_insert(Strike {
                    pause: FIRST,
                    until: now,
                });
            strike.until = now + strike.pause;
            tracing::warn!(%upstream, %digest, pause = ?strike.pause, "the upstream sent wrong bytes");
        }
    }

    /// Forgets those who have delivered.
    pub(super) fn clear(&self, endpoints: &[Arc<Endpoint>], digest: &Digest) {
        let mut strikes = self.lock();
        for endpoint in endpoints {
            strikes.remove(&(endpoint.id().clone(), *digest));
        }
    }

    /// Notes that bytes of an earlier attempt, or of several endpoints, came out wrong: nobody can be accused yet. False when
    /// that has been so a while ago.
    pub(super) fn doubt(&self, mirror: &str, digest: &Digest, now: Instant) -> bool {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.retain(|_, since| now < *since + LONGEST);
        doubts.insert((mirror.to_owned(), *digest), now).is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Strikes> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client hears when nobody is left who may be asked.
pub(super) fn mismatch(upstream: &Endpoint, digest: &Digest) -> Error {
    Error::Mismatch {
        upstream: upstream.to_string(),
        digest: *digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;
    use crate::upstream::MirrorConfig;

    fn mirror(key: &str) -> Mirror {
        let endpoints = vec!["http://a".to_owned(), "http://b".to_owned()];
        let config = MirrorConfig {
            endpoints,
            ..MirrorConfig::default()
        };
        Mirror::new(key, &config).unwrap()
    }

    fn innocent(blame: &Blame, mirror: &Mirror, digest: &Digest, now: Instant) -> String {
        let innocent = blame.innocent(mirror, digest, now).unwrap_or_default();
        innocent.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_upstream_is_left_alone_for_five_seconds_doubling_to_ten_minutes() {
        let (blame, digest) = (Blame::default(), Digest::of(Algorithm::Sha256, b"x"));
        let (mirror, mut now) = (mirror("hub"), Instant::now());
        for pause in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            blame.strike(&mirror.endpoints()[..1], &digest, now);
            let until = now + Duration::from_secs(pause);
            let before = until - Duration::from_millis(1);
            assert_eq!(innocent(&blame, &mirror, &digest, before), "b", "{pause}");
            assert_eq!(innocent(&blame, &mirror, &digest, until), "ab", "{pause}");
            now = until;
        }
    }

    #[test]
    fn blame_is_for_one_upstream_and_one_digest_and_ends_with_the_right_bytes() {
        let (blame, now, mirror) = (Blame::default(), Instant::now(), mirror("hub"));
        let (digest, other) = (Digest::of(Algorithm::Sha256, b"x"), Digest::of(Algorithm::Sha256, b"y"));
        blame.strike(mirror.endpoints(), &digest, now);
        assert!(blame.innocent(&mirror, &digest, now).is_err());
        assert_eq!(innocent(&blame, &mirror, &other, now), "ab");
        blame.clear(&mirror.endpoints()[1..], &digest);
        assert_eq!(innocent(&blame, &mirror, &digest, now), "b");
    }

    #[test]
    fn what_one_mirror_was_sent_is_not_held_against_another_of_the_same_hosts() {
        let (blame, now) = (Blame::default(), Instant::now());
        let digest = Digest::of(Algorithm::Sha256, b"x");
        let (mirror, other) = (mirror("hub"), mirror("quay"));
        blame.strike(mirror.endpoints(), &digest, now);
        assert!(blame.innocent(&mirror, &digest, now).is_err());
        assert_eq!(innocent(&blame, &other, &digest, now), "ab");
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let (blame, digest) = (Blame::default(), Digest::of(Algorithm::Sha256, b"x"));
        let (now, mirror) = (Instant::now(), mirror("hub"));
        blame.strike(&mirror.endpoints()[..1], &digest, now);
        blame.strike(&mirror.endpoints()[1..], &digest, now + FIRST + LONGEST);
        assert_eq!(blame.strikes.lock().unwrap().len(), 1);
    }
}
