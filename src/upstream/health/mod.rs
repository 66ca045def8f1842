//! Owns: [`Health`], a breaker for each host behind an endpoint: itself, its token realm, and where it redirects.
//!
//! Promises: a host that cannot be reached is waited for once, and then not asked before a probe has found it well; it is
//! probed every 5 s at most, by one at a time, and only while somebody asks for it. What it is probed with is no
//! question of anybody's, so nobody pays for a probe who has another way. Who answers probes and not questions is left
//! alone for twice as long each time.
//! Never: does I/O; the time is the caller's.

mod probe;
mod witness;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use url::Origin;

use super::error::Error;
use super::fault::{Phase, Step};
pub(super) use probe::Errand;
pub use probe::Probe;
use probe::Turn;
pub(super) use witness::Witness;

/// So many failures in a row of one who answers are no accident.
const FAILURES: u32 = 3;
/// How long a host is left alone before it is probed.
pub const REST: Duration = Duration::from_secs(5);
/// The same, of one who was found well again and again, and never was.
const LONGEST: Duration = Duration::from_mins(1);
/// Hosts in trouble that are remembered: an upstream may redirect anywhere.
const HOSTS: usize = 64;

/// What a host is to the endpoint that led there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// The endpoint, without which there is no answer.
    Itself,
    /// Who grants tokens: needed only where there is no good one.
    Realm,
    /// Where somebody redirected to. It was not meant, and sees no certificate of ours.
    Elsewhere,
}

/// One host in one part: a registry and its token endpoint may be one host, of which half is well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) origin: Origin,
    pub(super) part: Part,
}

/// The hosts of one endpoint that are in trouble; all others are well.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<HashMap<Host, State>>);

#[derive(Debug)]
enum State {
    /// It is asked, and failed so many times in a row.
    Failing { times: u32, mended: Option<Mended> },
    /// It is not asked.
    Open {
        because: Arc<Error>,
        probe: Turn,
        rest: Duration,
    },
}

/// What is held against one whom only a probe has found well, until it answers a question.
#[derive(Debug, Clone, Copy)]
struct Mended {
    /// How long it was left alone the last time.
    rest: Duration,
    /// What was asked before says nothing new.
    since: Instant,
}

impl Health {
    /// Whether to ask `host` at `now`. The error says why not, and what may come of waiting; the errand is the caller's.
    pub(super) fn admit(&self, host: &Host, now: Timestamp) -> Result<(), (Error, Option<Errand>)> {
        let mut hosts = self.lock();
        let Some(State::Open { because, probe, .. }) = hosts.get_mut(host) else {
            return Ok(());
        };
        let errand = probe.take_over(now);
        let error = Error::Resting {
            because: Arc::clone(because),
            probe: probe.under_way(),
        };
        Err((error, errand))
    }

    /// Why somebody is not asked whom this endpoint cannot do without, if that is so. A realm that nobody asks for, although
    /// its rest is over, is not needed: the tokens are good, or come from elsewhere now.
    pub(super) fn trouble(&self, now: Timestamp) -> Option<Arc<Error>> {
        self.lock().iter().find_map(|(host, state)| {
            let State::Open { because, probe, .. } = state else {
                return None;
            };
            let is_needed = match host.part {
                Part::Itself => true,
                Part::Realm => probe.is_of_use(now),
                Part::Elsewhere => false,
            };
            is_needed.then(|| Arc::clone(because))
        })
    }

    /// `host` gave an answer to a question that is no failure of its own.
    pub(super) fn is_well(&self, host: &Host) {
        self.lock().remove(host);
    }

    /// A question that `began` then came to nothing at `host`.
    pub(super) fn failed(&self, host: &Host, error: &Error, began: Instant, now: Timestamp) {
        let mut hosts = self.lock();
        make_room(&mut hosts, host);
        let state = hosts
            .entry(host.clone())
            .or_insert(State::Failing { times: 0, mended: None });
        // A question that was under way when it opened says nothing new.
        let State::Failing { times, mended } = state else {
            return;
        };
        if mended.is_some_and(|mended| began < mended.since) {
            return;
        }
        *times += 1;
        if *times >= FAILURES || is_dead(error) {
            let rest = match mended {
                Some(Mended { rest, .. }) => (*rest * 2).clamp(REST, LONGEST),
                // Whoever is there, and was slow once, is soon found well.
                None if is_slow(error) => Duration::ZERO,
                None => REST,
            };
            *state = State::Open {
                because: Arc::new(error.clone()),
                probe: Turn::after(rest, now),
                rest,
            };
        }
    }

    /// A probe of `host` was answered: it is asked again.
    pub(super) fn is_mended(&self, host: &Host, since: Instant) {
        if let Some(state) = self.lock().get_mut(host)
            && let State::Open { rest, .. } = *state
        {
            *state = State::Failing {
                times: 0,
                mended: Some(Mended { rest, since }),
            };
        }
    }

    /// A probe of `host` came to nothing.
    pub(super) fn still_ill(&self, host: &Host, error: &Error, now: Timestamp) {
        if let Some(State::Open { because, probe, .. }) = self.lock().get_mut(host) {
            *because = Arc::new(error.clone());
            *probe = Turn::after(REST, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Host, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There are few endpoints, and of realms and targets as many as an upstream likes.
fn make_room(hosts: &mut HashMap<Host, State>, host: &Host) {
    if hosts.len() >= HOSTS && !hosts.contains_key(host) {
        let other = hosts.keys().find(|other| other.part != Part::Itself).cloned();
        other.and_then(|other| hosts.remove(&other));
    }
}

/// Whether waiting for it once was enough: nobody was there, or said nothing.
fn is_dead(error: &Error) -> bool {
    if let Error::Unreachable { step, .. } = error {
        return *step != Step::Answer;
    }
    let no_connection = matches!(
        error,
        Error::Timeout {
            phase: Phase::Connect,
            ..
        }
    );
    no_connection || is_slow(error)
}

/// Whether somebody is there.
fn is_slow(error: &Error) -> bool {
    matches!(
        error,
        Error::Timeout {
            phase: Phase::FirstByte | Phase::SmallBody,
            ..
        }
    )
}

#[cfg(test)]
mod tests;
