//! Descriptors: how a manifest names other content.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::digest::{Digest, InvalidDigest};
use super::media_type::MediaType;

/// What a manifest says about one thing that it names (image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is said to be. Any type is accepted; what is no media type at all counts as `application/octet-stream`.
    pub media_type: MediaType,
    /// What it is.
    pub digest: Digest,
    /// Its length in bytes, as claimed.
    pub size: u64,
    /// Whether it may be fetched from places outside the registry (`urls`).
    pub has_urls: bool,
}

/// A descriptor as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    urls: Option<Vec<IgnoredAny>>,
}

impl Descriptor {
    /// Whether the registry that holds the manifest is expected to hold this too: it has no `urls`, and its type is not a
    /// nondistributable one.
    pub fn is_distributable(&self) -> bool {
        !self.has_urls && !self.media_type.is_nondistributable()
    }
}

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = InvalidDigest;

    fn try_from(raw: RawDescriptor) -> Result<Self, InvalidDigest> {
        Ok(Self {
            media_type: raw
                .media_type
                .and_then(|text| text.parse().ok())
                .unwrap_or(MediaType::OCTET_STREAM),
            digest: raw.digest.parse()?,
            size: raw.size,
            has_urls: raw.urls.is_some_and(|urls| !urls.is_empty()),
        })
    }
}
