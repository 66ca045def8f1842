//! Which tags a repository has (distribution-spec end-8).
//!
//! Promises them sorted by their bytes. Dropped futures cost nothing.

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::Tag;
use crate::pull::{Error, Part, Pull};

impl Pull {
    /// Up to `limit` tags behind `after`, which need not be one of them.
    pub async fn tags(
        &self,
        _caller: &Caller,
        repo: &Repo,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Part<Tag>, Error> {
        let key = Error::unless_hosted(repo)?;
        let tags = self.store.tags(&key, after, limit).await?;
        tags.ok_or(Error::NameUnknown(key))
    }
}
