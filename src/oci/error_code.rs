//! The error codes that a registry may answer with.

use std::fmt;

/// A code of an OCI error body (distribution-spec, "Error Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The blob is not in this repository.
    BlobUnknown,
    /// The upload request makes no sense.
    BlobUploadInvalid,
    /// No such upload session.
    BlobUploadUnknown,
    /// The digest is malformed, unsupported, or not that of the content.
    DigestInvalid,
    /// A manifest references something that this repository does not have.
    ManifestBlobUnknown,
    /// The manifest is no manifest.
    ManifestInvalid,
    /// No such tag or manifest.
    ManifestUnknown,
    /// The repository name is malformed.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// A length is not what was announced.
    SizeInvalid,
    /// Credentials are needed.
    Unauthorized,
    /// Refused, and other credentials may be the remedy.
    Denied,
    /// Not done here, whoever asks.
    Unsupported,
    /// Asked too often.
    TooManyRequests,
    /// The upstream could not be asked. Docker's code: the specification has none for it.
    Unavailable,
}

impl ErrorCode {
    /// The code as it stands in the body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
