//! What is there: tags, repositories, referrers.
//!
//! Promises lists sorted by their bytes. Decides nothing about who may read them. Dropped futures cost nothing.

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::index::{Kept, Part, Referrer};
use crate::store::{Error, Store};

impl Store {
    /// Up to `limit` tags of a hosted repository, behind `after`; `None` when it holds no manifest.
    pub async fn tags(&self, repo: &RepoKey, after: Option<&str>, limit: usize) -> Result<Option<Part<Tag>>, Error> {
        self.index.tags(repo, after, limit).await
    }

    /// Up to `limit` repositories behind `after`: hosted ones that hold a manifest, cached ones that hold anything.
    pub async fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Part<Kept>, Error> {
        self.index.repositories(after, limit).await
    }

    /// What a hosted repository has about `subject`, sorted by digest, from behind `after` on: as many as their
    /// descriptors fit into `max_bytes`, but one at least. With `artifact_type`, only those of that type.
    pub async fn referrers(
        &self,
        repo: &RepoKey,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        max_bytes: usize,
    ) -> Result<Part<Referrer>, Error> {
        self.index
            .referrers(repo, subject, artifact_type, after, max_bytes)
            .await
    }
}
