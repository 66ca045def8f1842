//! The end of the server: idle connections close at once, busy ones finish, late ones are cut.
//!
//! Promises that after [`Drain::finish`] no connection is served any more. A connection that is cut is dropped in the
//! middle, which its socket turns into a reset.

use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::server::graceful::Watcher;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

/// All connections, to be ended together.
#[derive(Debug, Default)]
pub(super) struct Drain {
    graceful: GracefulShutdown,
    cut: CancellationToken,
    running: TaskTracker,
}

/// One connection's part in it, to be held as long as the connection lives.
pub(super) struct Watch {
    pub(super) graceful: Watcher,
    pub(super) cut: CancellationToken,
    pub(super) running: TaskTrackerToken,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// To be called for each connection as it is accepted.
    pub(super) fn watch(&self) -> Watch {
        Watch {
            graceful: self.graceful.watcher(),
            cut: self.cut.clone(),
            running: self.running.token(),
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.running.len()
    }

    /// Waits for the connections to end by themselves, `within` or until `hurry` at most, and cuts the others.
    pub(super) async fn finish(self, within: Duration, hurry: impl Future<Output = ()>) {
        let why = tokio::select! {
            () = self.graceful.shutdown() => None,
            () = sleep(within) => Some("they did not end in time"),
            () = hurry => Some("asked to stop at once"),
        };
        if let Some(why) = why {
            warn!(connections = self.running.len(), why, "running responses are cut");
            self.cut.cancel();
        }
        self.running.close();
        self.running.wait().await;
    }
}
