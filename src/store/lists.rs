//! What is there: tags, repositories, referrers; of hosted repositories, and of mirrors' as they were told.
//!
//! Promises lists sorted by their bytes. Decides nothing about who may read them. Dropped futures cost nothing.

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::index::{Kept, List, Listing, Part, Referrer};
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

    /// A list of a mirror's repository, as its upstream gave it last.
    pub async fn listing(&self, repo: &RepoKey, list: &List) -> Result<Option<Listing>, Error> {
        self.index.listing(repo, list).await
    }

    /// Keeps such a list in the place of an older one; an empty one only takes that away.
    pub async fn put_listing(&self, repo: &RepoKey, mirror: &str, list: &List, listing: Listing) -> Result<(), Error> {
        self.index.put_listing(repo, mirror, list, listing).await
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
