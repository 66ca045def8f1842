//! The registry's vocabulary: what digests, names, references and media types are.
//!
//! Owns the grammar of the OCI distribution and image specifications. Promises that a value of these types is well
//! formed: `FromStr` is the only way in, `Display` is its inverse. Never does I/O and imports nothing of this crate.

mod descriptor;
mod digest;
mod error_code;
mod json;
pub mod lists;
mod manifest;
mod media_type;
mod name;
mod pattern;
mod pin;
mod reference;
mod repo_key;
mod rule;
mod tag_pattern;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher, InvalidDigest};
pub use error_code::ErrorCode;
pub use json::InvalidJson;
pub use lists::{InvalidList, Listed};
pub use manifest::{About, InvalidManifest, Kind, Manifest};
pub use media_type::{InvalidMediaType, MediaType};
pub use name::{InvalidName, RemoteName, RepoName, is_component};
pub use pattern::{InvalidPattern, Pattern};
pub use pin::{InvalidPin, Pin};
pub use reference::{InvalidReference, InvalidTag, Reference, Tag};
pub use repo_key::RepoKey;
pub use rule::{InvalidRule, Rule};
pub use tag_pattern::{InvalidTagPattern, TagPattern};
