//! The room of what is on its way in, asked for before its bytes are written.
//!
//! Promises that a dropped reservation gives back what was not written; what was stays counted, and may be evicted where it
//! is a partial. Dropping the future of a request for room leaves what was evicted for it evicted.

use std::sync::Arc;

use crate::store::budget::Budget;
use crate::store::budget::ledger::Incoming;
use crate::store::{Error, UploadId};

/// The right to write a partial or an upload. It is no victim of an eviction while there is one.
#[derive(Debug)]
pub(in crate::store) struct Reservation {
    budget: Arc<Budget>,
    of: Incoming,
}

impl Reservation {
    /// Of a partial. To be taken on the thread that evicts.
    pub(in crate::store) fn of_partial(budget: Arc<Budget>, id: u64) -> Self {
        Self::new(budget, Incoming::Partial(id))
    }

    /// Of an upload.
    pub(in crate::store) fn of_upload(budget: Arc<Budget>, id: UploadId) -> Self {
        Self::new(budget, Incoming::Upload(id))
    }

    fn new(budget: Arc<Budget>, of: Incoming) -> Self {
        budget.ledger.open(of);
        Self { budget, of }
    }

    /// Reserves room for `length` bytes in all; where the length is not known, for a step beyond what is there.
    pub(in crate::store) async fn reserve(&self, length: Option<u64>) -> Result<(), Error> {
        let held = self.budget.ledger.held(self.of);
        let total = length.map_or_else(|| held + self.budget.ledger.step(), pages);
        self.budget.reserve(self.of, total).await
    }

    /// Sees to it that there is room for `present` bytes in all, before they are written.
    pub(in crate::store) async fn cover(&self, present: u64) -> Result<(), Error> {
        let held = self.budget.ledger.held(self.of);
        if pages(present) <= held {
            return Ok(());
        }
        let total = pages(present).max(held + self.budget.ledger.step());
        self.budget.reserve(self.of, total).await
    }

    /// Has room made for `length` bytes in all and some more, and waits for nothing: pushed content is not refused.
    pub(in crate::store) fn cover_ahead(&self, length: u64) {
        self.budget.reserve_ahead(self.of, pages(length));
    }

    /// Says that so many bytes are on the disk.
    pub(in crate::store) fn wrote(&self, bytes: u64) {
        self.budget.ledger.wrote(self.of, pages(bytes));
    }

    /// Says that nothing of it is there any more under its own name.
    pub(in crate::store) fn end(&self) {
        self.ending()();
    }

    /// What says so, for who is told of that elsewhere.
    pub(in crate::store) fn ending(&self) -> impl FnOnce() + Send + use<> {
        let (budget, of) = (Arc::clone(&self.budget), self.of);
        move || budget.ledger.end(of)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.ledger.leave(self.of);
    }
}

/// A file takes whole pages.
fn pages(bytes: u64) -> u64 {
    const PAGE: u64 = 4096;
    bytes.saturating_add(PAGE - 1) / PAGE * PAGE
}
