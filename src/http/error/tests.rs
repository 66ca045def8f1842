use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http_body::Body as _;

use super::*;
use crate::access::Action;
use crate::access::Principal;
use crate::access::Ruled;
use crate::clock::Clock;
use crate::http::chunk;
use crate::oci::Algorithm;
use crate::oci::Digest;
use crate::oci::InvalidDigest;
use crate::oci::InvalidManifest;
use crate::oci::InvalidMediaType;
use crate::oci::MediaType;
use crate::oci::Reference;
use crate::oci::RepoName;
use crate::oci::Tag;
use crate::pull::Lost;
use crate::push;
use crate::store;
use crate::tasks;
use crate::tasks::Tasks;
use crate::upstream;

#[test]
fn every_malformed_request_has_its_answer() {
    check([
        (Malformed::TargetTooLong, "414 UNSUPPORTED"),
        (Malformed::HeadersTooLarge, "431 UNSUPPORTED"),
        (Malformed::Host, "400 UNSUPPORTED"),
    ]);
}

#[test]
fn every_wrong_request_line_has_its_answer() {
    use route::Error;
    let name = "A".parse::<RepoName>().unwrap_err();
    let tag = "-".parse::<Tag>().unwrap_err();
    let (why, writing) = (InvalidDigest::Malformed, true);
    let cases = [
        (Error::NotFound, "404 UNSUPPORTED"),
        (
            Error::MethodNotAllowed { allow: "GET, HEAD" },
            "405 UNSUPPORTED allow: GET, HEAD",
        ),
        (Error::Encoding, "400 NAME_INVALID"),
        (Error::RepeatedNs, "400 NAME_INVALID"),
        (Error::Name { writing, why: name }, "400 NAME_INVALID"),
        (
            Error::Name {
                writing: false,
                why: name,
            },
            "404 NAME_INVALID",
        ),
        (Error::Tag { writing, why: tag }, "400 MANIFEST_INVALID"),
        (
            Error::Tag {
                writing: false,
                why: tag,
            },
            "404 MANIFEST_UNKNOWN",
        ),
        (Error::Digest { why }, "400 DIGEST_INVALID"),
    ];
    check(cases);
}

#[test]
fn every_name_that_leads_nowhere_is_a_404() {
    let (ns, host, mirror) = ("x".to_owned(), "x.y".to_owned(), "quay.io".to_owned());
    let name = "a/b".parse().unwrap();
    check([
        (NotServed::UnknownNs { ns }, "404 NAME_UNKNOWN"),
        (NotServed::UnknownRegistry { host }, "404 NAME_UNKNOWN"),
        (NotServed::NoRepository { mirror }, "404 NAME_UNKNOWN"),
        (NotServed::Unclaimed { name }, "404 NAME_UNKNOWN"),
    ]);
}

#[test]
fn a_denied_caller_gets_a_403() {
    let repository = "a/b".parse().unwrap();
    let caller = Denied::Caller {
        principal: Principal::Anonymous,
        action: Action::Pull,
        repository,
    };
    let (what, mirror) = ("quay.io/a/b".to_owned(), "quay.io".to_owned());
    let ruled = Denied::Ruled(Ruled::Unlisted { what, mirror });
    check([(caller, "403 DENIED"), (ruled, "403 DENIED")]);
}

#[test]
fn every_failed_pull_has_its_answer() {
    use pull::Error;
    let digest = Digest::of(Algorithm::Sha256, b"");
    let reference: Reference = "v1".parse().unwrap();
    let upstream = || "quay.io".to_owned();
    check([
        (Error::NameUnknown("a/b".parse().unwrap()), "404 NAME_UNKNOWN"),
        (
            Error::NoManifest {
                repository: "a/b".parse().unwrap(),
                reference: reference.clone(),
            },
            "404 MANIFEST_UNKNOWN",
        ),
        (
            Error::NoBlob {
                repository: "a/b".parse().unwrap(),
                digest,
            },
            "404 BLOB_UNKNOWN",
        ),
        (
            Error::Mismatch {
                upstream: upstream(),
                digest,
            },
            "502 UNAVAILABLE",
        ),
        (
            Error::Length {
                upstream: upstream(),
                digest,
                told: 1,
                known: 2,
            },
            "502 UNAVAILABLE",
        ),
        (
            Error::BadManifest {
                upstream: upstream(),
                reference: reference.clone(),
                source: Arc::new(InvalidManifest::SchemaVersion),
            },
            "502 UNAVAILABLE",
        ),
        (
            Error::Store(Arc::new(store_error(io::ErrorKind::Other))),
            "500 UNAVAILABLE",
        ),
        (Error::Store(Arc::new(closed())), "503 UNAVAILABLE"),
        (Error::Lost(Lost), "503 UNAVAILABLE"),
    ]);
}

fn closed() -> store::Error {
    let fact = Box::new(store::Fact::Loose);
    store::Error::Closed { fact }
}

fn store_error(kind: io::ErrorKind) -> store::Error {
    store::Error::Disk {
        verb: "open",
        path: "/srv/secret".into(),
        source: io::Error::new(kind, "it burns"),
    }
}

#[tokio::test]
async fn what_an_upstream_did_is_told_with_its_name() {
    use pull::Error;
    let source = Arc::new(unreachable().await);
    let digest = Digest::of(Algorithm::Sha256, b"");
    let reference: Reference = "v1".parse().unwrap();
    check([
        (Error::Upstream(Arc::clone(&source)), "502 UNAVAILABLE"),
        (
            Error::BlobUnknown {
                digest,
                source: Arc::clone(&source),
            },
            "404 BLOB_UNKNOWN",
        ),
        (
            Error::ManifestUnknown {
                reference,
                source: Arc::clone(&source),
            },
            "404 MANIFEST_UNKNOWN",
        ),
    ]);
    let body = body_of(&Refusal::from(Error::Upstream(source)));
    let error = &body["errors"][0];
    assert!(error["message"].as_str().unwrap().starts_with("127.0.0.1:"), "{error}");
    assert_eq!(error["detail"]["upstream"], "quay.io");
    assert_eq!(error["detail"]["upstream_status"], Value::Null);
}

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

#[test]
fn every_verdict_has_its_answer() {
    let minute = Some(Duration::from_millis(59_001));
    for (verdict, retry_after, expected) in [
        (Verdict::RepositoryAbsent, None, "404 NAME_UNKNOWN"),
        (Verdict::RepositoryRefused, None, "403 DENIED"),
        (Verdict::Throttled, minute, "429 TOOMANYREQUESTS retry-after: 60"),
        (Verdict::Throttled, None, "429 TOOMANYREQUESTS retry-after: 5"),
        (Verdict::Slow, None, "504 UNAVAILABLE"),
        (Verdict::Offline, None, "504 UNAVAILABLE"),
        (Verdict::Broken, minute, "502 UNAVAILABLE"),
        (Verdict::Cut, None, "502 UNAVAILABLE"),
        (Verdict::NoSuchRange, None, "502 UNAVAILABLE"),
    ] {
        assert_eq!(shown(&by_verdict(verdict, retry_after, String::new())), expected);
    }
}

#[test]
fn refusals_of_our_own() {
    assert_eq!(shown(&Refusal::read_only("x")), "405 UNSUPPORTED allow: GET, HEAD");
    assert_eq!(shown(&Refusal::no_such_repository(&"x")), "404 NAME_UNKNOWN");
    assert_eq!(
        shown(&Refusal::unsatisfiable(7)),
        "416 SIZE_INVALID content-range: bytes */7"
    );
}

#[test]
fn a_body_has_the_form_of_the_specification_and_a_head_none() {
    let record = record();
    let denied = || Refusal::read_only("quay.io");
    let response = denied().respond(&record, false);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body = denied().body(&record);
    assert_eq!(body["errors"][0]["code"], "UNSUPPORTED");
    assert_eq!(body["errors"][0]["detail"], json!({ "request_id": record.id() }));
    let head = denied().respond(&record, true);
    assert_eq!(head.status(), response.status());
    assert!(head.body().is_end_stream());
}

#[test]
fn a_client_learns_no_path_of_this_machine_and_the_log_all() {
    for refusal in [
        Refusal::from(pull::Error::Store(Arc::new(store_error(io::ErrorKind::Other)))),
        Refusal::from(push::Error::Store(store_error(io::ErrorKind::Other))),
    ] {
        assert!(!body_of(&refusal).to_string().contains("secret"));
        let log = refusal.for_the_log();
        assert!(log.contains("/srv/secret"), "{log}");
    }
}

fn check<E: Into<Refusal> + std::fmt::Debug>(cases: impl IntoIterator<Item = (E, &'static str)>) {
    for (error, expected) in cases {
        let shown_error = format!("{error:?}");
        assert_eq!(shown(&error.into()), expected, "{shown_error}");
    }
}

/// Status, code and the special headers.
fn shown(refusal: &Refusal) -> String {
    let headers = refusal.with.iter().flat_map(With::headers);
    let headers = headers.fold(String::new(), |told, (name, value)| {
        format!("{told} {name}: {}", value.to_str().unwrap())
    });
    format!("{} {}{headers}", refusal.status.as_u16(), refusal.code)
}

fn record() -> Record {
    let mut record = Record::new(Ipv4Addr::LOCALHOST.into(), &Method::GET, "/v2/", &HeaderMap::new());
    record.leads_to(Some("quay.io"));
    record
}

fn body_of(refusal: &Refusal) -> Value {
    refusal.body(&record())
}

/// A real error, as a closed port makes it.
async fn unreachable() -> upstream::Error {
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = upstream::MirrorConfig {
        endpoints: vec![format!("http://127.0.0.1:{port}")],
        ..Default::default()
    };
    let mirror = Arc::new(upstream::Mirror::new("quay.io", &config).unwrap());
    let client = upstream::Client::new(&upstream::Config::default(), Tasks::new(), Clock::system());
    let (name, digest) = ("a/b".parse().unwrap(), Digest::of(Algorithm::Sha256, b""));
    client
        .head_blob(&mirror, &name, &digest, &upstream::Tally::default())
        .await
        .unwrap_err()
}
