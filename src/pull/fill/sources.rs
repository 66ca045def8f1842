//! Whom one fill asks: the endpoints of its mirror in order, from the first that has not been given up.
//!
//! Owns who was given up for this fill, and who gave bytes. Never does I/O.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::upstream::Endpoint;

/// The endpoints that may be asked for one blob.
#[derive(Debug)]
pub(in crate::pull) struct Sources {
    /// Never empty.
    endpoints: Vec<Arc<Endpoint>>,
    first: AtomicUsize,
    givers: Mutex<Vec<Arc<Endpoint>>>,
}

impl Sources {
    /// One at least.
    pub(in crate::pull) fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self {
            endpoints,
            first: AtomicUsize::new(0),
            givers: Mutex::default(),
        }
    }

    /// Who is asked, in order: one at least.
    pub(in crate::pull) fn left(&self) -> &[Arc<Endpoint>] {
        &self.endpoints[self.first.load(Ordering::Relaxed)..]
    }

    /// Gives up an endpoint, and those before it that had nothing to give. False when no other is left.
    pub(in crate::pull) fn pass_over(&self, endpoint: &Arc<Endpoint>) -> bool {
        let Some(at) = self.endpoints.iter().position(|it| Arc::ptr_eq(it, endpoint)) else {
            return false;
        };
        let another = at + 1 < self.endpoints.len();
        if another {
            self.first.fetch_max(at + 1, Ordering::Relaxed);
        }
        another
    }

    /// Notes who sends bytes.
    pub(in crate::pull) fn gives(&self, endpoint: &Arc<Endpoint>) {
        let mut givers = self.givers.lock().unwrap_or_else(PoisonError::into_inner);
        if !givers.iter().any(|it| Arc::ptr_eq(it, endpoint)) {
            givers.push(Arc::clone(endpoint));
        }
    }

    /// Who has sent bytes.
    pub(in crate::pull) fn givers(&self) -> Vec<Arc<Endpoint>> {
        self.givers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
