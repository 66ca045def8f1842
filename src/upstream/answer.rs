//! Owns: what an answer's head means: usable, or which [`Error`].
//!
//! Promises: HTML and encoded content are refused before a byte is read; a small body is bounded in size and in time, and
//! who falls silent in one is not waited for longer than for an answer.
//! Dropped: the connection is closed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AsHeaderName, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::oci::MediaType;

use super::body::{BlobBody, Span, total_of_unsatisfied};
use super::error::Error;
use super::fault::{Absence, Fault, Phase};
use super::hold::retry_after;
use super::redirect::Answer;

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header that is ASCII, as all that we read are.
    pub(super) fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// `Content-Length`, which on a HEAD speaks of a body that is not there.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH).and_then(|value| value.parse().ok())
    }

    pub(super) fn media_type(&self) -> Option<MediaType> {
        self.header(CONTENT_TYPE).and_then(|value| value.parse().ok())
    }

    pub(super) fn unusable(&self, fault: Fault) -> Error {
        Error::Unusable {
            at: self.at.clone(),
            status: Some(self.status()),
            fault,
        }
    }

    /// The answer, if it has one of these statuses and content that can be what was asked for.
    pub(super) fn expect(self, accepted: &[u16], clock: &Clock) -> Result<Self, Error> {
        if !accepted.contains(&self.status()) {
            return Err(self.error(clock));
        }
        let html = self
            .media_type()
            .is_some_and(|it| matches!(it.as_str(), "text/html" | "application/xhtml+xml"));
        if html {
            return Err(self.unusable(Fault::Html));
        }
        let encoding = self.header(CONTENT_ENCODING).unwrap_or_default().trim();
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            return Err(self.unusable(Fault::Encoded));
        }
        Ok(self)
    }

    /// What a status means that was not hoped for.
    pub(super) fn error(&self, clock: &Clock) -> Error {
        let (at, status) = (self.at.clone(), self.status());
        match status {
            404 => Error::Absent {
                at,
                status,
                how: Absence::NotFound,
            },
            416 => {
                let total = self.header(CONTENT_RANGE).and_then(total_of_unsatisfied);
                Error::RangeNotSatisfiable { at, total }
            }
            429 => Error::Throttled {
                at,
                retry_after: self.retry_after(clock),
            },
            407 => self.unusable(Fault::ProxyCredentials),
            408 | 500..=599 => Error::Failed {
                at,
                status,
                retry_after: self.retry_after(clock),
            },
            // The registry allowed it and the place that it sent us to does not: an expired signature, a broken CDN.
            401 | 403 if self.elsewhere => Error::Failed {
                at,
                status,
                retry_after: None,
            },
            _ => self.unusable(Fault::Status),
        }
    }

    /// The whole body, of `limit` bytes at most.
    pub(super) async fn small_body(self, limit: usize) -> Result<Bytes, Error> {
        let limits = self.endpoint.deadlines();
        let (at, witness) = (self.at.clone(), self.witness.clone());
        let within = limits.first_byte + limits.silence;
        timeout(within, self.collect(limit)).await.unwrap_or_else(|_elapsed| {
            let slow = Error::Timeout {
                at,
                phase: Phase::SmallBody,
                within,
            };
            witness.failed(&slow);
            Err(slow)
        })
    }

    async fn collect(self, limit: usize) -> Result<Bytes, Error> {
        let too_big = self.unusable(Fault::TooBig { limit });
        if self.length().is_some_and(|length| length > limit as u64) {
            return Err(too_big);
        }
        let mut body = BlobBody::open(self, Span::default())?.small();
        let mut whole = BytesMut::new();
        while let Some(bytes) = body.chunk().await? {
            if whole.len() + bytes.len() > limit {
                return Err(too_big);
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    fn retry_after(&self, clock: &Clock) -> Option<Duration> {
        retry_after(self.response.headers(), clock.now())
    }
}
