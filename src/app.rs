//! The composition root: makes every part from its configuration, in the order in which they need each other.
//!
//! Promises that nothing is opened before the whole configuration makes sense, that clients are let in last, and that
//! what was begun is ended in the opposite order. Decides nothing else. Dropping [`serve`] leaves tasks to the runtime.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::config::Config;
use crate::store;
use crate::telemetry;
use crate::upstream::{self, Mirror};

/// A configuration that cannot work. Each variant names the key, the value, and what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// `[store]`.
    #[error(transparent)]
    Store(#[from] store::InvalidConfig),
    /// A table of `[mirror]`.
    #[error(transparent)]
    Mirror(#[from] upstream::InvalidMirror),
}

/// Why wharf does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] telemetry::Error),
    /// Nobody could stop it.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// What a configuration comes to, before anything is opened.
#[derive(Debug)]
pub struct Plan {
    mirrors: Vec<Arc<Mirror>>,
}

/// Whether a configuration can work: every value for itself, and all of them together.
pub fn check(config: &Config) -> Result<Plan, Invalid> {
    config.store.check()?;
    let mirrors = upstream::mirrors(&config.mirror)?;
    Ok(Plan { mirrors })
}

/// Serves until SIGTERM or SIGINT, and then until running responses have ended or `server.drain` is over.
pub async fn serve(config: &Config) -> Result<(), Error> {
    telemetry::start()?;
    let plan = check(config)?;
    let stop = Stop::listen().map_err(Error::Signals)?;
    announce(config, &plan);
    stop.asked().await;
    Ok(())
}

/// The first lines of the log: where it listens, where it stores, what it mirrors.
fn announce(config: &Config, plan: &Plan) {
    info!("listening on {}", config.server.listen);
    info!(
        "storing in {}, the index in {}",
        config.store.path.display(),
        config.store.index_path().display()
    );
    let keys: Vec<&str> = plan.mirrors.iter().map(|mirror| mirror.key()).collect();
    info!("mirroring {}", keys.join(", "));
}

/// The signals that ask a process to end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From here on the signals no longer kill.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(mut self) {
        let by = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        info!(by, "stopping");
    }
}
