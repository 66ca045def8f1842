//! Manifests: a parsed view beside the bytes that it was parsed from.
//!
//! Promises that the bytes are kept exactly and that one digest is never read as two things. Lenient in everything else:
//! unknown fields and types are accepted, because clients judge them, not a registry. Never serialises.

mod about;

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use crate::oci::descriptor::{Descriptor, RawDescriptor};
use crate::oci::digest::{Algorithm, Digest, InvalidDigest};
use crate::oci::json;
use crate::oci::json::{InvalidJson, Object};
use crate::oci::media_type::{InvalidMediaType, MediaType};

pub use about::About;

/// An image manifest or an index, OCI's or Docker's (schema 2), or an artifact manifest of image-spec 1.1's candidates.
#[derive(Clone)]
pub struct Manifest {
    digest: Digest,
    media_type: MediaType,
    bytes: Bytes,
    named: Named,
    subject: Option<Descriptor>,
}

/// What a manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blobs: a config and layers, or what an artifact manifest has.
    Image,
    /// Manifests.
    Index,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Longer than [`Manifest::MAX_BYTES`].
    #[error("manifest of {length} bytes: at most {} are accepted", Manifest::MAX_BYTES)]
    TooLarge {
        /// Bytes given.
        length: usize,
    },
    /// Not JSON, or a field of the wrong type.
    #[error("manifest is not readable JSON")]
    Json(#[from] InvalidJson),
    /// `schemaVersion` is missing or not 2: Docker's schema 1, or no manifest at all.
    #[error("manifest has no schemaVersion 2")]
    SchemaVersion,
    /// `mediaType` is not a media type.
    #[error("manifest has an unusable mediaType")]
    MalformedType(#[source] InvalidMediaType),
    /// `mediaType` is not a manifest's.
    #[error("manifest has the mediaType {media_type}, which is no known manifest type")]
    UnknownType {
        /// What `mediaType` says.
        media_type: MediaType,
    },
    /// Neither `mediaType`, nor the content type, nor the content tells what it is.
    #[error("manifest does not tell its type and has neither config, layers nor manifests")]
    Untyped,
    /// Both an image and an index, or other than its type says (CVE-2021-41190).
    #[error("manifest of type {media_type} must not have {field}")]
    Ambiguous {
        /// The type that it would have had.
        media_type: MediaType,
        /// The field that contradicts.
        field: &'static str,
    },
    /// More than [`Manifest::MAX_DESCRIPTORS`].
    #[error("manifest names {count} things: at most {} are accepted", Manifest::MAX_DESCRIPTORS)]
    TooManyDescriptors {
        /// Descriptors given.
        count: usize,
    },
    /// A descriptor has no legal digest.
    #[error("manifest has a descriptor (number {number} of {field}) without a legal digest")]
    Digest {
        /// Where it stands.
        field: &'static str,
        /// Which it is, from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        source: InvalidDigest,
    },
}

impl Manifest {
    /// The longest manifest that is accepted, in bytes: the specification's 4 MiB, and a little.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024 + 64 * 1024;
    /// The most descriptors that are accepted, the subject not counted.
    pub const MAX_DESCRIPTORS: usize = 10_000;

    /// Reads a manifest and computes its digest by `algorithm`.
    ///
    /// Its type is the body's `mediaType`; else `content_type` if that is a manifest's; else OCI's type for what it has.
    pub fn parse(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        algorithm: Algorithm,
    ) -> Result<Self, InvalidManifest> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(InvalidManifest::TooLarge { length: bytes.len() });
        }
        let mut raw: RawManifest = json::parse(&bytes)?;
        raw.refuse_other_schemas()?;
        let media_type = raw.media_type(content_type)?;
        raw.refuse_contradiction(&media_type)?;
        if media_type == MediaType::OCI_ARTIFACT {
            raw.layers = json::parse::<RawArtifact>(&bytes)?.blobs;
        }
        raw.refuse_excess()?;
        let mut subject = Named::default();
        subject.read("subject", raw.subject)?;
        let mut named = Named::default();
        named.read("config", raw.config)?;
        named.read("layers", raw.layers.into_iter().flatten())?;
        named.read("manifests", raw.manifests.into_iter().flatten())?;
        Ok(Self {
            digest: Digest::of(algorithm, &bytes),
            media_type,
            bytes,
            named,
            subject: subject.descriptors.pop(),
        })
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// One of the manifest types: see [`MediaType::is_manifest`].
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Exactly what was parsed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it names blobs or manifests.
    pub fn kind(&self) -> Kind {
        if self.media_type.is_index() {
            Kind::Index
        } else {
            Kind::Image
        }
    }

    /// An image's config and layers, in this order, or an artifact's blobs; nothing for an index.
    pub fn blobs(&self) -> &[Descriptor] {
        match self.kind() {
            Kind::Image => &self.named.descriptors,
            Kind::Index => &[],
        }
    }

    /// An index's children; nothing for an image.
    pub fn manifests(&self) -> &[Descriptor] {
        match self.kind() {
            Kind::Image => &[],
            Kind::Index => &self.named.descriptors,
        }
    }

    /// The manifest that this one is about. It need not exist.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// Everything named that its registry is expected to hold: what makes a *named* link.
    pub fn named(&self) -> impl Iterator<Item = &Descriptor> {
        self.named.descriptors.iter().filter(|it| it.is_distributable)
    }

    /// The digests, as they are written, of what is named like [`Manifest::named`] by algorithms that wharf cannot compute:
    /// nobody can have pushed it here.
    pub fn unprovable(&self) -> &[String] {
        &self.named.unprovable
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({}, {})", self.digest, self.media_type)
    }
}

/// A manifest as it is written. Go writes an empty list as `null`, so `null` counts as absent everywhere.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Object<RawDescriptor>>,
    layers: Option<Vec<Object<RawDescriptor>>>,
    manifests: Option<Vec<Object<RawDescriptor>>>,
    subject: Option<Object<RawDescriptor>>,
}

/// What an artifact manifest has in place of layers. Read only where the body says that it is one: elsewhere `blobs` is a
/// field like any unknown one.
#[derive(Deserialize)]
struct RawArtifact {
    blobs: Option<Vec<Object<RawDescriptor>>>,
}

impl RawManifest {
    /// Artifact manifests have no `schemaVersion`.
    fn refuse_other_schemas(&self) -> Result<(), InvalidManifest> {
        let is_artifact = self.media_type.as_deref() == Some(MediaType::OCI_ARTIFACT.as_str());
        match self.schema_version {
            Some(2) => Ok(()),
            None if is_artifact => Ok(()),
            None | Some(_) => Err(InvalidManifest::SchemaVersion),
        }
    }

    fn media_type(&self, content_type: Option<&MediaType>) -> Result<MediaType, InvalidManifest> {
        if let Some(text) = self.media_type.as_deref().filter(|text| !text.is_empty()) {
            let media_type: MediaType = text.parse().map_err(InvalidManifest::MalformedType)?;
            return if media_type.is_manifest() {
                Ok(media_type)
            } else {
                Err(InvalidManifest::UnknownType { media_type })
            };
        }
        let told = content_type.filter(|told| told.is_manifest() && **told != MediaType::OCI_ARTIFACT);
        if let Some(told) = told {
            return Ok(told.clone());
        }
        if self.manifests.is_some() {
            Ok(MediaType::OCI_INDEX)
        } else if self.config.is_some() || self.layers.is_some() {
            Ok(MediaType::OCI_MANIFEST)
        } else {
            Err(InvalidManifest::Untyped)
        }
    }

    fn refuse_contradiction(&self, media_type: &MediaType) -> Result<(), InvalidManifest> {
        let config = self.config.as_ref().map(|_| "config");
        let layers = self.layers.as_ref().map(|_| "layers");
        let manifests = self.manifests.as_ref().map(|_| "manifests");
        let contradiction = if media_type.is_index() {
            config.or(layers)
        } else if *media_type == MediaType::OCI_ARTIFACT {
            config.or(layers).or(manifests)
        } else {
            manifests
        };
        match contradiction {
            Some(field) => Err(InvalidManifest::Ambiguous {
                media_type: media_type.clone(),
                field,
            }),
            None => Ok(()),
        }
    }

    fn refuse_excess(&self) -> Result<(), InvalidManifest> {
        let lists = [&self.layers, &self.manifests];
        let count = usize::from(self.config.is_some()) + lists.into_iter().flatten().map(Vec::len).sum::<usize>();
        if count > Manifest::MAX_DESCRIPTORS {
            return Err(InvalidManifest::TooManyDescriptors { count });
        }
        Ok(())
    }
}

/// What is named, as far as it can be asked for: the other platforms of an index with one unknown algorithm stay usable.
#[derive(Clone, Default)]
struct Named {
    /// An image's config and layers, or an index's manifests.
    descriptors: Vec<Descriptor>,
    /// Digests by unknown algorithms, of what is distributable.
    unprovable: Vec<String>,
}

impl Named {
    /// Adds the descriptors of one field.
    fn read(
        &mut self,
        field: &'static str,
        raw: impl IntoIterator<Item = Object<RawDescriptor>>,
    ) -> Result<(), InvalidManifest> {
        for (index, Object(raw)) in raw.into_iter().enumerate() {
            match raw.digest.parse() {
                Ok(digest) => self.descriptors.push(raw.with(digest)),
                Err(InvalidDigest::UnsupportedAlgorithm) if raw.is_distributable() => self.unprovable.push(raw.digest),
                Err(InvalidDigest::UnsupportedAlgorithm) => {}
                Err(source @ InvalidDigest::Malformed) => {
                    return Err(InvalidManifest::Digest {
                        field,
                        number: index + 1,
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
