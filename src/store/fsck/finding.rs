//! What a check finds, and what was done about it.
//!
//! Promises one line of words for each, with the remedy where nothing was done. Decides nothing.

use std::fmt;
use std::path::PathBuf;

use crate::oci::{Digest, RepoKey, Tag};
use crate::store::fsck::examine::Damage;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The index does not hold together; in SQLite's words.
    Index(String),
    /// A tag of a hosted repository leads nowhere.
    Tag {
        /// The repository.
        repo: RepoKey,
        /// The tag.
        tag: Tag,
        /// The manifest that is not there.
        digest: Digest,
    },
    /// A hosted repository has a blob of which nothing is stored.
    Lost {
        /// The repository.
        repo: RepoKey,
        /// The blob.
        digest: Digest,
    },
    /// A manifest is not what its digest says.
    Manifest {
        /// What it should be.
        digest: Digest,
        /// Whether it was pushed: nobody else may have it.
        pushed: bool,
    },
    /// A blob's file is not what its row says.
    Blob {
        /// What it should be.
        digest: Digest,
        /// How it is not.
        damage: Damage,
        /// Hosted repositories that have it; nobody else may.
        homes: Vec<RepoKey>,
    },
    /// A blob's file has another time, and is what it should be.
    Touched(Digest),
    /// A blob's file that no row knows.
    Stray(Digest),
    /// What a crash has left.
    Rubbish(PathBuf),
    /// A file or directory that is not wharf's.
    Foreign(PathBuf),
    /// What was put aside.
    Quarantined {
        /// Files.
        files: u64,
        /// Where.
        place: PathBuf,
    },
    /// What the store weighs is not written down as it is.
    Books {
        /// Blobs that are wrong in it.
        blobs: u64,
    },
    /// The copy of the index would be of no use.
    Copy {
        /// Where it is, or should be.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The last wharf did not come to its end in good order.
    Unclean,
}

impl Finding {
    /// Whether something is wrong; the rest is only worth telling.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Index(_)
            | Self::Tag { .. }
            | Self::Lost { .. }
            | Self::Manifest { .. }
            | Self::Blob { .. }
            | Self::Stray(_)
            | Self::Rubbish(_)
            | Self::Books { .. }
            | Self::Copy { .. } => true,
            Self::Touched(_) | Self::Foreign(_) | Self::Quarantined { .. } | Self::Unclean => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(words) => write!(
                f,
                "the index is damaged ({words}): `wharf restore` goes back to its last copy"
            ),
            Self::Tag { repo, tag, digest } => {
                write!(
                    f,
                    "the tag {repo}:{tag} is of {digest}, which is not there: push it again, or delete the tag"
                )
            }
            Self::Lost { repo, digest } => {
                write!(
                    f,
                    "the content of {digest} is LOST, which was pushed to {repo}: push it again"
                )
            }
            Self::Manifest { digest, pushed: false } => write!(f, "the manifest {digest} is damaged"),
            Self::Manifest { digest, pushed: true } => {
                write!(
                    f,
                    "the PUSHED manifest {digest} is damaged, and not served: push it again"
                )
            }
            Self::Blob { digest, damage, homes } if homes.is_empty() => write!(f, "the blob {digest}: {damage}"),
            Self::Blob { digest, damage, homes } => {
                let homes: Vec<_> = homes.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the PUSHED blob {digest} of {}: {damage}; push it again",
                    homes.join(", ")
                )
            }
            Self::Touched(digest) => write!(
                f,
                "the blob {digest} has another time than it had, and the right content"
            ),
            Self::Stray(digest) => write!(f, "the blob {digest} is not in the index"),
            Self::Rubbish(path) => write!(f, "{} is of no use: a crash has left it", path.display()),
            Self::Foreign(path) => write!(f, "{} is not wharf's, and is left alone", path.display()),
            Self::Quarantined { files, place } => {
                write!(
                    f,
                    "{files} damaged files are in {}: look at them, then delete them",
                    place.display()
                )
            }
            Self::Books { blobs } => write!(
                f,
                "what the store weighs is written down wrongly, with {blobs} blobs in the wrong place"
            ),
            Self::Copy { path, why } => write!(f, "the copy {} of the index is of no use: {why}", path.display()),
            Self::Unclean => {
                f.write_str("the last wharf was killed, or the power failed: what that has left goes at the next start")
            }
        }
    }
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Left,
    /// It is well now; how.
    Mended(&'static str),
}

/// What a check tells while it runs.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// It goes on where another one was broken off: bytes that are read already.
    GoesOn(u64),
    /// It begins to look at something.
    Looks(&'static str),
    /// There is so much content to read, in bytes.
    Total(u64),
    /// So many bytes more have been read.
    Read(u64),
    /// It has found something.
    Found(&'a Finding, Outcome),
}

/// What a check came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Blobs looked at, by those that were broken off too.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub troubles: u64,
    /// What of that is well now.
    pub mended: u64,
    /// Whether it has come to its end.
    pub finished: bool,
}
