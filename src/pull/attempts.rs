//! How often a body that breaks is asked for again, and how long is waited before.
//!
//! Promises that it is as long as that brings bytes; after three attempts that bring none, the next endpoint's turn has come,
//! and after the last the error counts. Dropped while it waits: nobody asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::pull::Error;
use crate::pull::fill::Sources;
use crate::upstream::{Endpoint, REST};

/// So many attempts in a row that bring no byte end the fetch.
const BARREN_ATTEMPTS: u32 = 3;
/// Longer than this nobody's `Retry-After` is waited out while readers wait: they are told.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after a barren attempt; it doubles.
const BARREN_PAUSE: Duration = Duration::from_millis(200);

/// One attempt, and how it failed.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether it brought bytes.
    pub(super) brought: bool,
    /// Whose body it was, if there was one.
    pub(super) giver: Option<Arc<Endpoint>>,
}

/// The attempts in a row that brought nothing.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    barren: u32,
}

impl Attempts {
    /// Waits until it is time for another attempt; an error when there is to be none.
    pub(super) async fn failed(&mut self, failed: Failed, sources: &Sources) -> Result<(), Error> {
        let Failed { error, brought, giver } = failed;
        self.barren = if brought { 0 } else { self.barren + 1 };
        let over = self.barren == BARREN_ATTEMPTS || !error.is_worth_another_try();
        // Who brought nothing in all that time is not given as much again, if there is somebody else.
        let next = over || self.barren > 0 && error.is_of_silence();
        if next && giver.is_some_and(|giver| error.is_of_upstream() && sources.pass_over(&giver)) {
            self.barren = 0;
        } else if over {
            return Err(error);
        }
        let barren = self.barren;
        tracing::debug!(%error, barren, "resuming a broken body");
        if barren > 0 {
            sleep(pause(barren, sources.left().len() == 1, &error)).await;
        }
        Ok(())
    }
}

/// How long to wait after so many barren attempts. Before the last one that anybody is given, a registry that is being
/// restarted has time to come back, and one that is left alone is found well.
fn pause(barren: u32, is_last: bool, error: &Error) -> Duration {
    let asked_for = error.retry_after().filter(|wait| *wait <= PATIENCE);
    let pause = if is_last && barren + 1 == BARREN_ATTEMPTS {
        REST
    } else {
        BARREN_PAUSE * 2u32.pow(barren - 1)
    };
    pause.max(asked_for.unwrap_or_default())
}
