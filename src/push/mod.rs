//! Writing: what clients push to hosted repositories, and what they delete there.
//!
//! Owns upload sessions and the rules of a push. Promises that what is acknowledged is durable (P8), that a manifest is
//! accepted only with everything it names, and that no reader sees half of a push. Never asks an upstream, and never
//! writes to a mirrored repository: only a `HostedRepo` gets in here.

mod config;
mod delete;
mod error;
mod manifest;
mod mount;
mod session;

use std::sync::Arc;

use crate::clock::Clock;
use crate::store::Store;
use crate::tasks::Tasks;

pub use config::Config;
pub use error::{Error, Interrupted};
pub use manifest::{Accepted, ManifestPush};
pub use session::{Piece, Position};

pub use crate::store::{Conditions, Entities, UploadId};

use session::Sessions;

/// Writes to repositories. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Push {
    store: Store,
    clock: Clock,
    tasks: Tasks,
    config: Arc<Config>,
    sessions: Sessions,
}

impl Push {
    /// Over a store.
    pub fn new(store: Store, clock: Clock, tasks: Tasks, config: &Config) -> Self {
        Self {
            store,
            clock,
            tasks,
            config: Arc::new(config.clone()),
            sessions: Sessions::default(),
        }
    }

    /// Whether nothing can be pushed here.
    pub fn is_read_only(&self) -> bool {
        self.store.is_read_only()
    }
}
