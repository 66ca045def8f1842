//! Owns: whose turn it is to answer a question: each endpoint in order, and all of them once more where that may help.
//!
//! Promises: few requests, and only of a kind that may be repeated; "not there" is the answer only if everybody who
//! answered says so; a probe is waited for only by those who have no other way, once, and no longer than a connection may
//! take.
//! Dropped: the question is given up.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::error::{Error, Verdict};
use super::super::fault::{Absence, Phase, Step};
use super::super::health::Probe;
use super::super::mirror::Endpoint;

/// So often a question is repeated that failed in passing.
const REPEATS: u32 = 2;
/// The pause before the first repetition, more or less; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// Endpoints, and what they said so far.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    endpoints: &'a [Arc<Endpoint>],
    at: usize,
    repeats: u32,
    /// How the endpoints of this round failed: the word that counts.
    said: Option<Error>,
    /// Why somebody of this round could not be asked.
    unheard: Option<Error>,
    probes: Vec<Probe>,
    waited: bool,
}

/// One endpoint's turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) endpoint: &'a Arc<Endpoint>,
    /// Whether it has been asked just the same a moment ago.
    pub(super) again: bool,
}

impl<'a> Turns<'a> {
    /// Of endpoints in order, one at least.
    pub(super) fn new(endpoints: &'a [Arc<Endpoint>]) -> Self {
        Self {
            endpoints,
            at: 0,
            repeats: 0,
            said: None,
            unheard: None,
            probes: Vec::new(),
            waited: false,
        }
    }

    pub(super) fn turn(&self) -> Turn<'a> {
        Turn {
            endpoint: &self.endpoints[self.at],
            again: self.repeats > 0,
        }
    }

    /// What came of a turn; `None`: the next one is due.
    pub(super) async fn heard<T>(&mut self, said: Result<T, Error>) -> Option<Result<T, Error>> {
        let error = match said {
            Ok(answer) => return Some(Ok(answer)),
            Err(error) => error,
        };
        if let Error::Resting { probe: Some(probe), .. } = &error {
            self.probes.push(probe.clone());
        }
        if weight(&error) == UNHEARD {
            self.unheard.get_or_insert_with(|| error.clone());
        }
        let error = match self.said.take() {
            Some(before) if weight(&before) >= weight(&error) => before,
            Some(_) | None => error,
        };
        self.at += 1;
        if self.at < self.endpoints.len() {
            self.said = Some(error);
            return None;
        }
        self.at = 0;
        if self.may_repeat(&error).await {
            self.unheard = None;
            return None;
        }
        Some(Err(self.in_doubt(error)))
    }

    /// The same answer of a whole list. Nobody's word that there is none counts while somebody could not be asked: an empty
    /// list would read as "unsigned".
    pub(super) fn of_all<T>(self, said: Result<T, Error>) -> Result<T, Error> {
        said.map_err(|error| match (&error, self.unheard) {
            (Error::Absent { .. }, Some(unheard)) => unheard,
            _ => error,
        })
    }

    fn in_doubt(&self, mut error: Error) -> Error {
        if let (Error::Absent { how, .. }, Some(_)) = (&mut error, &self.unheard)
            && *how == Absence::NotFound
        {
            *how = Absence::NotFoundByOne;
        }
        error
    }

    /// Whether to ask all of them once more; then the time has come.
    async fn may_repeat(&mut self, error: &Error) -> bool {
        if let Error::Resting { .. } = error {
            let probes = std::mem::take(&mut self.probes);
            if self.waited || probes.is_empty() {
                return false;
            }
            self.waited = true;
            for probe in probes {
                probe.ended().await;
            }
            return true;
        }
        if self.repeats == REPEATS || !is_passing(error) {
            return false;
        }
        sleep(jittered(PAUSE * 2u32.pow(self.repeats))).await;
        self.repeats += 1;
        true
    }
}

/// The weight of those who did not answer.
const UNHEARD: u8 = 0;

/// Which of two failures is the answer: of one who answered before one who did not, and any other before an absence.
fn weight(error: &Error) -> u8 {
    if let Error::Resting { because, .. } = error {
        return weight(because);
    }
    let unheard = matches!(
        error,
        Error::Unreachable { .. }
            | Error::Timeout {
                phase: Phase::Connect | Phase::FirstByte,
                ..
            }
    );
    if unheard {
        UNHEARD
    } else if error.is_not_found() {
        1
    } else if error.verdict() == Verdict::RepositoryAbsent {
        2
    } else {
        3
    }
}

/// Whether the same question may do better in a moment. Who asked us to wait is not asked.
fn is_passing(error: &Error) -> bool {
    let failed = error
        .status()
        .is_some_and(|status| matches!(status, 408 | 500 | 502..=599));
    let broke = matches!(error, Error::Cut { .. } | Error::Unreachable { step: Step::Answer, .. });
    broke || failed && matches!(error, Error::Failed { retry_after: None, .. })
}

/// Half of it to one and a half, so that those who failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let chance = RandomState::new().hash_one(()) % 1000;
    pause / 2 + pause / 1000 * u32::try_from(chance).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_around_their_middle() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE / 2..PAUSE * 3 / 2).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < PAUSE) && pauses.iter().any(|pause| *pause > PAUSE));
    }
}
