//! What becomes of a pull that fails, and of an upstream that does.

use std::net::Ipv4Addr;

use super::*;
use crate::clock::Clock;
use crate::pull::Lost;
use crate::tasks::Tasks;
use crate::upstream;

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
