//! How a push can fail: what the client did, what is not there, or the store.

use std::error::Error as StdError;
use std::time::Duration;

use crate::oci::{Digest, InvalidManifest, MediaType, Reference, RepoName};
use crate::push::session::Position;
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
    /// There is no such session for this caller in this repository.
    #[error("no such upload: it is over, it has expired, or somebody else began it")]
    UploadUnknown,
    /// Another request brings bytes of the session, and goes on doing so.
    #[error("another request writes to this upload")]
    UploadBusy(Position),
    /// The session goes on somewhere else: nothing was taken.
    #[error("the chunk begins at byte {start}, but the upload goes on at byte {}", at.received)]
    OutOfOrder {
        /// Where the session is.
        at: Position,
        /// The chunk's first byte.
        start: u64,
    },
    /// The request's body is not as long as the chunk that it says it is. What lies within the chunk is kept.
    #[error("the body is not as long as the chunk that it is said to be: {declared} bytes")]
    WrongLength {
        /// Where the session is.
        at: Position,
        /// The chunk's length in bytes.
        declared: u64,
    },
    /// The request's body did not come to its end. What came is kept.
    #[error("{by}: what came is kept")]
    Interrupted {
        /// Where the session is.
        at: Position,
        /// How the body ended.
        #[source]
        by: Interrupted,
    },
    /// The content is not what it was said to be. It is gone, and its session over.
    #[error("the content has the digest {actual}, but was pushed as {said}")]
    WrongContent {
        /// What the request says.
        said: Digest,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// The store cannot be written, perhaps because it is full. The session is kept.
    #[error("the local store did not take what was pushed")]
    Unwritten {
        /// Where the session is.
        at: Position,
        /// What the store says.
        source: Box<store::Error>,
    },
    /// The store cannot be read or written.
    #[error("the local store failed")]
    Store(#[from] store::Error),
    /// A step did not come to its end.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Error {
    /// Where the session goes on that this is about, if it goes on.
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::UploadBusy(at)
            | Self::OutOfOrder { at, .. }
            | Self::WrongLength { at, .. }
            | Self::Interrupted { at, .. }
            | Self::Unwritten { at, .. } => Some(at),
            Self::Manifest(_)
            | Self::WrongType { .. }
            | Self::WrongDigest { .. }
            | Self::Missing { .. }
            | Self::Precondition { .. }
            | Self::NameUnknown(_)
            | Self::ManifestUnknown { .. }
            | Self::BlobUnknown { .. }
            | Self::Named { .. }
            | Self::UploadUnknown
            | Self::WrongContent { .. }
            | Self::Store(_)
            | Self::Lost(_) => None,
        }
    }
}

/// Why the body of a request did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The client has gone, or sent what is no body.
    #[error("the request's body broke off")]
    Cut(#[source] Box<dyn StdError + Send + Sync>),
    /// The client sent nothing for so long.
    #[error("nothing came of the request's body for {0:?}")]
    Silent(Duration),
}
