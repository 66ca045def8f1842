//! How a pull can fail. Clone, because all passengers of a flight hear the same ending.

use std::sync::Arc;
use std::time::Duration;

use crate::oci::{Digest, InvalidManifest, Reference, RepoKey};
use crate::pull::flight::Lost;
use crate::store;
use crate::upstream::{self, Phase, Verdict};

/// Why a pull got no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A hosted repository that does not exist.
    #[error("the repository {0} is not known here")]
    NameUnknown(RepoKey),
    /// A hosted repository does not have it.
    #[error("the manifest {reference} is not in {repository}")]
    NoManifest {
        /// The repository.
        repository: RepoKey,
        /// What was asked for.
        reference: Reference,
    },
    /// A hosted repository does not have it, whoever else has.
    #[error("the blob {digest} is not in {repository}")]
    NoBlob {
        /// The repository.
        repository: RepoKey,
        /// What was asked for.
        digest: Digest,
    },
    /// The upstream said so.
    #[error("the manifest {reference} is not there: {source}")]
    ManifestUnknown {
        /// What was asked for.
        reference: Reference,
        /// What the upstream said.
        source: Arc<upstream::Error>,
    },
    /// The upstream said so.
    #[error("the blob {digest} is not there: {source}")]
    BlobUnknown {
        /// What was asked for.
        digest: Digest,
        /// What the upstream said.
        source: Arc<upstream::Error>,
    },
    /// Asking the upstream failed, and nothing is cached.
    #[error(transparent)]
    Upstream(Arc<upstream::Error>),
    /// The upstream sends other bytes than the digest says; it is left alone for a while.
    #[error("{upstream} sends wrong bytes for {digest}")]
    Mismatch {
        /// Its `host[:port]`.
        upstream: String,
        /// What was asked for.
        digest: Digest,
    },
    /// The upstream gives the blob another length than the manifest that names it.
    #[error("{upstream} says that {digest} has {told} bytes, but it has {known}")]
    Length {
        /// Its `host[:port]`.
        upstream: String,
        /// What was asked for.
        digest: Digest,
        /// Bytes, as the upstream says.
        told: u64,
        /// Bytes, as a proven manifest or an earlier answer says.
        known: u64,
    },
    /// What the upstream sends is no manifest.
    #[error("{upstream} sends no usable manifest for {reference}: {source}")]
    BadManifest {
        /// Its `host[:port]`.
        upstream: String,
        /// What was asked for.
        reference: Reference,
        /// What is wrong with it.
        source: Arc<InvalidManifest>,
    },
    /// The store cannot be read or written.
    #[error("the local store failed")]
    Store(#[source] Arc<store::Error>),
    /// The fetch ended without a word, because wharf is winding down or a task panicked.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<upstream::Error> for Error {
    fn from(error: upstream::Error) -> Self {
        Self::Upstream(Arc::new(error))
    }
}

impl Error {
    /// The upstream's error for `digest`, its absence told as the blob's.
    pub(super) fn of_blob(digest: &Digest, source: upstream::Error) -> Self {
        if source.verdict() == Verdict::RepositoryAbsent {
            return Self::BlobUnknown {
                digest: *digest,
                source: Arc::new(source),
            };
        }
        source.into()
    }

    /// The upstream's error for `reference`, its absence told as the manifest's.
    pub(super) fn of_manifest(reference: &Reference, source: upstream::Error) -> Self {
        if source.verdict() == Verdict::RepositoryAbsent {
            return Self::ManifestUnknown {
                reference: reference.clone(),
                source: Arc::new(source),
            };
        }
        source.into()
    }

    /// Whether this is a word about one repository, and none about the content: others may still get it.
    pub(super) fn is_about_one_repository(&self) -> bool {
        match self {
            // A length is what one repository's manifest claims, until the content is proven.
            Self::NameUnknown(_)
            | Self::NoManifest { .. }
            | Self::NoBlob { .. }
            | Self::ManifestUnknown { .. }
            | Self::BlobUnknown { .. }
            | Self::Length { .. } => true,
            Self::Upstream(source) => source.verdict() == Verdict::RepositoryRefused,
            Self::Mismatch { .. } | Self::BadManifest { .. } | Self::Store(_) | Self::Lost(_) => false,
        }
    }

    /// Whether the upstream is at fault, so that another endpoint may do better.
    pub(super) fn is_of_upstream(&self) -> bool {
        match self {
            Self::Upstream(_)
            | Self::ManifestUnknown { .. }
            | Self::BlobUnknown { .. }
            | Self::Mismatch { .. }
            | Self::Length { .. }
            | Self::BadManifest { .. } => true,
            Self::NameUnknown(_) | Self::NoManifest { .. } | Self::NoBlob { .. } | Self::Store(_) | Self::Lost(_) => {
                false
            }
        }
    }

    /// Whether the store cannot go on, and not just because wharf winds down.
    pub(super) fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Store(source) if !matches!(**source, store::Error::Lost(_)))
    }

    /// Whether all of the upstream says that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        let (Self::Upstream(source) | Self::ManifestUnknown { source, .. }) = self else {
            return false;
        };
        source.is_not_found()
    }

    /// How long the upstream asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let Self::Upstream(source) = self else { return None };
        source.retry_after()
    }

    /// Whether it took a body's whole silence to know.
    pub(super) fn is_of_silence(&self) -> bool {
        let Self::Upstream(source) = self else { return false };
        matches!(
            **source,
            upstream::Error::Timeout {
                phase: Phase::Silence,
                ..
            }
        )
    }

    /// Whether a body that broke, or could not be resumed, may be asked for again.
    pub(super) fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Upstream(source) => !matches!(source.verdict(), Verdict::NoSuchRange | Verdict::Offline),
            // It ended in good order before its length.
            Self::Length { told, known, .. } => told < known,
            Self::BlobUnknown { .. } => true,
            Self::NameUnknown(_)
            | Self::NoManifest { .. }
            | Self::NoBlob { .. }
            | Self::ManifestUnknown { .. }
            | Self::Mismatch { .. }
            | Self::BadManifest { .. }
            | Self::Store(_)
            | Self::Lost(_) => false,
        }
    }
}
