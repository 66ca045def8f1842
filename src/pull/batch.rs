//! Chunks of an upstream's body, gathered into writes of a sensible size.
//!
//! Promises that the first bytes of a body are given at once, and that later ones wait for company for 5 ms at most.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::upstream::{self, BlobBody};

/// A write is big enough, in bytes.
const ENOUGH: usize = 128 * 1024;
/// How long bytes wait for company.
const COMPANY: Duration = Duration::from_millis(5);

pub(super) struct Batches {
    body: BlobBody,
    started: bool,
    /// How the body ended, told once the chunks before the end are out.
    ended: Option<Result<(), upstream::Error>>,
}

impl Batches {
    pub(super) fn new(body: BlobBody) -> Self {
        Self {
            body,
            started: false,
            ended: None,
        }
    }

    /// The next chunks, one behind the other; `None` at the body's clean end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, upstream::Error> {
        let Some(first) = self.chunk().await else {
            return self.ended.take().unwrap_or(Ok(())).map(|()| None);
        };
        let (mut size, mut chunks) = (first.len(), vec![first]);
        let company_until = Instant::now() + COMPANY;
        while self.started && size < ENOUGH {
            match timeout_at(company_until, self.chunk()).await {
                Ok(Some(chunk)) => {
                    size += chunk.len();
                    chunks.push(chunk);
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.started = true;
        Ok(Some(chunks))
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended.is_some() {
            return None;
        }
        match self.body.chunk().await {
            Ok(Some(chunk)) => Some(chunk),
            Ok(None) => {
                self.ended = Some(Ok(()));
                None
            }
            Err(error) => {
                self.ended = Some(Err(error));
                None
            }
        }
    }
}
