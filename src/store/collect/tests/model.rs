//! What may go and what must stay, said without a store.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

pub(super) const GRACE: i64 = 10;
pub(super) const REPOS: usize = 2;
pub(super) const BLOBS: usize = 3;

/// What a manifest names: blobs (an image), or images (an index), a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Image(u8),
    Index(u8),
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Push(usize, usize),
    Mount(usize, usize, usize),
    Look(usize, usize),
    PushManifest(usize, Kind, bool),
    DeleteManifest(usize, Kind),
    DeleteTag(usize),
    DeleteBlob(usize, usize),
    Pass(i64),
    Collect,
    Restart(bool),
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let (repo, blob) = (|| 0..REPOS, || 0..BLOBS);
    let kind = || prop_oneof![3 => (1..8_u8).prop_map(Kind::Image), 1 => (1..8_u8).prop_map(Kind::Index)];
    prop_oneof![
        6 => (repo(), blob()).prop_map(|(repo, blob)| Act::Push(repo, blob)),
        3 => (repo(), repo(), blob()).prop_map(|(from, to, blob)| Act::Mount(from, to, blob)),
        2 => (repo(), blob()).prop_map(|(repo, blob)| Act::Look(repo, blob)),
        6 => (repo(), kind(), any::<bool>()).prop_map(|(repo, kind, tagged)| Act::PushManifest(repo, kind, tagged)),
        4 => (repo(), kind()).prop_map(|(repo, kind)| Act::DeleteManifest(repo, kind)),
        1 => repo().prop_map(Act::DeleteTag),
        2 => (repo(), blob()).prop_map(|(repo, blob)| Act::DeleteBlob(repo, blob)),
        6 => (1..8_i64).prop_map(Act::Pass),
        6 => Just(Act::Collect),
        1 => any::<bool>().prop_map(Act::Restart),
    ]
}

/// What a repository should hold.
#[derive(Debug, Default, Clone)]
pub(super) struct Model {
    /// Blobs, and since when they are loose; that counts only where no manifest names them.
    pub(super) links: BTreeMap<usize, i64>,
    pub(super) manifests: BTreeSet<Kind>,
}

impl Model {
    pub(super) fn names(&self, blob: usize) -> bool {
        let image = |kind: &Kind| matches!(kind, Kind::Image(blobs) if blobs >> blob & 1 == 1);
        self.manifests.iter().any(image)
    }

    pub(super) fn may_go(&self, blob: usize, now: i64) -> bool {
        !self.names(blob) && self.links.get(&blob).is_some_and(|since| since + GRACE <= now)
    }

    pub(super) fn link(&mut self, blob: usize, now: i64) {
        self.links.insert(blob, now);
    }

    pub(super) fn push(&mut self, kind: Kind) -> bool {
        let there = match kind {
            Kind::Image(blobs) => (0..BLOBS).all(|blob| blobs >> blob & 1 == 0 || self.links.contains_key(&blob)),
            Kind::Index(images) => images_of(images).all(|image| self.manifests.contains(&image)),
        };
        if there {
            self.manifests.insert(kind);
        }
        there
    }

    pub(super) fn delete(&mut self, kind: Kind, now: i64) -> &'static str {
        let names = |by: &Kind| matches!(by, Kind::Index(images) if images_of(*images).any(|image| image == kind));
        if !self.manifests.contains(&kind) {
            return "absent";
        }
        if self.manifests.iter().any(names) {
            return "named";
        }
        let before: Vec<usize> = (0..BLOBS).filter(|blob| self.names(*blob)).collect();
        self.manifests.remove(&kind);
        for blob in before {
            if !self.names(blob) {
                self.links.insert(blob, now);
            }
        }
        "done"
    }

    pub(super) fn delete_blob(&mut self, blob: usize) -> &'static str {
        if !self.links.contains_key(&blob) {
            "absent"
        } else if self.names(blob) {
            "named"
        } else {
            self.links.remove(&blob);
            "done"
        }
    }
}

/// Bit n of an index stands for the image of blob n and blob 0.
pub(super) fn images_of(images: u8) -> impl Iterator<Item = Kind> {
    (0..BLOBS)
        .filter(move |n| images >> n & 1 == 1)
        .map(|n| Kind::Image(1 << n | 1))
}
