//! The hash of what one relay gives, or has to know of what it does not give.
//!
//! Promises that it is computed on the blocking pool, each byte once. Dropped futures lose it: the relay is over then.

use bytes::Bytes;

use crate::oci::{Digest, Hasher};
use crate::pull::Error;
use crate::pull::flight::Lost;
use crate::tasks::Tasks;

/// What has been hashed, from byte 0 on.
#[derive(Debug)]
pub(super) struct Proof {
    hasher: Hasher,
    at: u64,
}

impl Proof {
    pub(super) fn new(hasher: Hasher, at: u64) -> Self {
        Self { hasher, at }
    }

    /// How many bytes have been hashed.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Hashes those of `chunks`, which begin at `start`, that have not been. Gives everything back.
    pub(super) async fn hash(
        mut self,
        start: u64,
        chunks: Vec<Bytes>,
        tasks: &Tasks,
    ) -> Result<(Self, Vec<Bytes>), Error> {
        let hash = move || {
            let mut at = start;
            for chunk in &chunks {
                let end = at + chunk.len() as u64;
                let known = usize::try_from(self.at.min(end) - at.min(self.at)).unwrap_or(chunk.len());
                self.hasher.update(&chunk[known..]);
                self.at = self.at.max(end);
                at = end;
            }
            (self, chunks)
        };
        Ok(tasks.blocking(hash).await.map_err(|_ended| Lost)?)
    }

    pub(super) fn finish(self) -> Digest {
        self.hasher.finish()
    }
}
