//! What clients push to hosted repositories, mount there and delete there.
//!
//! Promises that a change which was answered is durable, and that content which no repository sees any more leaves the disk.
//! Dropped futures leave no half step: what has a place in the queue is done, and its file goes whoever listens.

use jiff::Timestamp;

use crate::oci::{Digest, MediaType, RepoKey, Tag};
use crate::store::index::{Deleted, Kept, PushManifest, Pushed};
use crate::store::{Error, Store};
use crate::tasks::Lost;

impl Store {
    /// Keeps a pushed manifest and its tags, in one transaction that also decides whether it may be kept.
    pub async fn push_manifest(&self, push: PushManifest) -> Result<Pushed, Error> {
        self.index.push_manifest(push).await
    }

    /// What the manifest was pushed to the hosted repository as; `None` when the repository does not have it.
    pub async fn pushed(&self, repo: &RepoKey, digest: &Digest) -> Result<Option<MediaType>, Error> {
        self.index.pushed(repo, digest).await
    }

    /// Whether the hosted repository is known at all.
    pub async fn knows(&self, repo: &RepoKey) -> Result<bool, Error> {
        self.index.knows(repo).await
    }

    /// Gives the hosted repository `to` a stored blob that `from` may see. False when there is no such blob.
    pub async fn mount(&self, digest: &Digest, from: &RepoKey, to: &RepoKey, now: Timestamp) -> Result<bool, Error> {
        // Outside the transaction, because it looks at the file: what is damaged is found here, and dropped.
        let sight = self.index.sight(from, digest).await?;
        let Some(row) = sight.blob.filter(|_| sight.visible()) else {
            return Ok(false);
        };
        if self.open_file(digest, &row).await?.is_none() {
            return Ok(false);
        }
        self.index.mount(digest, from, to, now).await
    }

    /// Repositories that may see the stored blob, 100 of them at most.
    pub async fn homes(&self, digest: &Digest) -> Result<Vec<Kept>, Error> {
        self.index.homes(digest).await
    }

    /// Gives a blob of a hosted repository that no manifest names its whole grace again. False when it is named
    /// meanwhile, or gone.
    pub async fn refresh(&self, repo: &RepoKey, digest: &Digest, now: Timestamp) -> Result<bool, Error> {
        // Where nothing is kept, nothing is collected either.
        if self.is_read_only() {
            return Ok(false);
        }
        self.index.refresh(repo, digest, now).await
    }

    /// Deletes a tag; the manifest stays.
    pub async fn delete_tag(&self, repo: &RepoKey, tag: &Tag) -> Result<Deleted, Error> {
        self.index.delete_tag(repo, tag).await
    }

    /// Deletes a pushed manifest and every tag that points to it, unless another manifest of the repository names it.
    pub async fn delete_manifest(&self, repo: &RepoKey, digest: &Digest, now: Timestamp) -> Result<Deleted, Error> {
        self.index.delete_manifest(repo, digest, now).await
    }

    /// Takes a blob from a repository, unless a manifest there names it. Content that no repository has leaves the disk.
    pub async fn delete_blob(&self, repo: &RepoKey, digest: &Digest) -> Result<Deleted, Error> {
        // A task of its own: whoever leaves now must not leave a file behind.
        let (store, repo, digest) = (self.clone(), repo.clone(), *digest);
        let deleting = self
            .tasks
            .spawn(async move { store.delete_blob_now(&repo, &digest).await });
        deleting.await.map_err(|_ended| Error::Lost(Lost))?
    }

    async fn delete_blob_now(&self, repo: &RepoKey, digest: &Digest) -> Result<Deleted, Error> {
        let deleted = self.index.delete_blob(repo, digest).await;
        let (deleted, freed) = deleted.inspect_err(|_unsure| self.running.set_in_doubt())?;
        if freed {
            self.clear(digest).await;
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests;
