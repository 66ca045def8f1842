//! What becomes of a push that fails, and of a deletion.

use super::*;
use crate::http::chunk;
use crate::oci::{InvalidMediaType, MediaType};
use crate::tasks;

#[test]
fn every_failed_push_of_a_manifest_and_every_failed_deletion_has_its_answer() {
    use push::Error;
    let (repository, digest): (RepoName, _) = ("a/b".parse().unwrap(), Digest::of(Algorithm::Sha256, b""));
    let reference: Box<Reference> = Box::new("v1".parse().unwrap());
    let missing = Error::Missing {
        repository: repository.clone(),
        digests: vec![digest.to_string()],
    };
    let (said, actual) = (MediaType::OCI_INDEX, MediaType::OCI_MANIFEST);
    check([
        (
            Error::Manifest(InvalidManifest::TooLarge { length: 9 }),
            "413 MANIFEST_INVALID",
        ),
        (Error::Manifest(InvalidManifest::SchemaVersion), "400 MANIFEST_INVALID"),
        (Error::WrongType { said, actual }, "400 MANIFEST_INVALID"),
        (
            Error::WrongDigest {
                said: digest,
                actual: Box::new(digest),
            },
            "400 DIGEST_INVALID",
        ),
        (missing, "400 MANIFEST_BLOB_UNKNOWN"),
        (
            Error::Precondition {
                repository: repository.clone(),
                reference: reference.clone(),
            },
            "412 DENIED",
        ),
        (Error::NameUnknown(repository.clone()), "404 NAME_UNKNOWN"),
        (
            Error::ManifestUnknown {
                repository: repository.clone(),
                reference,
            },
            "404 MANIFEST_UNKNOWN",
        ),
        (
            Error::BlobUnknown {
                repository: repository.clone(),
                digest,
            },
            "404 BLOB_UNKNOWN",
        ),
        (
            Error::Named {
                repository,
                digest,
                by: Box::new(digest),
            },
            "405 DENIED allow: GET, HEAD",
        ),
        (Error::Store(store_error(io::ErrorKind::Other)), "500 UNAVAILABLE"),
        (Error::Store(store_error(io::ErrorKind::StorageFull)), "507 UNAVAILABLE"),
        (Error::Store(closed()), "503 UNAVAILABLE"),
        (Error::Lost(tasks::Lost), "503 UNAVAILABLE"),
    ]);
    check([(InvalidMediaType, "400 MANIFEST_INVALID")]);
    check([(push::Interrupted::Silent(Duration::from_secs(1)), "408 SIZE_INVALID")]);
}

#[test]
fn every_failed_upload_says_where_it_goes_on_if_it_does() {
    use push::Error;
    let session = "00000000-0000-4000-8000-000000000000";
    let at = || push::Position {
        repo: "a/b".parse().unwrap(),
        session: session.parse().unwrap(),
        received: 7,
    };
    let goes_on = |refusal: &str| {
        format!("{refusal} location: /v2/a/b/blobs/uploads/{session} range: 0-6 docker-upload-uuid: {session}")
    };
    let interrupted = |by| Error::Interrupted { at: at(), by };
    let digest = Digest::of(Algorithm::Sha256, b"");
    let (start, declared, broken) = (9, 5, io::ErrorKind::PermissionDenied);
    for (error, expected) in [
        (Error::UploadBusy(at()), "409 BLOB_UPLOAD_INVALID"),
        (Error::OutOfOrder { at: at(), start }, "416 BLOB_UPLOAD_INVALID"),
        (Error::WrongLength { at: at(), declared }, "400 SIZE_INVALID"),
        (interrupted(push::Interrupted::Cut("reset".into())), "400 SIZE_INVALID"),
        (
            interrupted(push::Interrupted::Silent(Duration::from_mins(1))),
            "408 SIZE_INVALID",
        ),
        (
            Error::Unwritten {
                at: at(),
                source: store_error(io::ErrorKind::StorageFull).into(),
            },
            "507 UNAVAILABLE",
        ),
        (
            Error::Unwritten {
                at: at(),
                source: store_error(broken).into(),
            },
            "500 UNAVAILABLE",
        ),
    ] {
        let refusal = Refusal::from(error);
        assert_eq!(shown(&refusal), goes_on(expected));
        assert!(!body_of(&refusal).to_string().contains("secret"));
    }
    check([
        (Error::UploadUnknown, "404 BLOB_UPLOAD_UNKNOWN"),
        (
            Error::WrongContent {
                said: digest,
                actual: Box::new(digest),
            },
            "400 DIGEST_INVALID",
        ),
    ]);
    let headers = http::HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static("x"))]);
    check([(chunk::span(&headers).unwrap_err(), "400 BLOB_UPLOAD_INVALID")]);
}

#[test]
fn each_missing_digest_is_an_error_of_its_own() {
    let missing = push::Error::Missing {
        repository: "a/b".parse().unwrap(),
        digests: vec!["sha256:1".to_owned(), "blake3:2".to_owned()],
    };
    let body = body_of(&missing.into());
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for (error, digest) in errors.iter().zip(["sha256:1", "blake3:2"]) {
        assert_eq!(error["code"], "MANIFEST_BLOB_UNKNOWN");
        assert_eq!(error["detail"]["digest"], digest);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("a/b") && message.contains(digest), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_manifest_is_told_to_whoever_sent_it() {
    let text = bytes::Bytes::from_static(br#"{"schemaVersion":2,"layers":7}"#);
    let invalid = Manifest::parse(text, None, Algorithm::Sha256).unwrap_err();
    let body = body_of(&push::Error::from(invalid).into());
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("not readable JSON") && message.contains("line 1"),
        "{message}"
    );
}
