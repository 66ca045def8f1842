//! Media types: `type/subtype`, compared without case and without parameters.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A media type in lower case, its parameters gone (RFC 9110 8.3.1; `; charset=…` on a manifest means nothing).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaType(Cow<'static, str>);

/// The longest media type: RFC 6838 4.2 ends each half at 127 characters.
const MAX_CHARS: usize = 255;

/// The text is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed media type: expected type/subtype")]
pub struct InvalidMediaType;

impl MediaType {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: Self = Self::known("application/vnd.oci.image.manifest.v1+json");
    /// An OCI image index.
    pub const OCI_INDEX: Self = Self::known("application/vnd.oci.image.index.v1+json");
    /// A Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: Self = Self::known("application/vnd.docker.distribution.manifest.v2+json");
    /// A Docker manifest list.
    pub const DOCKER_LIST: Self = Self::known("application/vnd.docker.distribution.manifest.list.v2+json");
    /// An artifact manifest of image-spec 1.1's release candidates, which some tools still push.
    pub const OCI_ARTIFACT: Self = Self::known("application/vnd.oci.artifact.manifest.v1+json");
    /// Bytes of which nothing is known (RFC 2046 4.5.1).
    pub const OCTET_STREAM: Self = Self::known("application/octet-stream");

    /// The type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A manifest of any kind: image or index, OCI's or Docker's, or an artifact manifest.
    pub fn is_manifest(&self) -> bool {
        self.is_index() || [Self::OCI_MANIFEST, Self::DOCKER_MANIFEST, Self::OCI_ARTIFACT].contains(self)
    }

    /// A manifest that names manifests.
    pub fn is_index(&self) -> bool {
        [Self::OCI_INDEX, Self::DOCKER_LIST].contains(self)
    }

    /// A layer that registries need not hold (image-spec, layer.md, "Non-Distributable Layers"; Docker's foreign layers).
    pub fn is_nondistributable(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self.0.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }

    const fn known(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl FromStr for MediaType {
    type Err = InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, InvalidMediaType> {
        let essence = text
            .split_once(';')
            .map_or(text, |(essence, _parameters)| essence)
            .trim_ascii();
        match essence.split_once('/') {
            Some((kind, subtype)) if essence.len() <= MAX_CHARS && is_token(kind) && is_token(subtype) => {
                Ok(Self(Cow::Owned(essence.to_ascii_lowercase())))
            }
            _ => Err(InvalidMediaType),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn drops_parameters_and_case() {
        for text in [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.index.v1+json; charset=utf-8",
            " Application/VND.oci.image.index.v1+JSON ;q=\";\"",
        ] {
            assert_eq!(text.parse(), Ok(MediaType::OCI_INDEX), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_type() {
        for text in [
            "",
            "/",
            "json",
            "application/",
            "/json",
            "a/b/c",
            "a b/c",
            "a/b c",
            "a/é",
            "a/b\r\nx: y",
            ";a/b",
        ] {
            assert_eq!(text.parse::<MediaType>(), Err(InvalidMediaType), "{text:?}");
        }
    }

    #[test]
    fn knows_the_kinds() {
        let kinds = |text: &str| {
            let it: MediaType = text.parse().unwrap();
            (it.is_manifest(), it.is_index(), it.is_nondistributable())
        };
        assert_eq!(
            kinds("application/vnd.docker.distribution.manifest.list.v2+json"),
            (true, true, false)
        );
        assert_eq!(
            kinds("application/vnd.docker.distribution.manifest.v2+json"),
            (true, false, false)
        );
        assert_eq!(
            kinds("application/vnd.docker.distribution.manifest.v1+json"),
            (false, false, false)
        );
        assert_eq!(
            kinds("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
            (false, false, true)
        );
        assert_eq!(
            kinds("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            (false, false, true)
        );
        assert_eq!(
            kinds("application/vnd.oci.image.layer.v1.tar+gzip"),
            (false, false, false)
        );
    }

    proptest! {
        #[test]
        fn parse_inverts_print(text in ".{0,5}/.{0,5}") {
            if let Ok(it) = text.parse::<MediaType>() {
                prop_assert_eq!(it.to_string().parse(), Ok(it));
            }
        }

        #[test]
        fn print_inverts_parse(text in "[a-z]{1,9}/[a-z0-9.+-]{1,40}") {
            prop_assert_eq!(text.parse::<MediaType>().unwrap().to_string(), text);
        }
    }
}
