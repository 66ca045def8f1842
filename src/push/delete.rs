//! A client deletes.
//!
//! Promises that nobody's image loses a part unnoticed: what a manifest of the repository names is kept until that one is
//! deleted, and that other repositories keep what they have. A dropped future leaves it deleted, or not at all.

use crate::access::Caller;
use crate::namespaces::HostedRepo;
use crate::oci::{Digest, Reference, RepoKey};
use crate::push::{Error, Push};
use crate::store::Deleted;

impl Push {
    /// Deletes a tag, or a manifest with every tag that points to it.
    pub async fn delete_manifest(
        &self,
        _caller: &Caller,
        repo: &HostedRepo,
        reference: &Reference,
    ) -> Result<(), Error> {
        let key = RepoKey::hosted(repo.name());
        let deleted = match reference {
            Reference::Tag(tag) => self.store.delete_tag(&key, tag).await?,
            Reference::Digest(digest) => self.store.delete_manifest(&key, digest, self.clock.now()).await?,
        };
        let absent = || Error::ManifestUnknown {
            repository: repo.name().clone(),
            reference: Box::new(reference.clone()),
        };
        match (deleted, reference) {
            (Deleted::Done, _) => Ok(()),
            (Deleted::Named { by }, Reference::Digest(digest)) => Err(named(repo, *digest, by)),
            // Nothing names a tag.
            (Deleted::Absent, _) | (Deleted::Named { .. }, Reference::Tag(_)) => {
                Err(self.unknown(repo, absent()).await?)
            }
        }
    }

    /// Takes a blob from the repository.
    pub async fn delete_blob(&self, _caller: &Caller, repo: &HostedRepo, digest: &Digest) -> Result<(), Error> {
        let absent = || Error::BlobUnknown {
            repository: repo.name().clone(),
            digest: *digest,
        };
        match self.store.delete_blob(&RepoKey::hosted(repo.name()), digest).await? {
            Deleted::Done => Ok(()),
            Deleted::Named { by } => Err(named(repo, *digest, by)),
            Deleted::Absent => Err(self.unknown(repo, absent()).await?),
        }
    }

    /// `absent`, unless there is not even the repository.
    async fn unknown(&self, repo: &HostedRepo, absent: Error) -> Result<Error, Error> {
        if self.store.knows(&RepoKey::hosted(repo.name())).await? {
            Ok(absent)
        } else {
            Ok(Error::NameUnknown(repo.name().clone()))
        }
    }
}

fn named(repo: &HostedRepo, digest: Digest, by: Digest) -> Error {
    Error::Named {
        repository: repo.name().clone(),
        digest,
        by: Box::new(by),
    }
}
