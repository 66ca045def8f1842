//! How far a check has come, for the one that goes on when it is broken off.
//!
//! Owns the file `<store>/fsck`: the only thing that a check without `repair` writes, besides the name in the lock. One that
//! cannot be read counts for nothing. Never holds more digests than a list of what was found damaged. Blocks.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::content::disk;

/// How much is looked at twice after a kill, at most.
const EVERY: Duration = Duration::from_secs(2);

/// What the file says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    /// The blob that was looked at last.
    pub(super) behind: Option<String>,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    /// What was found damaged and is still there.
    pub(super) damaged: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    saved: Instant,
    pub(super) done: Done,
}

impl Place {
    /// Of the check that was broken off, if one was, unless that is to begin `anew`.
    pub(super) fn open(path: PathBuf, anew: bool) -> Result<Self, Error> {
        let left = if anew { None } else { disk::read_small(&path)? };
        let done = left.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self {
            path,
            saved: Instant::now(),
            done: done.unwrap_or_default(),
        })
    }

    pub(super) fn behind(&self) -> Option<Digest> {
        self.done.behind.as_ref()?.parse().ok()
    }

    /// Notes that a blob was looked at.
    pub(super) fn pass(&mut self, digest: &Digest, bytes: u64, damaged: bool) -> Result<(), Error> {
        self.done.behind = Some(digest.to_string());
        self.done.blobs += 1;
        self.done.bytes += bytes;
        if damaged {
            self.done.damaged.push(digest.to_string());
        }
        if self.saved.elapsed() < EVERY {
            return Ok(());
        }
        self.save()
    }

    pub(super) fn save(&mut self) -> Result<(), Error> {
        self.saved = Instant::now();
        disk::write_small(&self.path, &serde_json::to_vec(&self.done).unwrap_or_default())
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        disk::remove(&self.path)
    }
}
