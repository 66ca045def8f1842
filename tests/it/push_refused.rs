//! What is no manifest, or not the one it is said to be: a 4xx of the right code, nothing kept, never a 5xx.

use std::time::Duration;

use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::image::{Content, DOCKER_MANIFEST, Image, OCI_INDEX, OCI_MANIFEST, sha512};
use crate::support::manifest_path;
use crate::support::wharf::{Setup, Wharf};

const APP: &str = "team/app";
/// The largest manifest that is accepted, in bytes.
const LIMIT: usize = 4 * 1024 * 1024 + 64 * 1024;

async fn harbour() -> (Wharf, Image) {
    let (wharf, image) = (Setup::new().start().await, Image::oci(1, &[10]));
    wharf.push_image(APP, "v1", &image).await;
    (wharf, image)
}

fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{what}: {}",
        answer.text()
    );
}

/// An empty index of so many bytes.
fn padded(length: usize) -> Vec<u8> {
    let bare = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
    format!("{bare}{}", " ".repeat(length - bare.len())).into_bytes()
}

fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for chunk in bytes.chunks(100_000) {
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    encoded
}

#[tokio::test]
async fn the_type_that_is_sent_must_be_the_type_that_it_is() {
    let (wharf, image) = harbour().await;
    let typed = image.manifest.all();
    let untyped = String::from_utf8(typed.clone()).unwrap();
    let untyped = untyped
        .replace(&format!("\"mediaType\": \"{OCI_MANIFEST}\""), "\"x\": 1")
        .into_bytes();
    let list = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    let (charset, upper) = (format!("{OCI_MANIFEST}; charset=utf-8"), OCI_MANIFEST.to_uppercase());
    for (bytes, said, expected) in [
        (&typed, OCI_MANIFEST, OCI_MANIFEST),
        (&typed, &charset, OCI_MANIFEST),
        (&typed, &upper, OCI_MANIFEST),
        (&typed, "", OCI_MANIFEST),
        (&untyped, "", OCI_MANIFEST),
        (&untyped, OCI_MANIFEST, OCI_MANIFEST),
        (&untyped, DOCKER_MANIFEST, DOCKER_MANIFEST),
        (&list, "", OCI_INDEX),
        (&list, OCI_INDEX, OCI_INDEX),
    ] {
        wharf.push_manifest(APP, "typed", said, bytes).await;
        let told = wharf.get(&manifest_path(APP, "typed")).await;
        assert_eq!(told.header("content-type"), Some(expected), "{said}");
    }
    for (bytes, said) in [
        (&typed, DOCKER_MANIFEST),
        (&typed, OCI_INDEX),
        (&typed, "application/json"),
        (&untyped, "application/json"),
        (&untyped, OCI_INDEX),
        (&list, "application/vnd.example+json"),
        (&list, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (&list, "application/vnd.oci.artifact.manifest.v1+json"),
        (&list, "nonsense"),
        (&list, "text/\u{e9}"),
    ] {
        let answer = wharf.put_manifest(&manifest_path(APP, "wrong"), said, bytes).await;
        assert_refused(&answer, 400, "MANIFEST_INVALID", said);
        assert!(!wharf.has_manifest(APP, "wrong").await, "{said}");
    }
}

#[tokio::test]
async fn a_manifest_is_pushed_as_what_it_is_or_not_at_all() {
    let (wharf, image) = harbour().await;
    let bytes = padded(100);
    for digest in [
        image.digest().to_owned(),
        sha512(b"other"),
        Content::of("other").digest().to_owned(),
    ] {
        let target = format!("{}?tag=t", manifest_path(APP, &digest));
        let answer = wharf.put_manifest(&target, OCI_INDEX, &bytes).await;
        assert_refused(&answer, 400, "DIGEST_INVALID", &digest);
        assert!(!wharf.has_manifest(APP, "t").await);
    }
    for (reference, code) in [
        ("sha256:baddigeststring", "DIGEST_INVALID"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        (&*image.digest().to_uppercase(), "DIGEST_INVALID"),
        (".INVALID", "MANIFEST_INVALID"),
        (&*"x".repeat(129), "MANIFEST_INVALID"),
    ] {
        let answer = wharf
            .put_manifest(&manifest_path(APP, reference), OCI_INDEX, &bytes)
            .await;
        assert_refused(&answer, 400, code, reference);
    }
    let answer = wharf
        .put_manifest(&manifest_path("Team/App", "v1"), OCI_INDEX, &bytes)
        .await;
    assert_refused(&answer, 400, "NAME_INVALID", "Team/App");
}

#[tokio::test]
async fn garbage_is_a_400_and_is_not_kept() {
    let (wharf, image) = harbour().await;
    let layer = image.layer(0).descriptor("a/b");
    let config = image.blobs[0].descriptor("a/b");
    let body = |more: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{config}{more}}}"#);
    let deep = |open: &str, close: &str| body(&format!(r#","x":{}0{}"#, open.repeat(100_000), close.repeat(100_000)));
    let many = vec![layer.to_string(); 20_000].join(",");
    let bad_digest = layer.to_string().replace("sha256:", "sha256:x");
    let schema1 =
        json!({ "schemaVersion": 1, "name": APP, "tag": "v1", "fsLayers": [], "history": [], "signatures": [] });
    for garbage in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "<html>".to_owned(),
        body("")[..50].to_owned(),
        format!("{}x", body("")),
        deep("[", "]"),
        deep(r#"{"a":"#, "}"),
        body(r#","layers":{}"#),
        body(r#","layers":[1]"#),
        body(r#","layers":[["a/b"]]"#),
        body(r#","layers":"x""#),
        body(r#","subject":[]"#),
        body(r#","annotations":[]"#),
        body(r#","annotations":{"a":1}"#),
        body(r#","artifactType":7"#),
        body(r#","schemaVersion":2"#),
        body(&format!(r#","config":{config}"#)),
        body(&format!(r#","layers":[],"layers":[{layer}]"#)),
        body(r#","manifests":[]"#),
        body(&format!(r#","layers":[{bad_digest}]"#)),
        body(&format!(r#","subject":{bad_digest}"#)),
        body(&format!(
            r#","layers":[{}]"#,
            layer.to_string().replace(":10,", ":-1,").replace(":10}", ":-1}")
        )),
        body(r#","layers":[{"digest":"sha256:x","size":99999999999999999999999999999}]"#),
        body(&format!(r#","layers":[{many}]"#)),
        body("").replace(":2,", ":2.0,"),
        body("").replace(":2,", ":\"2\","),
        body("").replace(":2,", ":3,"),
        schema1.to_string(),
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[],"layers":[]}}"#),
        r#"{"schemaVersion":2,"mediaType":"application/json","layers":[]}"#.to_owned(),
    ] {
        let what = &garbage[..garbage.len().min(200)];
        for said in [OCI_MANIFEST, ""] {
            let answer = wharf
                .put_manifest(&manifest_path(APP, "bad"), said, garbage.as_bytes())
                .await;
            assert_refused(&answer, 400, "MANIFEST_INVALID", what);
        }
        assert!(!wharf.has_manifest(APP, "bad").await, "{what}");
    }
    wharf
        .push_manifest(APP, "good", OCI_MANIFEST, body("").as_bytes())
        .await;
}

#[tokio::test]
async fn a_hundred_thousand_layers_are_too_large_or_too_many() {
    let (wharf, image) = harbour().await;
    let layer = image.layer(0).descriptor("a/b").to_string();
    let body = format!(r#"{{"schemaVersion":2,"layers":[{}]}}"#, vec![layer; 100_000].join(","));
    let answer = wharf
        .put_manifest(&manifest_path(APP, "bad"), OCI_MANIFEST, body.as_bytes())
        .await;
    assert_refused(&answer, 413, "MANIFEST_INVALID", "by its length");
}

#[tokio::test]
async fn digests_by_unknown_algorithms_are_missing() {
    let (wharf, image) = harbour().await;
    let mut layer = image.layer(0).descriptor("a/b");
    layer["digest"] = "blake3:0123".into();
    let body = json!({ "schemaVersion": 2, "layers": [layer, layer] }).to_string();
    let answer = wharf
        .put_manifest(&manifest_path(APP, "bad"), OCI_MANIFEST, body.as_bytes())
        .await;
    assert_refused(&answer, 400, "MANIFEST_BLOB_UNKNOWN", "blake3");
    assert_eq!(
        answer.text().matches("blake3:0123\",\"request_id").count(),
        1,
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn what_is_announced_as_too_large_is_refused_before_a_byte_of_it() {
    let (wharf, _) = harbour().await;
    let target = manifest_path(APP, "large");
    let announce = async |length: usize| {
        let mut client = wharf.connect().await;
        let headers = [
            ("Content-Type", OCI_INDEX),
            ("Content-Length", &*length.to_string()),
            ("Expect", "100-continue"),
        ];
        client.ask("PUT", &target, &headers).await;
        client
    };
    let answer = announce(LIMIT + 1).await.answer(false).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_refused(&answer.whole().await, 413, "MANIFEST_INVALID", "announced");

    let mut client = announce(LIMIT).await;
    client.says("HTTP/1.1 100 Continue").await;
    client.write(&padded(LIMIT)).await.unwrap();
    assert_eq!(client.answer(false).await.unwrap().status, 201);
}

#[tokio::test]
async fn a_chunked_manifest_is_read_and_one_without_end_is_cut_off() {
    let (wharf, _) = harbour().await;
    let headers = [("Content-Type", OCI_INDEX), ("Transfer-Encoding", "chunked")];
    for (length, status) in [(100, 201), (LIMIT, 201), (LIMIT + 1, 413), (LIMIT * 2, 413)] {
        let body = chunked(&padded(length));
        let answer = wharf
            .sends("PUT", &manifest_path(APP, "chunked"), &headers, &body)
            .await;
        assert_eq!(answer.status, status, "{length}: {}", answer.text());
    }
}

#[tokio::test]
async fn half_a_manifest_changes_nothing() {
    let setup = Setup::new().server("client_silence", "\"200ms\"");
    let wharf = setup.start().await;
    let (target, bytes) = (manifest_path(APP, "half"), padded(100));
    let begin = async || -> Client {
        let mut client = wharf.connect().await;
        client
            .ask(
                "PUT",
                &target,
                &[("Content-Type", OCI_INDEX), ("Content-Length", "100")],
            )
            .await;
        client.write(&bytes[..60]).await.unwrap();
        client
    };
    let silent = begin().await.answer(false).await.unwrap().whole().await;
    assert_refused(&silent, 408, "SIZE_INVALID", "silence");
    drop(begin().await);
    crate::support::quiet(Duration::from_millis(50), std::future::pending::<()>()).await;
    assert!(!wharf.has_manifest(APP, "half").await);
    wharf.push_manifest(APP, "half", OCI_INDEX, &bytes).await;
}

#[tokio::test]
async fn who_may_only_pull_is_told_so_before_the_body_is_read() {
    let (wharf, image) = harbour().await;
    let setup = Setup::new().table("access", "anonymous = [\"pull\"]");
    let mut wharf = wharf;
    wharf.kill();
    wharf.reconfigure(&setup);
    wharf.restart().await;
    let by_digest = manifest_path(APP, image.digest());
    for (method, target) in [
        ("PUT", manifest_path(APP, "v2")),
        ("DELETE", manifest_path(APP, "v1")),
        ("DELETE", by_digest.clone()),
        ("DELETE", format!("/v2/{APP}/blobs/{}", image.layer(0).digest())),
        (
            "POST",
            format!("/v2/{APP}/blobs/uploads/?mount={}&from={APP}", image.layer(0).digest()),
        ),
    ] {
        let answer = wharf
            .send(method, &target, &[("Content-Length", "1000")])
            .await
            .whole()
            .await;
        assert_refused(&answer, 403, "DENIED", &target);
    }
    assert_eq!(wharf.status(&by_digest).await, 200);
}
