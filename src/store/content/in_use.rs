//! Which blobs are open now: none of them is evicted.
//!
//! Owns one number per open blob. Promises that a blob counts as open for as long as anybody has its file: the guard goes
//! with the file, through every part of it that is still to be sent. Never waits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::oci::Digest;

/// The blobs that are open. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse(Arc<Mutex<HashMap<Digest, usize>>>);

/// One use of a blob, until it is dropped.
#[derive(Debug)]
pub(crate) struct Use {
    digest: Digest,
    of: InUse,
}

impl InUse {
    /// The blob is in use from now on.
    pub(crate) fn enter(&self, digest: Digest) -> Use {
        *self.uses().entry(digest).or_default() += 1;
        Use {
            digest,
            of: self.clone(),
        }
    }

    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.uses().contains_key(digest)
    }

    /// All that are in use now.
    pub(crate) fn all(&self) -> Vec<Digest> {
        self.uses().keys().copied().collect()
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Entry::Occupied(mut uses) = self.of.uses().entry(self.digest) {
            *uses.get_mut() -= 1;
            if *uses.get() == 0 {
                uses.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_blob_is_in_use_until_its_last_user_goes() {
        let (in_use, digest) = (InUse::default(), Digest::of(Algorithm::Sha256, b"x"));
        let (one, other) = (in_use.enter(digest), in_use.enter(digest));
        drop(one);
        assert!(in_use.holds(&digest));
        drop(other);
        assert!(!in_use.holds(&digest) && in_use.all().is_empty());
    }
}
