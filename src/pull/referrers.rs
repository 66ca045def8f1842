//! Which manifests are about another one (distribution-spec end-12).
//!
//! Promises an answer for a subject, and a repository, that nobody has heard of: nothing is about it. Dropped futures
//! cost nothing.

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::Digest;
use crate::pull::{Error, Part, Pull, Referrer};

impl Pull {
    /// What is about `subject`, from behind `after` on, as much as fits into `max_bytes`; perhaps only what is of
    /// `artifact_type`.
    pub async fn referrers(
        &self,
        _caller: &Caller,
        repo: &Repo,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        max_bytes: usize,
    ) -> Result<Part<Referrer>, Error> {
        let key = Error::unless_hosted(repo)?;
        let referrers = self.store.referrers(&key, subject, artifact_type, after, max_bytes);
        Ok(referrers.await?)
    }
}
