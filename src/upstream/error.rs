//! Owns: every way in which asking an upstream can end badly, in words fit for an OCI error body.
//!
//! Promises: each `Display` is one line that names the upstream's host, the status if there was one, and the cause.
//! Never: a query string (redirect targets are signed), a secret, a header that a client sent, a path of this machine.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::{Unavailable, Whose};
use super::fault::{Absence, Cause, Fault, Phase, Step};
use super::health::Probe;
use super::place::Place;

/// Why an upstream did not give what was asked. Cheap to clone, because a herd shares one ending.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer: the name did not resolve, nothing listened, TLS failed, or the connection broke first.
    #[error("{at} cannot be reached: {step}: {cause}")]
    Unreachable {
        /// Who was asked.
        at: Place,
        /// How far we came.
        step: Step,
        /// The innermost reason.
        #[source]
        cause: Cause,
    },
    /// A deadline of the mirror passed.
    #[error("{at} was too slow: {phase} within {within:?}")]
    Timeout {
        /// Who was asked.
        at: Place,
        /// What did not happen in time.
        phase: Phase,
        /// The deadline.
        within: Duration,
    },
    /// The upstream has no such repository, manifest or blob.
    #[error("{at} answered {status}: {how}")]
    Absent {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// How it was said.
        how: Absence,
    },
    /// The upstream wants to know who asks, and nobody told wharf what to say.
    #[error(
        "{at} answered {status}: it demands credentials, and wharf has none configured for mirror {mirror:?}; accepted are username with password or password_file, credential_helper, or docker_config"
    )]
    Refused {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// The key of the mirror whose credentials are missing.
        mirror: String,
    },
    /// The upstream knows who asks, and does not let them have this.
    #[error("{at} answered {status}: it refuses this to {whose}")]
    Denied {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// To whom.
        whose: Whose,
    },
    /// The token endpoint does not accept what was configured (401).
    #[error("{at} answered {status}: it does not accept {whose}")]
    Rejected {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// What it does not accept.
        whose: Whose,
    },
    /// It is not to be asked, whatever for.
    #[error("mirror {mirror:?} is offline: nothing is asked upstream while mirror.{mirror:?}.offline is true")]
    Offline {
        /// The mirror's key.
        mirror: String,
    },
    /// What the configuration names gives no credentials. What exactly is for the log: it names files of this machine.
    #[error("{at} cannot be asked: mirror.{mirror:?}.{key} gives no credentials")]
    NoCredentials {
        /// Who would have been asked.
        at: Place,
        /// The mirror's key.
        mirror: String,
        /// The key of its table that names where they should come from.
        key: &'static str,
        /// Why.
        source: Arc<Unavailable>,
    },
    /// The upstream counts our requests (429).
    #[error("{at} answered 429: too many requests{}", retry(*retry_after))]
    Throttled {
        /// Who answered.
        at: Place,
        /// `Retry-After`, counted from the answer.
        retry_after: Option<Duration>,
    },
    /// The upstream is in trouble: 5xx, 408, or a redirect target that refuses what the registry had allowed.
    #[error("{at} answered {status}{}", retry(*retry_after))]
    Failed {
        /// Who answered.
        at: Place,
        /// With which status.
        status: u16,
        /// `Retry-After`, counted from the answer.
        retry_after: Option<Duration>,
    },
    /// It has just failed like this, and is not asked before a probe has found it well.
    #[error("{because} (a moment ago; it is left alone until it is well)")]
    Resting {
        /// How it failed.
        because: Arc<Self>,
        /// Whether it is being probed.
        probe: Option<Probe>,
    },
    /// An answer that must not be used or followed.
    #[error("{at} {}: {fault}", answered(*status))]
    Unusable {
        /// Who answered.
        at: Place,
        /// With which status, where the answer had come so far.
        status: Option<u16>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The body ended before its end. What arrived is as good as its digest.
    #[error("{at} broke off after {got} bytes{}{}", of(*promised), because(cause.as_ref()))]
    Cut {
        /// Who sent it.
        at: Place,
        /// Bytes of this body that arrived.
        got: u64,
        /// Bytes that were promised.
        promised: Option<u64>,
        /// What the connection said, if it did not just end.
        #[source]
        cause: Option<Cause>,
    },
    /// 416: the blob has no such bytes.
    #[error("{at} answered 416: it does not have the range asked for")]
    RangeNotSatisfiable {
        /// Who answered.
        at: Place,
        /// The blob's whole length in bytes, if it was told.
        total: Option<u64>,
    },
}

/// What a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// About this repository only: it, or the object in it, is not there.
    RepositoryAbsent,
    /// About this repository only: not without credentials, or not with these.
    RepositoryRefused,
    /// Not now; see [`Error::retry_after`].
    Throttled,
    /// A deadline passed before the answer.
    Slow,
    /// It is not to be asked.
    Offline,
    /// The upstream failed or answered nonsense, or cannot be asked as configured.
    Broken,
    /// The body stopped half way: what arrived counts, ask for the rest.
    Cut,
    /// The range asked for does not exist.
    NoSuchRange,
}

impl Error {
    /// Whether it is a 404 of everybody who could know.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Absent {
                how: Absence::NotFound,
                ..
            }
        )
    }

    /// What to do about it, without the particulars.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Absent { .. } => Verdict::RepositoryAbsent,
            Self::Refused { .. } | Self::Denied { .. } => Verdict::RepositoryRefused,
            Self::Throttled { .. } => Verdict::Throttled,
            Self::Timeout {
                phase: Phase::Silence, ..
            }
            | Self::Cut { .. } => Verdict::Cut,
            Self::Timeout { .. } => Verdict::Slow,
            Self::Unreachable { .. }
            | Self::Failed { .. }
            | Self::Unusable { .. }
            | Self::Rejected { .. }
            | Self::NoCredentials { .. } => Verdict::Broken,
            Self::RangeNotSatisfiable { .. } => Verdict::NoSuchRange,
            Self::Offline { .. } => Verdict::Offline,
            Self::Resting { because, .. } => because.verdict(),
        }
    }

    /// The status that the upstream answered with, if it answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Cut { .. }
            | Self::NoCredentials { .. }
            | Self::Offline { .. } => None,
            Self::Absent { status, .. }
            | Self::Refused { status, .. }
            | Self::Denied { status, .. }
            | Self::Rejected { status, .. }
            | Self::Failed { status, .. } => Some(*status),
            Self::Throttled { .. } => Some(429),
            Self::Unusable { status, .. } => *status,
            Self::RangeNotSatisfiable { .. } => Some(416),
            Self::Resting { because, .. } => because.status(),
        }
    }

    /// Whether a host was asked, and gave no answer.
    pub(super) fn is_of_a_host(&self) -> bool {
        if let Self::Unreachable { step, .. } = self {
            return !matches!(step, Step::Roots | Step::Stopped);
        }
        matches!(self, Self::Timeout { .. })
    }

    /// The blob's whole length in bytes, where a refused range told it.
    pub fn total(&self) -> Option<u64> {
        if let Self::RangeNotSatisfiable { total, .. } = self {
            *total
        } else {
            None
        }
    }

    /// How long the upstream asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Failed { retry_after, .. } => *retry_after,
            Self::Resting { because, .. } => because.retry_after(),
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Absent { .. }
            | Self::Refused { .. }
            | Self::Denied { .. }
            | Self::Rejected { .. }
            | Self::NoCredentials { .. }
            | Self::Offline { .. }
            | Self::Unusable { .. }
            | Self::Cut { .. }
            | Self::RangeNotSatisfiable { .. } => None,
        }
    }
}

fn retry(after: Option<Duration>) -> String {
    after.map_or_else(String::new, |after| format!(", retry after {} s", after.as_secs()))
}

fn answered(status: Option<u16>) -> String {
    status.map_or_else(|| "is unusable".to_owned(), |status| format!("answered {status}"))
}

fn of(promised: Option<u64>) -> String {
    promised.map_or_else(String::new, |promised| format!(" of {promised}"))
}

fn because(cause: Option<&Cause>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}
