//! What the index tells and is told: plain values, one per question or operation.
//!
//! Owns no connection. Promises that sizes are bytes and times say their unit. Never knows SQL.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::oci::{Algorithm, Digest, Manifest, MediaType, RepoKey, Tag};
use crate::store::{Error, UploadId};

/// What one repository may know of one digest, read at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The repository's link to the digest.
    pub link: Option<Link>,
    /// The stored blob, whoever brought it.
    pub blob: Option<BlobRow>,
    /// Whether a manifest with this digest is stored, whoever brought it.
    pub manifest: bool,
    /// Whether the repository is a mirror's. A hosted one may have its name when that mirror is gone.
    pub mirrored: bool,
    /// Whether this content came in through the mirror that the repository belongs to.
    pub entered_here: bool,
    /// Since when no manifest of the repository, a hosted one, names the blob; kept to the microsecond.
    pub loose_since: Option<Timestamp>,
}

impl Sight {
    /// Whether what is stored under the digest may be served to the repository: a proven link is enough for anything,
    /// a named one for what entered through the same mirror.
    pub fn visible(&self) -> bool {
        self.link.is_some_and(|link| link.proven || self.entered_here)
    }
}

/// A repository's claim on a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Pushed or mounted there, or its upstream answered for it; otherwise only named by one of its manifests.
    pub proven: bool,
    /// The size in bytes: as counted, else as claimed where all claims agree. Not to be trusted before the proof.
    pub size: Option<u64>,
}

/// A stored blob, as its file was when it was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRow {
    /// Length in bytes.
    pub size: u64,
    /// Modification time of the file, nanoseconds since 1970.
    pub modified_ns: i64,
}

/// A manifest, byte for byte as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// What it was asked for by.
    pub digest: Digest,
    /// What it is to be sent as.
    pub media_type: MediaType,
    /// The original bytes.
    pub bytes: Bytes,
}

/// Where a tag points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// The manifest's digest; the manifest itself need not be stored.
    pub digest: Digest,
    /// The manifest's type, if it was told.
    pub media_type: Option<MediaType>,
    /// The manifest's length in bytes, if it was told.
    pub size: Option<u64>,
    /// When the upstream said so last, kept to the microsecond.
    pub checked_at: Timestamp,
}

/// A part of a sorted list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// What stands there, in order.
    pub entries: Vec<T>,
    /// Whether more stands behind it.
    pub more: bool,
}

impl Part<Referrer> {
    /// As many as their descriptors fit into `max_bytes`, but one at least.
    pub fn fitting<E>(referrers: impl Iterator<Item = Result<Referrer, E>>, max_bytes: usize) -> Result<Self, E> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for referrer in referrers {
            let referrer = referrer?;
            // Each but the first stands behind a comma.
            bytes += referrer.descriptor.len() + 1;
            if bytes > max_bytes && !entries.is_empty() {
                return Ok(Self { entries, more: true });
            }
            entries.push(referrer);
        }
        Ok(Self { entries, more: false })
    }
}

/// A repository that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub key: RepoKey,
    /// Whether it is a hosted one; otherwise it was filled from a mirror.
    pub hosted: bool,
}

/// A manifest that is about another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest's digest.
    pub digest: Digest,
    /// Its descriptor with its artifact type and annotations, as JSON.
    pub descriptor: String,
}

/// A partial of a blob: its staging file is named by the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct StagedRow {
    /// Never given twice, so a file left behind is never taken for a newer one.
    pub(in crate::store) id: u64,
    /// The whole blob's length in bytes, once known.
    pub(in crate::store) length: Option<u64>,
    /// Which pieces are present, in the content side's own notation; empty at first.
    pub(in crate::store) pieces: Vec<u8>,
}

/// A manifest to keep, with all that it makes visible.
#[derive(Debug, Clone)]
pub struct PutManifest {
    /// The repository it was fetched through or pushed to.
    pub repo: RepoKey,
    /// The key of the mirror that the repository belongs to; `None` for a hosted one.
    pub mirror: Option<String>,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The tag that points to it, and when that was so.
    pub tag: Option<(Tag, Timestamp)>,
}

/// An upload session: what a client pushes piece by piece. How far it is says its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// Names it, and its file.
    pub id: UploadId,
    /// The hosted repository that it is pushed to; it need not exist yet.
    pub repo: RepoKey,
    /// Who began it, and alone may go on with it.
    pub owner: String,
    /// What its bytes are hashed by as they come.
    pub algorithm: Algorithm,
    /// When it last made progress, kept to the microsecond.
    pub moved_at: Timestamp,
}

/// A proven blob that takes its place.
#[derive(Debug)]
pub(in crate::store) struct Landing {
    /// What it was proven to be.
    pub(in crate::store) digest: Digest,
    /// The file as it lies there after the rename.
    pub(in crate::store) blob: BlobRow,
    /// Bytes that the file takes on the disk.
    pub(in crate::store) allocated: u64,
    /// Moves the file into its place.
    pub(in crate::store) rename: FileStep,
    /// How it came.
    pub(in crate::store) arrival: Arrival,
}

/// How a blob came: what ends with its landing, and who may see it from then on.
#[derive(Debug, Clone)]
pub(in crate::store) enum Arrival {
    /// Fetched from an upstream.
    Fetched {
        /// The partial that it was.
        partial: u64,
        /// The key of the mirror that it came through.
        mirror: String,
        /// The repository whose upstream answered for it.
        repo: RepoKey,
    },
    /// Pushed by a client.
    Pushed {
        /// The upload that it was.
        upload: UploadId,
        /// The hosted repository that it was pushed to.
        repo: RepoKey,
        /// When.
        at: Timestamp,
    },
}

/// A change of files that belongs to a row change: done on the writer thread, just before it.
pub(in crate::store) struct FileStep {
    pub(super) directories: Vec<PathBuf>,
    pub(super) run: Box<dyn FnOnce() -> Result<(), Error> + Send>,
}

impl FileStep {
    /// A step that changes entries of `directories`, which are made durable before the row change is acknowledged.
    /// It must not panic, and must not wait for the index.
    pub(in crate::store) fn new(
        directories: impl IntoIterator<Item = PathBuf>,
        run: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Self {
        Self {
            directories: directories.into_iter().collect(),
            run: Box::new(run),
        }
    }

    /// No change of files.
    #[cfg(test)]
    pub(in crate::store) fn none() -> Self {
        Self::new([], || Ok(()))
    }
}

impl fmt::Debug for FileStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStep")
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

/// What an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is spelled out by its Display")]
pub enum Fact {
    Sight(RepoKey, Digest),
    Link(RepoKey, Digest),
    Blob(Digest),
    Blobs,
    Manifest(Digest),
    Tag(RepoKey, Tag),
    Pushed(RepoKey, Digest),
    Homes(Digest),
    Repository(RepoKey),
    PartialOf(Digest),
    Partial(u64),
    Partials,
    Progress,
    Upload(UploadId),
    Uploads,
    Loose,
    Pins,
    Idle,
    Room,
    Tags(RepoKey),
    Repositories,
    Referrers(RepoKey, Digest),
    Integrity,
    Scrub,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sight(repo, digest) => write!(f, "what {repo} may see of {digest}"),
            Self::Link(repo, digest) => write!(f, "the link of {repo} to {digest}"),
            Self::Blob(digest) => write!(f, "the blob {digest}"),
            Self::Blobs => write!(f, "the list of blobs"),
            Self::Manifest(digest) => write!(f, "the manifest {digest}"),
            Self::Tag(repo, tag) => write!(f, "the tag {repo}:{tag}"),
            Self::Pushed(repo, digest) => write!(f, "the manifest {digest} of {repo}"),
            Self::Homes(digest) => write!(f, "the repositories that have {digest}"),
            Self::Repository(repo) => write!(f, "the repository {repo}"),
            Self::PartialOf(digest) => write!(f, "the partial of {digest}"),
            Self::Partial(id) => write!(f, "partial {id}"),
            Self::Partials => write!(f, "the list of partials"),
            Self::Progress => write!(f, "the progress of the partials"),
            Self::Upload(id) => write!(f, "the upload {id}"),
            Self::Uploads => write!(f, "the list of uploads"),
            Self::Loose => write!(f, "what no manifest names"),
            Self::Pins => write!(f, "what is pinned"),
            Self::Idle => write!(f, "what nobody asks for"),
            Self::Room => write!(f, "what goes to make room"),
            Self::Tags(repo) => write!(f, "the tags of {repo}"),
            Self::Repositories => write!(f, "the list of repositories"),
            Self::Referrers(repo, digest) => write!(f, "what {repo} has about {digest}"),
            Self::Integrity => write!(f, "whether all of it holds together"),
            Self::Scrub => write!(f, "how far the content was looked at"),
        }
    }
}
