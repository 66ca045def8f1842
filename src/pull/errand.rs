//! One blob that somebody wants of a mirror: what a fill and a relay have in common.
//!
//! Promises that a body is of the length that is known. Dropped futures cost what was asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oci::Digest;
use crate::pull::fill::Sources;
use crate::pull::flight::Lost;
use crate::pull::{Error, Place, Pull};
use crate::upstream::{BlobBody, Endpoint, Slot, Span, Tally};

/// One blob, and for whom it is fetched.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) pull: Pull,
    pub(super) place: Place,
    pub(super) digest: Digest,
    /// The length in bytes that a manifest of this repository claims.
    pub(super) expected: Option<u64>,
    pub(super) tally: Tally,
    pub(super) leftover: Leftover,
}

/// A body that a fill had begun to fetch when the store would not take it, and its slot in the lane: for the one whose pull
/// began the fill.
#[derive(Debug, Default)]
pub(super) struct Leftover(Mutex<Option<(BlobBody, Slot)>>);

impl Leftover {
    pub(super) fn leave(&self, body: BlobBody, slot: Slot) {
        *self.lock() = Some((body, slot));
    }

    pub(super) fn take(&self) -> Option<(BlobBody, Slot)> {
        self.lock().take()
    }

    /// The blob's length in bytes, if the body told.
    pub(super) fn total(&self) -> Option<u64> {
        self.lock().as_ref().and_then(|(body, _)| body.total())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(BlobBody, Slot)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Errand {
    /// A body from whoever is left and has one, of the right length.
    pub(super) async fn ask(&self, sources: &Sources, span: Span, known: Option<u64>) -> Result<BlobBody, Error> {
        let Self {
            pull, place, digest, ..
        } = self;
        loop {
            let asked = pull
                .client
                .get_blob(sources.left(), &place.remote, digest, span, &self.tally);
            let asked = pull.tasks.closing().run_until_cancelled_owned(asked).await;
            let body = asked.ok_or(Lost)?.map_err(|error| Error::of_blob(digest, error))?;
            match (known, body.total()) {
                (Some(known), Some(told)) if known != told => {
                    if !sources.pass_over(body.endpoint()) {
                        return Err(self.other_length(body.endpoint(), told, known));
                    }
                }
                _ => return Ok(body),
            }
        }
    }

    pub(super) fn other_length(&self, endpoint: &Endpoint, told: u64, known: u64) -> Error {
        Error::Length {
            upstream: endpoint.to_string(),
            digest: self.digest,
            told,
            known,
        }
    }
}

/// All from this byte on.
pub(super) fn whole_from(from: u64) -> Span {
    Span { from, to: None }
}
