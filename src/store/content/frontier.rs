//! The hash of an arriving blob, computed once, on the way in.
//!
//! Owns the hasher and the position up to which it has seen every byte. Bytes that come at that position are hashed
//! from memory, those that came earlier (a resumed partial, a side stream) are read back when it reaches them.
//! Promises that the hasher sees each byte once and in order, whoever carries it, and that it is waited for only where
//! that holds no thread. Hashing and reading back block.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::Error;
use crate::store::content::disk::OpenFile;

/// How much is read back at a time, in bytes.
const STEP: usize = 256 * 1024;

/// The digest of a whole file.
pub(crate) fn hash_file(file: &OpenFile, algorithm: Algorithm) -> Result<Digest, Error> {
    let mut hasher = Hasher::new(algorithm);
    let (mut buffer, mut at) = (vec![0; STEP], 0);
    loop {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
}

pub(super) struct Frontier(Arc<Mutex<Progress>>);

/// The hasher while somebody carries it, from thread to thread; it comes back however that ends.
pub(super) type Baton = OwnedMutexGuard<Progress>;

pub(super) struct Progress {
    algorithm: Algorithm,
    hasher: Hasher,
    at: u64,
}

impl Frontier {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self(Arc::new(Mutex::new(Progress::new(algorithm))))
    }

    /// Hashes what is present beyond the frontier, `written` from memory: what the caller has just put into the file, by
    /// position. Does nothing while another thread hashes: what it does not see now, it or the end sees later.
    pub(super) fn advance(
        &self,
        written: &[(u64, Bytes)],
        run_end: impl Fn(u64) -> u64,
        file: &OpenFile,
    ) -> Result<(), Error> {
        self.take()
            .map_or(Ok(()), |mut baton| baton.run(written, run_end, file))
    }

    /// The hasher, unless somebody has it.
    pub(super) fn take(&self) -> Option<Baton> {
        Arc::clone(&self.0).try_lock_owned().ok()
    }

    /// The hasher, once nobody has it.
    pub(super) async fn next(&self) -> Baton {
        Arc::clone(&self.0).lock_owned().await
    }
}

impl Progress {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            hasher: Hasher::new(algorithm),
            at: 0,
        }
    }

    /// How many bytes have been hashed.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The hash of what has been hashed, and its length.
    pub(super) fn so_far(&self) -> (Hasher, u64) {
        (self.hasher.clone(), self.at)
    }

    /// The digest of what has been hashed, and its length. The frontier begins anew.
    pub(super) fn finish(&mut self) -> (Digest, u64) {
        let Self { hasher, at, .. } = std::mem::replace(self, Self::new(self.algorithm));
        (hasher.finish(), at)
    }

    /// Hashes what is present beyond the frontier, `written` from memory.
    pub(super) fn run(
        &mut self,
        written: &[(u64, Bytes)],
        run_end: impl Fn(u64) -> u64,
        file: &OpenFile,
    ) -> Result<(), Error> {
        for (start, part) in written {
            self.read_back(|from| run_end(from).min(*start), file)?;
            if self.at == *start {
                self.hasher.update(part);
                self.at += part.len() as u64;
            }
        }
        self.read_back(run_end, file)
    }

    /// Hashes what is present beyond the frontier, from the file.
    pub(super) fn read_back(&mut self, run_end: impl Fn(u64) -> u64, file: &OpenFile) -> Result<(), Error> {
        let mut buffer = Vec::new();
        loop {
            // Asked again at every step: more may have come, and whoever asked may have given up.
            let left = run_end(self.at).saturating_sub(self.at);
            if left == 0 {
                return Ok(());
            }
            buffer.resize(STEP, 0);
            let wanted = usize::try_from(left).unwrap_or(STEP).min(STEP);
            let read = file.read_at(&mut buffer[..wanted], self.at)?;
            if read == 0 {
                return Err(file.ended_early());
            }
            self.hasher.update(&buffer[..read]);
            self.at += read as u64;
        }
    }
}
