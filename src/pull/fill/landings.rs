//! Fills that wait in line, and others that may bring the same blob by way of another mirror.
//!
//! Owns who waits for which digest. Promises that the end of a fill is heard by those who wait for its digest, and by nobody
//! else: each who hears of it looks into the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::oci::Digest;

/// Who waits, by digest.
#[derive(Debug, Default)]
pub(in crate::pull) struct Landings(Mutex<HashMap<Digest, Arc<Notify>>>);

impl Landings {
    /// The end of the next fill of this digest, from now on. The fill that waits tells its own end, too.
    pub(super) fn next(&self, digest: &Digest) -> OwnedNotified {
        Arc::clone(self.lock().entry(*digest).or_default()).notified_owned()
    }

    /// A fill of this digest is over.
    pub(super) fn tell(&self, digest: &Digest) {
        let waited = self.lock().remove(digest);
        if let Some(waited) = waited {
            waited.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::oci::Algorithm;

    #[tokio::test]
    async fn an_end_is_heard_by_those_who_wait_for_that_digest() {
        let landings = Landings::default();
        let [one, other] = ["1", "2"].map(|text| Digest::of(Algorithm::Sha256, text.as_bytes()));
        let (first, second) = (landings.next(&one), landings.next(&one));
        let mut elsewhere = Box::pin(landings.next(&other));
        landings.tell(&one);
        first.await;
        second.await;
        assert!(poll!(elsewhere.as_mut()).is_pending());
        landings.tell(&one);
        landings.tell(&other);
        elsewhere.await;
        assert!(landings.lock().is_empty());
    }
}
