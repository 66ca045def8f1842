//! `wharf config check`: the effective configuration, or what is wrong with it.
//!
//! Opens no store and no socket, and asks no upstream.

use std::io::{self, Write};

use clap::Subcommand;

use crate::app;
use crate::config::Config;

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
    let config = Config::load(file.path.as_deref())?;
    let plan = app::check(&config).map_err(|source| Failure::Invalid {
        file: file.path,
        source,
    })?;
    plan.cautions()
        .for_each(|caution| eprintln!("wharf: warning: {caution}"));
    io::stdout().write_all(config.to_toml()?.as_bytes())?;
    Ok(())
}
