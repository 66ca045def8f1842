//! `wharf serve`.
//!
//! Owns the runtime: it ends when serving has, and waits a moment for work that blocks.

use std::time::Duration;

use crate::app::{self, Plan};

use super::{ConfigFile, Failure, runtime};

/// Work that is still blocked on a disk or a name server when everything else has ended is not waited for longer.
const LAST_WAIT: Duration = Duration::from_secs(1);

pub(super) fn run(file: ConfigFile) -> Result<(), Failure> {
    let plan = Plan::load(file.path)?;
    let runtime = runtime()?;
    let served = runtime.block_on(app::serve(plan));
    runtime.shutdown_timeout(LAST_WAIT);
    Ok(served?)
}
