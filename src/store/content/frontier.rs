//! The hash of an arriving blob, computed once, on the way in.
//!
//! Owns the hasher and the position up to which it has seen every byte. Bytes that come at that position are hashed
//! from memory, those that came earlier (a resumed partial, a side stream) are read back when it reaches them.
//! Promises that the hasher sees each byte once and in order, whoever carries it. All calls block.

use std::sync::{Condvar, Mutex, PoisonError};

use bytes::Bytes;

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

pub(super) struct Frontier {
    /// Empty while somebody is hashing: the hasher is carried outside the lock.
    rest: Mutex<Option<Progress>>,
    returned: Condvar,
}

struct Progress {
    hasher: Hasher,
    at: u64,
}

impl Frontier {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let start = Progress {
            hasher: Hasher::new(algorithm),
            at: 0,
        };
        Self {
            rest: Mutex::new(Some(start)),
            returned: Condvar::new(),
        }
    }

    /// Hashes what is present beyond the frontier, `written` from memory: what the caller has just put into the file, by
    /// position. Does nothing while another thread hashes: what it does not see now, it or `digest` sees later.
    pub(super) fn advance(
        &self,
        written: &[(u64, Bytes)],
        run_end: impl Fn(u64) -> u64,
        file: &OpenFile,
    ) -> Result<(), Error> {
        let taken = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            Some(progress) => Baton {
                frontier: self,
                progress: Some(progress),
            }
            .run(written, run_end, file),
            None => Ok(()),
        }
    }

    /// The digest of all that is present from 0 on. Waits for whoever is hashing. The frontier is spent by it.
    pub(super) fn digest(&self, run_end: impl Fn(u64) -> u64, file: &OpenFile) -> Result<(Digest, u64), Error> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = loop {
            match rest.take() {
                Some(progress) => break progress,
                None => rest = self.returned.wait(rest).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(rest);
        let mut baton = Baton {
            frontier: self,
            progress: Some(progress),
        };
        baton.read_back(run_end, file)?;
        let (digest, at) = match baton.progress.take() {
            Some(Progress { hasher, at }) => (hasher.finish(), at),
            None => (Hasher::new(Algorithm::Sha256).finish(), 0),
        };
        Ok((digest, at))
    }
}

/// The hasher while a thread carries it; it comes back however the thread ends.
struct Baton<'a> {
    frontier: &'a Frontier,
    progress: Option<Progress>,
}

impl Baton<'_> {
    fn run(mut self, written: &[(u64, Bytes)], run_end: impl Fn(u64) -> u64, file: &OpenFile) -> Result<(), Error> {
        for (start, part) in written {
            self.read_back(|from| run_end(from).min(*start), file)?;
            if let Some(Progress { hasher, at }) = self.progress.as_mut().filter(|progress| progress.at == *start) {
                hasher.update(part);
                *at += part.len() as u64;
            }
        }
        self.read_back(run_end, file)
    }

    fn read_back(&mut self, run_end: impl Fn(u64) -> u64, file: &OpenFile) -> Result<(), Error> {
        let Some(Progress { hasher, at }) = self.progress.as_mut() else {
            return Ok(());
        };
        let mut buffer = Vec::new();
        loop {
            // Asked again at every step: more may have come, and whoever asked may have given up.
            let left = run_end(*at).saturating_sub(*at);
            if left == 0 {
                return Ok(());
            }
            buffer.resize(STEP, 0);
            let wanted = usize::try_from(left).unwrap_or(STEP).min(STEP);
            let read = file.read_at(&mut buffer[..wanted], *at)?;
            if read == 0 {
                return Err(file.ended_early());
            }
            hasher.update(&buffer[..read]);
            *at += read as u64;
        }
    }
}

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        if let Some(progress) = self.progress.take() {
            *self.frontier.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        }
        self.frontier.returned.notify_all();
    }
}
