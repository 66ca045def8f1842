//! What the store does again and again for as long as the process lives.
//!
//! Owns when: each round says how long nothing is due, and a round that failed is logged and tried again. Promises to
//! begin none once wharf winds down. Dropping the future ends the rounds, and leaves to itself the step that was begun.

use std::time::Duration;

use tokio::time::sleep;

use super::{Error, Store};

impl Store {
    /// Does `round` until wharf winds down, after a failure and at least every `pause` again. `trouble`: what is not done
    /// then.
    pub(super) async fn keep<Round>(&self, pause: Duration, trouble: &str, round: impl Fn() -> Round)
    where
        Round: Future<Output = Result<Duration, Error>>,
    {
        let closing = self.tasks.closing();
        while !closing.is_cancelled() {
            let wait = match round().await {
                Ok(wait) => wait,
                Err(_) if closing.is_cancelled() => return,
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    tracing::error!(%error, ?cause, "{trouble}");
                    pause
                }
            };
            tokio::select! {
                () = closing.cancelled() => {}
                () = sleep(wait.min(pause)) => {}
            }
        }
    }
}
