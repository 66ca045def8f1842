//! How a push can fail: what the client did, what is not there, or the store.

use crate::oci::{Digest, InvalidManifest, MediaType, Reference, RepoName};
use crate::store;
use crate::tasks::Lost;

/// Why a push, or a deletion, was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was pushed is no manifest.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// `Content-Type` says something else than the manifest itself.
    #[error("the manifest is of type {actual}, but was sent as {said}")]
    WrongType {
        /// The request's `Content-Type`.
        said: MediaType,
        /// The manifest's `mediaType`, or what its content makes it.
        actual: MediaType,
    },
    /// The manifest is not the one that it was pushed as.
    #[error("the manifest has the digest {actual}, but was pushed as {said}")]
    WrongDigest {
        /// What the request says.
        said: Digest,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// The manifest names what is not in the repository.
    #[error("the manifest names what is not in {repository}")]
    Missing {
        /// The repository.
        repository: RepoName,
        /// Those digests, each once. At least one.
        digests: Vec<String>,
    },
    /// `If-Match` or `If-None-Match` says so.
    #[error("{repository} has another {reference} now than the request's conditions allow")]
    Precondition {
        /// The repository.
        repository: RepoName,
        /// What was to be pushed.
        reference: Box<Reference>,
    },
    /// Nothing was ever pushed to the repository.
    #[error("the repository {0} is not known here")]
    NameUnknown(RepoName),
    /// There is no such tag or manifest to delete.
    #[error("the manifest {reference} is not in {repository}")]
    ManifestUnknown {
        /// The repository.
        repository: RepoName,
        /// What was asked for.
        reference: Box<Reference>,
    },
    /// There is no such blob to delete.
    #[error("the blob {digest} is not in {repository}")]
    BlobUnknown {
        /// The repository.
        repository: RepoName,
        /// What was asked for.
        digest: Digest,
    },
    /// What was to be deleted is part of something.
    #[error("{repository} still needs {digest}: delete the manifest {by}, which names it, first")]
    Named {
        /// The repository.
        repository: RepoName,
        /// What was to be deleted.
        digest: Digest,
        /// A manifest of the same repository.
        by: Box<Digest>,
    },
    /// The store cannot be read or written.
    #[error("the local store failed")]
    Store(#[from] store::Error),
    /// A step did not come to its end.
    #[error(transparent)]
    Lost(#[from] Lost),
}
