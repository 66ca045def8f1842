//! Owns: whose turn it is to probe a host that is left alone, and the wait of those who have no other way.
//!
//! Promises: one probe at a time; one that was given up is due again.
//! Dropped: an [`Errand`] ends the wait of everybody.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{LONGEST, REST};

#[derive(Debug)]
pub(super) enum Turn {
    /// Due from then on.
    At(Timestamp),
    UnderWay(Probe),
}

/// A probe under way, for those who have no other way than to wait for it.
#[derive(Clone)]
pub struct Probe(watch::Receiver<()>);

/// What must be probed; whoever gets it probes. Dropped: nobody waits any longer.
#[derive(Debug)]
pub(in crate::upstream) struct Errand(watch::Sender<()>);

impl Turn {
    pub(super) fn after(rest: Duration, now: Timestamp) -> Self {
        Self::At(now.checked_add(rest).unwrap_or(Timestamp::MAX))
    }

    pub(super) fn take_over(&mut self, now: Timestamp) -> Option<Errand> {
        let due = match self {
            Self::At(then) => has_come(*then, now),
            Self::UnderWay(probe) => probe.0.is_closed(),
        };
        due.then(|| {
            let (errand, probe) = watch::channel(());
            *self = Self::UnderWay(Probe(probe));
            Errand(errand)
        })
    }

    pub(super) fn under_way(&self) -> Option<Probe> {
        match self {
            Self::At(_) => None,
            Self::UnderWay(probe) => Some(probe.clone()),
        }
    }

    /// Whether somebody probes, or would have had no reason to until now.
    pub(super) fn is_of_use(&self, now: Timestamp) -> bool {
        match self {
            Self::At(then) => !has_come(then.checked_add(REST).unwrap_or(*then), now),
            Self::UnderWay(_) => true,
        }
    }
}

impl Probe {
    /// Until it has ended, or takes longer than anybody should wait for it.
    pub(in crate::upstream) async fn ended(mut self) {
        // The first word, or the errand's end: each is the news.
        let _news = self.0.changed().await;
    }
}

impl Errand {
    /// Ends the wait, and not the probe.
    pub(in crate::upstream) fn takes_long(&self) {
        self.0.send_replace(());
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

/// A clock that was set back is no reason to wait longer.
fn has_come(then: Timestamp, now: Timestamp) -> bool {
    now >= then || now.duration_since(then).unsigned_abs() > LONGEST + REST
}
