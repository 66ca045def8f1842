//! `wharf serve`.
//!
//! Owns the runtime: it ends when serving has, and waits a moment for work that blocks.

use std::time::Duration;

use clap::Args;

use crate::app::{self, Plan};

use super::{ConfigFile, Failure, runtime};

/// Work that is still blocked on a disk or a name server when everything else has ended is not waited for longer.
const LAST_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Write nothing to the store: for one on read-only media, or a copy. What is not stored is not kept.
    #[arg(long)]
    read_only: bool,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let plan = Plan::load(arguments.file.path)?;
    let runtime = runtime()?;
    let served = runtime.block_on(app::serve(plan, arguments.read_only));
    runtime.shutdown_timeout(LAST_WAIT);
    Ok(served?)
}
