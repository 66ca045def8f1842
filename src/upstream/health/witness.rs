//! Owns: [`Witness`], who goes with one question, from its request to the last byte of its body, and tells the host's
//! health what came of it.
//!
//! Never: does I/O. Dropped: nothing is told, because nothing is known.

use std::sync::Arc;
use std::time::Instant;

use super::super::error::Error;
use super::super::mirror::Endpoint;
use super::{Errand, Host};
use crate::clock::Clock;

#[derive(Debug, Clone)]
pub(in crate::upstream) struct Witness {
    endpoint: Arc<Endpoint>,
    host: Host,
    began: Instant,
    clock: Clock,
}

impl Witness {
    pub(in crate::upstream) fn new(endpoint: &Arc<Endpoint>, host: Host, clock: &Clock) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            host,
            began: Instant::now(),
            clock: clock.clone(),
        }
    }

    /// See [`Health::admit`](super::Health::admit).
    pub(in crate::upstream) fn admit(&self) -> Result<(), (Error, Option<Errand>)> {
        self.endpoint.health().admit(&self.host, self.clock.now())
    }

    pub(in crate::upstream) fn is_well(&self) {
        self.endpoint.health().is_well(&self.host);
    }

    pub(in crate::upstream) fn failed(&self, error: &Error) {
        let now = self.clock.now();
        self.endpoint.health().failed(&self.host, error, self.began, now);
    }

    /// The question was a probe, and was answered.
    pub(in crate::upstream) fn is_mended(&self) {
        self.endpoint.health().is_mended(&self.host, Instant::now());
    }

    /// The question was a probe, and was not answered.
    pub(in crate::upstream) fn still_ill(&self, error: &Error) {
        self.endpoint.health().still_ill(&self.host, error, self.clock.now());
    }
}
