//! Owns: [`Health`], a breaker for each host behind an endpoint: itself, its token realm, and where it redirects.
//!
//! Promises: a host that cannot be reached is waited for once, and then not asked before a probe has found it well; it is
//! probed every 5 s at most, by one at a time, and only while somebody asks for it. What it is probed with is no
//! question of anybody's, so nobody pays for a probe who has another way.
//! Never: does I/O; the time is the caller's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use url::Origin;

use super::error::Error;
use super::fault::{Phase, Step};

/// So many failures in a row of one who answers are no accident.
const FAILURES: u32 = 3;
/// How long a host is left alone before it is probed.
pub const REST: Duration = Duration::from_secs(5);
/// Hosts in trouble that are remembered: an upstream may redirect anywhere.
const HOSTS: usize = 64;

/// The hosts of one endpoint that are in trouble; all others are well.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<HashMap<Origin, State>>);

#[derive(Debug)]
enum State {
    /// It answers, and fails: so many times in a row.
    Failing(u32),
    /// It is not asked.
    Open {
        because: Arc<Error>,
        probe: Turn,
        /// Whether the endpoint cannot do without it: it is no redirect's target.
        needed: bool,
    },
}

#[derive(Debug)]
enum Turn {
    /// Due from then on.
    At(Timestamp),
    UnderWay(Probe),
}

/// A probe under way, for those who have no other way than to wait for it.
#[derive(Clone)]
pub struct Probe(watch::Receiver<()>);

/// What must be probed; whoever gets it probes. Dropped: nobody waits any longer.
#[derive(Debug)]
pub(super) struct Errand(#[expect(dead_code, reason = "it ends the wait when it is dropped")] watch::Sender<()>);

impl Probe {
    pub(super) async fn ended(mut self) {
        // Nothing is ever sent: the errand's end is the news.
        while self.0.changed().await.is_ok() {}
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl Health {
    /// Whether to ask `host` at `now`. The error says why not, and what may come of waiting; the errand is the caller's.
    pub(super) fn admit(&self, host: &Origin, now: Timestamp) -> Result<(), (Error, Option<Errand>)> {
        let mut hosts = self.lock();
        let Some(State::Open { because, probe, .. }) = hosts.get_mut(host) else {
            return Ok(());
        };
        let errand = probe.take_over(now);
        let error = Error::Resting {
            because: Arc::clone(because),
            probe: match probe {
                Turn::At(_) => None,
                Turn::UnderWay(probe) => Some(probe.clone()),
            },
        };
        Err((error, errand))
    }

    /// Why somebody is not asked whom this endpoint cannot do without, if that is so.
    pub(super) fn trouble(&self) -> Option<Arc<Error>> {
        self.lock().values().find_map(|state| match state {
            State::Open {
                because, needed: true, ..
            } => Some(Arc::clone(because)),
            State::Open { needed: false, .. } | State::Failing(_) => None,
        })
    }

    /// `host` gave an answer that is no failure of its own.
    pub(super) fn is_well(&self, host: &Origin) {
        self.lock().remove(host);
    }

    /// A question came to nothing at `host`, which is `needed`, or only redirected to.
    pub(super) fn failed(&self, host: &Origin, needed: bool, error: &Error, now: Timestamp) {
        let mut hosts = self.lock();
        if hosts.len() >= HOSTS && !hosts.contains_key(host) {
            // What the endpoint cannot do without are few.
            let other = hosts.iter().find(|(_, state)| !state.is_needed());
            let other = other.map(|(host, _)| host.clone());
            other.and_then(|other| hosts.remove(&other));
        }
        let state = hosts.entry(host.clone()).or_insert(State::Failing(0));
        let opens = match state {
            State::Failing(times) => {
                *times += 1;
                *times >= FAILURES || is_dead(error)
            }
            // A question that was under way when it opened changes nothing while a probe is.
            State::Open { probe, .. } => matches!(probe, Turn::At(_)),
        };
        if opens {
            // Whoever is there, and was slow once, is soon found well.
            let slow = matches!(
                error,
                Error::Timeout {
                    phase: Phase::FirstByte,
                    ..
                }
            );
            *state = State::open(error, needed, if slow { Duration::ZERO } else { REST }, now);
        }
    }

    /// A probe of `host` came to nothing.
    pub(super) fn still_ill(&self, host: &Origin, error: &Error, now: Timestamp) {
        if let Some(state @ State::Open { .. }) = self.lock().get_mut(host) {
            let needed = state.is_needed();
            *state = State::open(error, needed, REST, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_needed(&self) -> bool {
        matches!(self, Self::Open { needed: true, .. })
    }

    fn open(error: &Error, needed: bool, rest: Duration, now: Timestamp) -> Self {
        Self::Open {
            because: Arc::new(error.clone()),
            probe: Turn::At(now.checked_add(rest).unwrap_or(Timestamp::MAX)),
            needed,
        }
    }
}

impl Turn {
    fn take_over(&mut self, now: Timestamp) -> Option<Errand> {
        let due = match self {
            // A clock that was set back is no reason to wait longer.
            Self::At(then) => now >= *then || now.duration_since(*then).unsigned_abs() > REST,
            Self::UnderWay(probe) => probe.0.has_changed().is_err(),
        };
        due.then(|| {
            let (errand, probe) = watch::channel(());
            *self = Self::UnderWay(Probe(probe));
            Errand(errand)
        })
    }
}

/// Whether waiting for it once was enough: nobody was there, or said nothing.
fn is_dead(error: &Error) -> bool {
    if let Error::Unreachable { step, .. } = error {
        return *step != Step::Answer;
    }
    matches!(
        error,
        Error::Timeout {
            phase: Phase::Connect | Phase::FirstByte,
            ..
        }
    )
}

#[cfg(test)]
mod tests;
