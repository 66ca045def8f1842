//! What was pushed here: blobs and manifests of hosted repositories, from the store or not at all.
//!
//! Promises that no upstream is ever asked, that a repository sees only what was pushed to it or mounted there, and that a
//! client which hears of a blob that no manifest names has time to name it. Dropped futures cost nothing.

use jiff::SignedDuration;

use crate::oci::{Digest, Reference, RepoKey, Tag};
use crate::pull::manifest::ManifestAnswer;
use crate::pull::{Error, Pull, Via};
use crate::store::{Blob, Sight, StoredManifest};

impl Pull {
    /// The blob, open.
    pub(super) async fn hosted_blob(&self, repo: &RepoKey, digest: &Digest) -> Result<Blob, Error> {
        let sight = self.kept_alive(repo, digest).await?;
        if let Some(row) = sight.blob.filter(|_| sight.visible() && !sight.mirrored)
            && let Some(blob) = self.store.open_blob(digest, &row).await?
        {
            return Ok(blob);
        }
        self.known(repo).await?;
        Err(Error::NoBlob {
            repository: repo.clone(),
            digest: *digest,
        })
    }

    /// The manifest that `reference` means.
    pub(super) async fn hosted_manifest(&self, repo: &RepoKey, reference: &Reference) -> Result<ManifestAnswer, Error> {
        let found = match reference {
            Reference::Digest(digest) => self.pushed(repo, digest).await?,
            Reference::Tag(tag) => self.tagged(repo, tag).await?,
        };
        if let Some(manifest) = found {
            return Ok(ManifestAnswer {
                manifest,
                via: Via::Hit,
            });
        }
        self.known(repo).await?;
        Err(Error::NoManifest {
            repository: repo.clone(),
            reference: reference.clone(),
        })
    }

    /// A tag is read before its manifest, so it may have moved, and the manifest be deleted, in between: then what the
    /// tag means now counts.
    async fn tagged(&self, repo: &RepoKey, tag: &Tag) -> Result<Option<StoredManifest>, Error> {
        let mut looked_for = None;
        while let Some(row) = self.store.tag(repo, tag).await? {
            let found = self.pushed(repo, &row.digest).await?;
            if found.is_some() || looked_for == Some(row.digest) {
                return Ok(found);
            }
            looked_for = Some(row.digest);
        }
        Ok(None)
    }

    async fn pushed(&self, repo: &RepoKey, digest: &Digest) -> Result<Option<StoredManifest>, Error> {
        let Some(media_type) = self.store.pushed(repo, digest).await? else {
            return Ok(None);
        };
        let stored = self.store.manifest(digest).await?;
        Ok(stored.map(|stored| StoredManifest { media_type, ..stored }))
    }

    /// What the repository sees of the digest. Whoever asks is about to rely on it: a blob that no manifest names gets its
    /// grace again, but only when a good part of it is used up, because that is a write.
    async fn kept_alive(&self, repo: &RepoKey, digest: &Digest) -> Result<Sight, Error> {
        let (sight, now) = (self.store.sight(repo, digest).await?, self.clock.now());
        let quarter = SignedDuration::try_from(self.grace / 4).unwrap_or(SignedDuration::MAX);
        let used_up = |since| now.duration_since(since) > quarter;
        if sight.loose_since.is_some_and(used_up) && !self.store.refresh(repo, digest, now).await? {
            // Named meanwhile, or gone.
            return Ok(self.store.sight(repo, digest).await?);
        }
        Ok(sight)
    }

    async fn known(&self, repo: &RepoKey) -> Result<(), Error> {
        if self.store.knows(repo).await? {
            Ok(())
        } else {
            Err(Error::NameUnknown(repo.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
