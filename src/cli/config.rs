//! `wharf config check`: the effective configuration, or what is wrong with it.
//!
//! Opens no store and no socket, and asks no upstream.

use std::io::{self, Write};

use clap::Subcommand;

use crate::app::Plan;

use super::{ConfigFile, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the effective configuration, or say what is wrong with it and exit with 2.
    Check(ConfigFile),
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(file) => check(file),
    }
}

fn check(file: ConfigFile) -> Result<(), Failure> {
    let plan = Plan::load(file.path)?;
    plan.cautions()
        .for_each(|caution| eprintln!("wharf: warning: {caution}"));
    io::stdout().write_all(plan.config().to_toml()?.as_bytes())?;
    Ok(())
}
