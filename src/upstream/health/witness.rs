//! Owns: [`Witness`], who goes with one question, from its request to the last byte of its body, and tells the host's
//! health what came of it.
//!
//! Never: does I/O. Dropped: nothing is told, because nothing is known.

use std::sync::Arc;
use std::time::Instant;

use super::super::error::Error;
use super::super::mirror::Endpoint;
use super::{Errand, Health, Host};
use crate::clock::Clock;

/// Small, because every body carries one.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Witness(Arc<Question>);

#[derive(Debug)]
struct Question {
    endpoint: Arc<Endpoint>,
    host: Host,
    began: Instant,
    clock: Clock,
}

impl Witness {
    pub(in crate::upstream) fn new(endpoint: &Arc<Endpoint>, host: Host, clock: &Clock) -> Self {
        Self(Arc::new(Question {
            endpoint: Arc::clone(endpoint),
            host,
            began: Instant::now(),
            clock: clock.clone(),
        }))
    }

    /// See [`Health::admit`].
    pub(in crate::upstream) fn admit(&self) -> Result<(), (Error, Option<Errand>)> {
        self.health().admit(&self.0.host, self.0.clock.now())
    }

    pub(in crate::upstream) fn is_well(&self) {
        self.health().is_well(&self.0.host);
    }

    pub(in crate::upstream) fn failed(&self, error: &Error) {
        let Question { host, began, clock, .. } = &*self.0;
        self.health().failed(host, error, *began, clock.now());
    }

    /// The question was a probe, and was answered.
    pub(in crate::upstream) fn is_mended(&self) {
        self.health().is_mended(&self.0.host, Instant::now());
    }

    /// The question was a probe, and was not answered.
    pub(in crate::upstream) fn still_ill(&self, error: &Error) {
        self.health().still_ill(&self.0.host, error, self.0.clock.now());
    }

    fn health(&self) -> &Health {
        self.0.endpoint.health()
    }
}
