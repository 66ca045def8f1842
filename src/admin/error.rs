//! Why a command was not done: what the operator reads, whichever end found out.

use std::error::Error as StdError;
use std::fmt::Write;
use std::io;
use std::time::Duration;

use crate::oci::Pin;
use crate::store;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is nothing to take back.
    #[error("{pin} is not pinned by command{}", if *.is_configured { ": take it out of store.pins, and send SIGHUP" } else { "" })]
    NotPinned {
        /// What was to be taken back.
        pin: Pin,
        /// Whether `store.pins` has it.
        is_configured: bool,
    },
    /// Who asked and who is asked are not the same wharf.
    #[error(
        "wharf {theirs} asks for what the running wharf {ours} does not know ({source}): use the same version for both"
    )]
    Version {
        /// Of the running wharf.
        ours: &'static str,
        /// Of the one that asks.
        theirs: String,
        /// What is not known.
        source: serde_json::Error,
    },
    /// That is none of our words.
    #[error("no command: {0}")]
    Garbage(#[source] serde_json::Error),
    /// It does not end.
    #[error("no command has more than {most} bytes")]
    TooLong {
        /// Bytes of a line.
        most: usize,
    },
    /// Nothing came, or nothing was taken.
    #[error("waited for {within:?} in vain")]
    Silent {
        /// How long.
        within: Duration,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The running wharf's own words.
    #[error("{0}")]
    Refused(String),
    /// The running wharf says what we do not know.
    #[error("the running wharf does not answer as wharf {ours} does ({source}): use the same version for both")]
    Answer {
        /// Of the one that asks.
        ours: &'static str,
        /// What is not known.
        source: serde_json::Error,
    },
    /// It ended before its last word.
    #[error("the running wharf ended before it had answered: what it did until then is done")]
    Ended,
}

impl Error {
    /// With its causes, in one line.
    pub(super) fn in_full(&self) -> String {
        let mut line = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let words = cause.to_string();
            if !line.contains(&words) {
                // A String takes whatever is written.
                let _ = write!(line, ": {words}");
            }
            next = cause.source();
        }
        line
    }
}
