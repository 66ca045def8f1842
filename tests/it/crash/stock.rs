//! What the pushers of the crash rounds push: a few blobs that they share, so that they meet in the store, and manifests of
//! which no two are alike, so that what was deleted does not come back under the same digest.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::image::{Content, KIB, OCI_INDEX, OCI_MANIFEST};

/// A manifest and all that is to be known of it.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: &'static str,
    pub(crate) body: Content,
    pub(crate) blobs: Vec<Content>,
    pub(crate) children: Vec<String>,
    pub(crate) subject: Option<String>,
}

impl Manifest {
    pub(crate) fn digest(&self) -> &str {
        self.body.digest()
    }
}

/// Nobody pushes these; they are pointed at.
pub(crate) const SUBJECTS: [&str; 2] = [
    "sha256:1111111111111111111111111111111111111111111111111111111111111111",
    "sha256:2222222222222222222222222222222222222222222222222222222222222222",
];

#[derive(Debug)]
pub(crate) struct Stock {
    shared: Vec<Content>,
    serial: AtomicU64,
}

impl Stock {
    pub(crate) fn new() -> Self {
        let sizes = [0, 1, 100, 4 * KIB, 64 * KIB, 300 * KIB, 700 * KIB, 1200 * KIB];
        Self {
            shared: (7000..)
                .zip(sizes)
                .map(|(seed, size)| Content::seeded(seed, size))
                .collect(),
            serial: AtomicU64::new(0),
        }
    }

    pub(crate) fn shared(&self) -> &[Content] {
        &self.shared
    }

    fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// A blob like no other.
    pub(crate) fn blob(&self, dice: &mut Dice) -> Content {
        Content::seeded(1_000_000 + self.serial(), 1 + dice.roll(400 * KIB))
    }

    pub(crate) fn image(&self, dice: &mut Dice) -> Manifest {
        let config = Content::of(json!({ "serial": self.serial() }).to_string());
        let mut layers: Vec<Content> = (0..dice.roll(3))
            .filter_map(|_| dice.pick(&self.shared).cloned())
            .collect();
        if dice.once_in(2) {
            layers.push(self.blob(dice));
        }
        let mut body = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": layers.iter().map(|layer| layer.descriptor("application/vnd.oci.image.layer.v1.tar")).collect::<Vec<_>>(),
        });
        let subject = dice
            .pick(&SUBJECTS)
            .filter(|_| dice.clone().once_in(3))
            .map(|subject| (*subject).to_owned());
        if let Some(subject) = &subject {
            body["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 2 });
        }
        Manifest {
            media_type: OCI_MANIFEST,
            body: Content::of(serde_json::to_vec_pretty(&body).unwrap()),
            blobs: std::iter::once(config).chain(layers).collect(),
            children: Vec::new(),
            subject,
        }
    }

    pub(crate) fn index(&self, children: &[&Manifest]) -> Manifest {
        let descriptors: Vec<Value> = children
            .iter()
            .map(|child| child.body.descriptor(child.media_type))
            .collect();
        let body = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": descriptors,
            "annotations": { "serial": self.serial().to_string() },
        });
        Manifest {
            media_type: OCI_INDEX,
            body: Content::of(serde_json::to_vec_pretty(&body).unwrap()),
            blobs: Vec::new(),
            children: children.iter().map(|child| child.digest().to_owned()).collect(),
            subject: None,
        }
    }
}
