//! What a client is told of a push or a deletion that was not done.
//!
//! Promises that wherever an upload can go on, the answer says where, and that no path of this machine is shown.

use http::StatusCode;

use crate::http::chunk;
use crate::http::error::Refusal;
use crate::http::error::With;
use crate::http::record;
use crate::oci::ErrorCode;
use crate::oci::InvalidManifest;
use crate::push::Error;
use crate::push::Interrupted;
use crate::push::Position;
use crate::store::Error as StoreError;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let cause = Some(record::chain(&error));
        let refusal = match error {
            Error::Manifest(InvalidManifest::TooLarge { .. }) => Self::manifest_too_large(),
            // What is wrong with it stands in the causes, and is about the client's own bytes.
            Error::Manifest(source) => {
                let message = record::chain(&source);
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, message)
            }
            Error::WrongType { .. } => Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, message),
            Error::WrongDigest { .. } | Error::WrongContent { .. } => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, message)
            }
            Error::Missing { digests, .. } => Self {
                missing: digests,
                ..Self::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestBlobUnknown, message)
            },
            // The specification has no code for it.
            Error::Precondition { .. } => Self::new(StatusCode::PRECONDITION_FAILED, ErrorCode::Denied, message),
            Error::NameUnknown(name) => Self::no_such_repository(&name),
            Error::ManifestUnknown { .. } => Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, message),
            Error::BlobUnknown { .. } => Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, message),
            Error::Named { .. } => Self {
                code: ErrorCode::Denied,
                ..Self::not_allowed("GET, HEAD", message)
            },
            Error::UploadUnknown => Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown, message),
            Error::UploadBusy(at) => Self::new(StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid, message).goes_on(at),
            Error::OutOfOrder { at, .. } => {
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid, message).goes_on(at)
            }
            Error::WrongLength { at, .. } => {
                Self::new(StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, message).goes_on(at)
            }
            Error::Interrupted { at, by } => Self {
                message,
                ..Self::from(by)
            }
            .goes_on(at),
            Error::Unwritten { at, source } => Self::of_the_store(&source).goes_on(at),
            Error::Store(source) => Self::of_the_store(&source),
            Error::Lost(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message),
        };
        Self { cause, ..refusal }
    }
}

impl From<Interrupted> for Refusal {
    fn from(error: Interrupted) -> Self {
        let status = match error {
            Interrupted::Cut(_) => StatusCode::BAD_REQUEST,
            Interrupted::Silent(_) => StatusCode::REQUEST_TIMEOUT,
        };
        let refusal = Self::new(status, ErrorCode::SizeInvalid, error.to_string());
        Self {
            cause: Some(record::chain(&error)),
            ..refusal
        }
    }
}

impl From<chunk::Malformed> for Refusal {
    fn from(error: chunk::Malformed) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid, error.to_string())
    }
}

impl Refusal {
    /// The upload that this is about goes on where the headers say.
    fn goes_on(self, at: Position) -> Self {
        let with = Some(With::Upload(at.into()));
        Self { with, ..self }
    }

    fn of_the_store(error: &StoreError) -> Self {
        if error.is_full() {
            Self::full()
        } else {
            Self::local_failure(error)
        }
    }
}
