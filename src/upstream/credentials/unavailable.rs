//! Owns: why a source gives no credentials, in words for the log: they name files and commands of this machine.
//!
//! Never: what a file or a command held, except the message of a helper that failed, by its protocol no secret.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there are no credentials to ask with. Each names the file or the command.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("{} is no regular file", path.display())]
    NoFile {
        /// What is there.
        path: PathBuf,
    },
    /// Far more than any secret has.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooBig {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("{} is not text", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// Nothing, or a line end.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON, or not of this form.
    #[error("{} is no Docker config.json (line {line})", path.display())]
    NoDockerConfig {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// Nobody has logged in there.
    #[error("{} has neither credentials nor a helper for {server}", path.display())]
    NoEntry {
        /// The file.
        path: PathBuf,
        /// As Docker names it.
        server: String,
    },
    /// `auth` with something else in it.
    #[error("{}: what it has for {server} in `auth` is not user and password in base64", path.display())]
    BadAuth {
        /// The file.
        path: PathBuf,
        /// As Docker names it.
        server: String,
    },
    /// The helper does not run.
    #[error("{command} cannot be run: {source}")]
    NoHelper {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The helper failed.
    #[error("`{command} get` for {server} ended with {status}: {said}")]
    Failed {
        /// The command.
        command: String,
        /// What stood on its standard input.
        server: String,
        /// Its end.
        status: ExitStatus,
        /// Its message.
        said: String,
    },
    /// The helper did not end in time, and was stopped.
    #[error("`{command} get` for {server} did not end within {within:?}")]
    TooLong {
        /// The command.
        command: String,
        /// What stood on its standard input.
        server: String,
        /// The deadline.
        within: Duration,
    },
    /// The helper said something else.
    #[error("`{command} get` for {server} did not answer with a Username and a Secret in JSON")]
    BadAnswer {
        /// The command.
        command: String,
        /// What stood on its standard input.
        server: String,
    },
    /// A file system that does not answer, or a shutdown.
    #[error("looking for them was given up")]
    GivenUp,
}
