//! Descriptors: how a manifest names other content.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::digest::Digest;
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
    /// Whether the registry that holds the manifest is expected to hold this too: it has no `urls`, and its type is not a
    /// nondistributable one.
    pub is_distributable: bool,
}

/// A descriptor as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawDescriptor {
    media_type: Option<String>,
    pub(super) digest: String,
    size: u64,
    urls: Option<Vec<IgnoredAny>>,
}

impl RawDescriptor {
    /// The descriptor, its digest read.
    pub(super) fn with(self, digest: Digest) -> Descriptor {
        Descriptor {
            digest,
            size: self.size,
            is_distributable: self.is_distributable(),
            media_type: self.media_type(),
        }
    }

    pub(super) fn is_distributable(&self) -> bool {
        let has_urls = self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        !has_urls && !self.media_type().is_nondistributable()
    }

    fn media_type(&self) -> MediaType {
        let read = self.media_type.as_ref().and_then(|text| text.parse().ok());
        read.unwrap_or(MediaType::OCTET_STREAM)
    }
}
