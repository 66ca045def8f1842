//! What must be true of a store, as far as it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::json;

use crate::oci::{Algorithm, Digest, Manifest, MediaType, RepoKey};
use crate::store::tests::content;

pub(super) const BLOBS: usize = 8;
pub(super) const REPOSITORIES: usize = 2;
/// What may be kept: about half of all blobs.
pub(super) const MAX: u64 = 800 * 1024;
const PAGE: u64 = 4096;

/// Content that is not like another's, and too much to be kept in memory.
pub(super) fn blob(n: usize) -> (Bytes, Digest) {
    static ALL: LazyLock<Vec<(Bytes, Digest)>> = LazyLock::new(|| {
        let all = (0..BLOBS).map(|n| content(80_000 * (n % 4 + 1) + n));
        all.map(|(bytes, digest)| (bytes.into(), digest)).collect()
    });
    ALL[n].clone()
}

/// What a blob takes on the disk.
pub(super) fn takes(n: usize) -> u64 {
    (blob(n).0.len() as u64).next_multiple_of(PAGE)
}

/// What half of it takes.
pub(super) fn half(n: usize) -> usize {
    blob(n).0.len() / 2
}

pub(super) fn repository(r: usize) -> RepoKey {
    ["team/app", "team/lib"][r].parse().unwrap()
}

pub(super) fn manifest(n: usize, m: usize) -> Manifest {
    let describe = |n: usize| {
        let (bytes, digest) = blob(n);
        json!({ "mediaType": "application/octet-stream", "digest": digest.to_string(), "size": bytes.len() })
    };
    let body = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "config": describe(n), "layers": [describe(m)],
    });
    Manifest::parse(Bytes::from(body.to_string()), None, Algorithm::Sha256).unwrap()
}

/// What a hosted repository was told that it has.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosted {
    pub(super) blobs: BTreeSet<usize>,
    /// By what they name.
    pub(super) manifests: BTreeSet<(usize, usize)>,
    pub(super) tagged: Option<(usize, usize)>,
}

impl Hosted {
    pub(super) fn names(&self, n: usize) -> bool {
        self.manifests.iter().any(|(one, other)| [*one, *other].contains(&n))
    }
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) hosted: [Hosted; REPOSITORIES],
    /// When each was pulled last; not of those for which that cannot be told.
    pub(super) pulled: BTreeMap<usize, u64>,
    pub(super) pinned: BTreeSet<usize>,
    /// Now or before: that a pin is gone may be known late.
    pub(super) once_pinned: BTreeSet<usize>,
    now: u64,
}

impl Model {
    pub(super) fn pulls(&mut self, n: usize) {
        self.now += 1;
        self.pulled.insert(n, self.now);
    }

    /// It counts as pulled some time, or not.
    pub(super) fn may_pull(&mut self, n: usize) {
        self.pulled.remove(&n);
    }

    pub(super) fn is_hosted(&self, n: usize) -> bool {
        self.hosted.iter().any(|hosted| hosted.blobs.contains(&n))
    }

    /// Of those that went none was pulled after one that stayed.
    pub(super) fn check_order(&self, gone: &[usize], stayed: &[usize]) {
        let pulled = |which: &[usize]| {
            which
                .iter()
                .filter_map(|n| self.pulled.get(n).copied())
                .collect::<Vec<_>>()
        };
        let (last, first) = (pulled(gone).into_iter().max(), pulled(stayed).into_iter().min());
        if let (Some(last), Some(first)) = (last, first) {
            assert!(last < first, "{gone:?} went, and {stayed:?} stayed: {:?}", self.pulled);
        }
    }
}
