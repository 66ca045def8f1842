//! The command line: one file for each subcommand.
//!
//! Promises that what went wrong is said in one line on standard error, with what to do about it, and an exit code that
//! scripts can tell apart: 2 for the configuration (and the command line itself), 1 for anything else.
//! Never does the work: `config` reads, `app` serves.

mod config;
mod fsck;
mod gc;
mod pin;
mod restore;
mod serve;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use tokio::runtime::{self, Runtime};

use crate::{admin, app};

/// A pull-through caching OCI registry: every byte is fetched once, streamed while it arrives, proven, and kept.
#[derive(Debug, Parser)]
#[command(name = "wharf", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve(serve::Arguments),
    /// Look whether the store is well, and mend it with --repair; nobody may be serving. Ends with 1 where anything is wrong.
    Fsck(fsck::Arguments),
    /// Free what was pushed and nobody can reach any more, now; beside the running wharf, or without one.
    Gc(gc::Arguments),
    /// Keep images from being evicted by the running wharf.
    #[command(subcommand)]
    Pin(pin::Command),
    /// Put the index back as it was when it was copied last; nobody may be serving.
    Restore(restore::Arguments),
    /// Look at the configuration without serving.
    #[command(subcommand)]
    Config(config::Command),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file; without one, wharf goes by its defaults and the environment.
    #[arg(long = "config", value_name = "FILE", env = "WHARF_CONFIG")]
    path: Option<PathBuf>,
}

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unusable(#[from] app::Unusable),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error("no wharf serves the store {}: start one, or pin by store.pins in its configuration", .0.display())]
    NobodyServes(PathBuf),
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    #[error("cannot print the configuration: {0}")]
    Toml(#[from] toml::ser::Error),
    #[error("the store is not as it should be: what was found stands above")]
    Trouble,
    #[error("the check was broken off: run it again, and it goes on")]
    BrokenOff,
}

/// Does what the command line says, and says what the process should end with.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Fsck(arguments) => fsck::run(arguments),
        Command::Gc(arguments) => gc::run(arguments),
        Command::Pin(command) => pin::run(command),
        Command::Restore(arguments) => restore::run(arguments),
        Command::Config(command) => config::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("wharf: {}", chain(&failure));
            failure.code()
        }
    }
}

impl Failure {
    fn code(&self) -> ExitCode {
        match self {
            Self::Unusable(_) => ExitCode::from(2),
            Self::App(_)
            | Self::Admin(_)
            | Self::NobodyServes(_)
            | Self::Runtime(_)
            | Self::Print(_)
            | Self::Toml(_)
            | Self::Trouble
            | Self::BrokenOff => ExitCode::FAILURE,
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let built = runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(Failure::Runtime)
}

/// An error and its causes in one line, each cause once: some errors repeat theirs.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_line = cause.to_string();
        if !line.contains(&cause_line) {
            line = format!("{line}: {cause_line}");
        }
        next = cause.source();
    }
    line
}
