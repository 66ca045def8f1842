//! Deterministic content: blobs of any size from a seed, never held in memory whole, and images made of them.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use super::client::Ended;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;

/// Bytes and their sha256 digest.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    source: Source,
    len: u64,
    digest: String,
}

#[derive(Clone, Debug)]
enum Source {
    Bytes(Bytes),
    Seed(u64),
}

impl Content {
    /// `len` pseudo-random bytes; the same seed gives the same bytes.
    pub(crate) fn seeded(seed: u64, len: u64) -> Self {
        let mut content = Self {
            source: Source::Seed(seed),
            len,
            digest: String::new(),
        };
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut at = 0;
        while at < len {
            let n = content.read(at, &mut buffer);
            hasher.update(&buffer[..n]);
            at += n as u64;
        }
        content.digest = sha256_text(hasher);
        content
    }

    pub(crate) fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: sha256(&bytes),
            len: bytes.len() as u64,
            source: Source::Bytes(bytes),
        }
    }

    /// Practically without end; its digest is a fiction, because nobody waits for the hash.
    pub(crate) fn endless() -> Self {
        Self::promised(1 << 50)
    }

    /// So many bytes under a digest that they do not have: for tests that leave before the end.
    pub(crate) fn promised(len: u64) -> Self {
        Self {
            source: Source::Seed(len),
            len,
            digest: sha256(&len.to_le_bytes()),
        }
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What [`super::client::Response::hashed`] is when all of it has come, and no more.
    pub(crate) fn whole(&self) -> (u64, String, Ended) {
        (self.len, self.digest.clone(), Ended::Clean)
    }

    /// Fills `buffer` from `at`; returns how much there was.
    pub(crate) fn read(&self, at: u64, buffer: &mut [u8]) -> usize {
        let n = usize::try_from(self.len.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        match &self.source {
            Source::Bytes(bytes) => {
                let at = usize::try_from(at).unwrap();
                buffer[..n].copy_from_slice(&bytes[at..at + n]);
            }
            Source::Seed(seed) => stream(*seed, at, &mut buffer[..n]),
        }
        n
    }

    pub(crate) fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end.min(self.len) - range.start).unwrap()];
        self.read(range.start, &mut bytes);
        bytes
    }

    pub(crate) fn all(&self) -> Vec<u8> {
        self.bytes(0..self.len)
    }

    pub(crate) fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.len })
    }
}

/// A manifest with what it names.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) media_type: &'static str,
    pub(crate) manifest: Content,
    pub(crate) blobs: Vec<Content>,
}

impl Image {
    /// An OCI image: a config and layers of these sizes.
    pub(crate) fn oci(seed: u64, layers: &[u64]) -> Self {
        let (config, layers) = Self::made(seed, layers);
        Self::of(&config, &layers.iter().collect::<Vec<_>>())
    }

    /// An OCI image of these.
    pub(crate) fn of(config: &Content, layers: &[&Content]) -> Self {
        let types = [
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ];
        Self::build(OCI_MANIFEST, types, config, layers)
    }

    /// An image as Docker writes it.
    pub(crate) fn docker(seed: u64, layers: &[u64]) -> Self {
        let types = [
            "application/vnd.docker.container.image.config.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ];
        let (config, layers) = Self::made(seed, layers);
        Self::build(DOCKER_MANIFEST, types, &config, &layers.iter().collect::<Vec<_>>())
    }

    fn made(seed: u64, layers: &[u64]) -> (Content, Vec<Content>) {
        let config = Content::of(json!({ "architecture": "amd64", "os": "linux", "seed": seed }).to_string());
        let layers = (1..).zip(layers).map(|(n, len)| Content::seeded(seed * 1000 + n, *len));
        (config, layers.collect())
    }

    fn build(media_type: &'static str, types: [&str; 2], config: &Content, layers: &[&Content]) -> Self {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.descriptor(types[0]),
            "layers": layers.iter().map(|layer| layer.descriptor(types[1])).collect::<Vec<_>>(),
        });
        // Indented on purpose: whoever serialises it anew changes its digest.
        let manifest = Content::of(serde_json::to_vec_pretty(&manifest).unwrap());
        let blobs = [config].into_iter().chain(layers.iter().copied()).cloned().collect();
        Self {
            media_type,
            manifest,
            blobs,
        }
    }

    pub(crate) fn digest(&self) -> &str {
        self.manifest.digest()
    }

    /// The config is blob 0; this is the nth layer.
    pub(crate) fn layer(&self, n: usize) -> &Content {
        &self.blobs[n + 1]
    }

    /// An index of images, one per architecture.
    pub(crate) fn index(images: &[&Image]) -> Content {
        let platforms = ["amd64", "arm64", "riscv64"];
        let children: Vec<_> = images
            .iter()
            .zip(platforms)
            .map(|(image, architecture)| {
                let mut child = image.manifest.descriptor(image.media_type);
                child["platform"] = json!({ "architecture": architecture, "os": "linux" });
                child
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children });
        Content::of(serde_json::to_vec_pretty(&index).unwrap())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    sha256_text(Sha256::new_with_prefix(bytes))
}

pub(crate) fn sha256_text(hasher: Sha256) -> String {
    format!("sha256:{}", hex(&hasher.finalize()))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex(&Sha512::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// `SplitMix64` by position, so that any range can be made without what comes before it.
fn stream(seed: u64, at: u64, buffer: &mut [u8]) {
    let mut done = 0;
    while done < buffer.len() {
        let position = at + done as u64;
        let word = mix(seed.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(position / 8)).to_le_bytes();
        let from = usize::try_from(position % 8).unwrap();
        let n = (8 - from).min(buffer.len() - done);
        buffer[done..done + n].copy_from_slice(&word[from..from + n]);
        done += n;
    }
}

fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
