//! What pushes and deletions ask of the index, and what becomes of them.
//!
//! Promises that what a client did wrong is a value here, never an error. Never knows SQL.

use std::sync::Arc;

use jiff::Timestamp;

use crate::oci::{About, Digest, Manifest, Reference, RepoKey, Tag};

/// A manifest that a client pushes to a hosted repository.
#[derive(Debug, Clone)]
pub struct PushManifest {
    /// The repository.
    pub repo: RepoKey,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// What it is to its subject, where it has one.
    pub about: Option<About>,
    /// What it is pushed as: its digest, or a tag that will point to it.
    pub reference: Reference,
    /// Further tags that will point to it.
    pub tags: Vec<Tag>,
    /// What must be true of `reference` before.
    pub conditions: Conditions,
    /// Whether it may name what is not there.
    pub allow_missing: bool,
    /// The time of the push.
    pub now: Timestamp,
}

/// Conditions of a change (RFC 9110 section 13.1), where the entity tag is the digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`: one of these is there now.
    pub if_match: Option<Entities>,
    /// `If-None-Match`: none of these is there now.
    pub if_none_match: Option<Entities>,
}

/// What a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entities {
    /// `*`: whatever there is.
    Any,
    /// What has one of these digests.
    These(Vec<Digest>),
}

impl Conditions {
    /// Whether they are true where `present` is there now.
    pub fn hold_for(&self, present: Option<&Digest>) -> bool {
        let named = |entities: &Entities| match entities {
            Entities::Any => present.is_some(),
            Entities::These(digests) => present.is_some_and(|present| digests.contains(present)),
        };
        self.if_match.as_ref().is_none_or(named) && !self.if_none_match.as_ref().is_some_and(named)
    }
}

/// What became of a pushed manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It is stored, and its tags point to it.
    Done,
    /// Its conditions are not true; nothing has changed.
    Precondition,
    /// It names what the repository does not have: these digests, each once. Nothing has changed.
    Missing(Vec<String>),
}

/// What became of something to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// It was not there.
    Absent,
    /// A manifest of the repository names it; nothing has changed.
    Named {
        /// That manifest, or one of them.
        by: Digest,
    },
}
