//! Log lines: text on standard error, as `RUST_LOG` says, `info` without it.
//!
//! Owns the process's one subscriber. Knows nothing of what is logged.

use std::env::VarError;
use std::error::Error as _;
use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::FromEnvError;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `RUST_LOG` cannot be read.
    #[error("RUST_LOG: expected directives, like \"info\" or \"wharf=debug\"")]
    Filter(#[source] FromEnvError),
    /// Something in this process logs already.
    #[error("cannot start the log")]
    Taken(#[source] SetGlobalDefaultError),
}

/// Starts the log of this process. Once only.
pub fn start() -> Result<(), Error> {
    let subscriber = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter()?)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    set_global_default(subscriber.finish()).map_err(Error::Taken)
}

fn filter() -> Result<EnvFilter, Error> {
    let info = || EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    info().try_from_env().or_else(|error| {
        let absent = error.source().and_then(|cause| cause.downcast_ref()) == Some(&VarError::NotPresent);
        if absent {
            Ok(info().parse_lossy(""))
        } else {
            Err(Error::Filter(error))
        }
    })
}
