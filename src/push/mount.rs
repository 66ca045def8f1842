//! A blob that is here already is not uploaded again.
//!
//! Promises that only a repository which sees the blob gives it away. Who may read that repository is for the caller to
//! say. A dropped future leaves it mounted, or not at all.

use crate::access::Caller;
use crate::namespaces::HostedRepo;
use crate::oci::{Digest, RepoKey};
use crate::push::{Error, Push};
use crate::store::Kept;

impl Push {
    /// Repositories that see the stored blob, 100 of them at most, whoever may read them.
    pub async fn homes(&self, digest: &Digest) -> Result<Vec<Kept>, Error> {
        Ok(self.store.homes(digest).await?)
    }

    /// Gives the repository a stored blob, from the first of `homes`, hosted or mirrored, that sees it. False when none
    /// does: then it must be uploaded.
    pub async fn mount(
        &self,
        _caller: &Caller,
        to: &HostedRepo,
        digest: &Digest,
        homes: &[RepoKey],
    ) -> Result<bool, Error> {
        let key = RepoKey::hosted(to.name());
        for from in homes {
            if self.store.mount(digest, from, &key, self.clock.now()).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
