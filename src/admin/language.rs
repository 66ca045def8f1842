//! The words that go through the control socket.
//!
//! Promises that a command or a field which is not known is refused, and never ignored: a wharf of another version may
//! have meant something by it.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::friendly;
use crate::oci::Pin;
use crate::store::{Gone, Source};

/// The version of this wharf.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The line that asks, with the version of whoever does. The command is read only after that.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request<C> {
    pub(super) wharf: String,
    pub(super) command: C,
}

/// What a running wharf can be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Free what nobody can reach, now; an [`Answer::Content`] for each blob.
    Gc {
        /// Only say what that would free.
        dry_run: bool,
        /// Instead of `hosted.grace`.
        grace: Option<Grace>,
    },
    /// Never evict what this names; an [`Answer::Pin`].
    PinAdd {
        /// What.
        pin: Pin,
    },
    /// Take back what [`Command::PinAdd`] did.
    PinRemove {
        /// What.
        pin: Pin,
    },
    /// Tell all pins; an [`Answer::Pin`] for each.
    PinList {},
}

/// A duration in words, as the configuration has them: `"90m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grace(#[serde(with = "friendly")] pub(super) Duration);

impl FromStr for Grace {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        friendly::parse(text).map(Self)
    }
}

/// A line that answers. The last one is `Ok` or `Error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Content that goes, or would.
    Content {
        /// Which.
        digest: String,
        /// Its length.
        bytes: u64,
    },
    /// What is never evicted.
    Pin {
        /// Which pin.
        pin: Pin,
        /// Whose.
        source: Source,
        /// Blobs of it that are stored.
        blobs: u64,
        /// Their length together.
        bytes: u64,
    },
    /// All is done.
    Ok(()),
    /// It is not done, or not all of it, and why.
    Error(String),
}

impl From<Gone> for Answer {
    fn from(Gone { digest, size }: Gone) -> Self {
        Self::Content {
            digest: digest.to_string(),
            bytes: size,
        }
    }
}
