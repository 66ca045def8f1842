//! One manifest comes in.
//!
//! Promises to keep its bytes exactly, to accept every type that names what it is made of, and to refuse whatever could
//! be read as two things. Never looks inside what a manifest names. A dropped future leaves the manifest pushed, whole,
//! or not at all.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::Caller;
use crate::namespaces::HostedRepo;
use crate::oci::{About, Algorithm, Digest, Manifest, MediaType, Reference, RepoKey, Tag};
use crate::push::{Error, Push};
use crate::store::{Conditions, PushManifest, Pushed};

/// A manifest, as a client sends it.
#[derive(Debug)]
pub struct ManifestPush {
    /// What it is pushed as: its digest, or a tag.
    pub reference: Reference,
    /// Further tags.
    pub tags: Vec<Tag>,
    /// What must be true of `reference` before.
    pub conditions: Conditions,
    /// What it is said to be; `None`: it tells itself.
    pub content_type: Option<MediaType>,
    /// All of it.
    pub bytes: Bytes,
}

/// A manifest that is stored now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its digest, by the algorithm that it was pushed by.
    pub digest: Digest,
    /// What it is about, where it is about something.
    pub subject: Option<Digest>,
}

impl Push {
    /// Keeps a manifest and its tags, all at once, if everything that it names is in the repository.
    pub async fn manifest(&self, _caller: &Caller, repo: &HostedRepo, push: ManifestPush) -> Result<Accepted, Error> {
        let ManifestPush {
            reference,
            tags,
            conditions,
            content_type,
            bytes,
        } = push;
        let algorithm = match &reference {
            Reference::Digest(digest) => digest.algorithm(),
            Reference::Tag(_) => Algorithm::Sha256,
        };
        // Not here: a large one takes as long as a thousand small requests.
        let read = self
            .tasks
            .blocking(move || read(bytes, content_type.as_ref(), algorithm));
        let (manifest, about) = read.await??;
        let digest = manifest.digest();
        if let Reference::Digest(said) = reference
            && said != digest
        {
            let actual = Box::new(digest);
            return Err(Error::WrongDigest { said, actual });
        }
        let subject = about.as_ref().map(|about| about.subject);
        let pushed = PushManifest {
            repo: RepoKey::hosted(repo.name()),
            manifest: Arc::new(manifest),
            about,
            reference: reference.clone(),
            tags,
            conditions,
            allow_missing: self.config.allow_missing.iter().any(|names| names.matches(repo.name())),
            now: self.clock.now(),
        };
        let repository = || repo.name().clone();
        match self.store.push_manifest(pushed).await? {
            Pushed::Done => Ok(Accepted { digest, subject }),
            Pushed::Missing(digests) => Err(Error::Missing {
                repository: repository(),
                digests,
            }),
            Pushed::Precondition => Err(Error::Precondition {
                repository: repository(),
                reference: Box::new(reference),
            }),
        }
    }
}

/// Stricter than a pull, which takes what there is: here somebody can still mend it.
fn read(
    bytes: Bytes,
    content_type: Option<&MediaType>,
    algorithm: Algorithm,
) -> Result<(Manifest, Option<About>), Error> {
    let manifest = Manifest::parse(bytes, content_type, algorithm)?;
    if let Some(said) = content_type.filter(|said| *said != manifest.media_type()) {
        return Err(Error::WrongType {
            said: said.clone(),
            actual: manifest.media_type().clone(),
        });
    }
    let about = manifest.about()?;
    Ok((manifest, about))
}
