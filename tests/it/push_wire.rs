//! What clients and proxies do to pushes on the wire: old protocols, odd framings, repeated requests, and many at once.

use std::time::Duration;

use crate::support::blob_path;
use crate::support::client::{Client, Response};
use crate::support::image::{Content, Image, MIB, OCI_INDEX, OCI_MANIFEST, sha256};
use crate::support::upload::{alone, closing, http_chunk};
use crate::support::wharf::{Setup, Wharf};
use crate::support::{manifest_path, quiet};

const APP: &str = "team/app";
/// The largest manifest that is accepted, and what all large ones may hold together, in bytes.
const LIMIT: usize = 4 * 1024 * 1024 + 64 * 1024;
const ROOM: usize = 32 * 1024 * 1024;

/// An empty index of so many bytes.
fn padded(length: usize) -> Vec<u8> {
    let bare = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
    format!("{bare}{}", " ".repeat(length - bare.len())).into_bytes()
}

/// A client that has announced a manifest of so many bytes, and waits to be told to go on.
async fn announce(wharf: &Wharf, tag: &str, length: usize) -> Client {
    let length = length.to_string();
    let headers = [("Content-Length", &*length), ("Expect", "100-continue")];
    wharf.begins("PUT", &manifest_path(APP, tag), &headers, b"").await
}

const GO_ON: &str = "HTTP/1.1 100 Continue";

/// Writes these bytes on a connection, and reads an answer to its end.
async fn asks(mut client: Client, bytes: &[u8]) -> Response {
    client.write(bytes).await.unwrap();
    let mut answer = client.answer(false).await.unwrap();
    answer.rest().await;
    answer
}

#[tokio::test]
async fn large_manifests_wait_for_room_and_small_ones_for_nobody() {
    let wharf = alone().await;
    let mut holders = Vec::new();
    for _ in 0..ROOM / LIMIT {
        let mut holder = announce(&wharf, "large", LIMIT).await;
        holder.says(GO_ON).await;
        holders.push(holder);
    }
    let mut waits = announce(&wharf, "waits", LIMIT).await;
    let mut waits_too = announce(&wharf, "waits-too", LIMIT).await;
    assert!(
        quiet(Duration::from_millis(200), waits.says(GO_ON)).await,
        "no room left"
    );
    let small = padded(64 * 1024);
    wharf.push_manifest(APP, "small", OCI_INDEX, &small).await;
    let chunked = [http_chunk(&small), http_chunk(b"")].concat();
    let headers = [("Transfer-Encoding", "chunked")];
    let pushed = wharf
        .sends("PUT", &manifest_path(APP, "chunked"), &headers, &chunked)
        .await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());

    // One comes to its end, and one leaves.
    let mut holder = holders.pop().unwrap();
    holder.write(&padded(LIMIT)).await.unwrap();
    assert_eq!(holder.answer(false).await.unwrap().status, 201);
    waits.says(GO_ON).await;
    drop(holders.pop());
    waits_too.says(GO_ON).await;
    for mut client in [waits, waits_too] {
        client.write(&padded(LIMIT)).await.unwrap();
        assert_eq!(client.answer(false).await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn a_large_manifest_that_comes_in_drops_gives_way() {
    let wharf = Setup::new().server("client_silence", "\"300ms\"").start().await;
    let mut slow = announce(&wharf, "slow", LIMIT).await;
    slow.says(GO_ON).await;
    let mut steps = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..12 {
        steps.tick().await;
        drop(slow.write(b" ").await);
    }
    let cut = slow.answer(false).await.unwrap().whole().await;
    assert_eq!((cut.status, &*cut.code()), (408, "SIZE_INVALID"));
    assert!(cut.text().contains("must come in within 300ms"), "{}", cut.text());
}

#[tokio::test]
async fn a_closing_put_whose_answer_was_lost_is_repeated() {
    let (mut wharf, blob) = (alone().await, Content::seeded(1, 1000));
    let location = wharf.begin(APP).await;
    let target = closing(&location, blob.digest());
    for body in [&blob.all()[..], &blob.all(), b""] {
        let created = wharf.close(&location, blob.digest(), body).await;
        assert_eq!(created.status, 201, "{}", created.text());
        assert_eq!(created.header("location"), Some(&*blob_path(APP, &blob)));
        assert_eq!(created.header("docker-content-digest"), Some(blob.digest()));
    }
    for unknown in [
        closing(&location, &sha256(b"another")),
        target.replace(APP, "team/other"),
        closing(&location.replace('-', ""), blob.digest()),
    ] {
        let refused = wharf.sends("PUT", &unknown, &[("Content-Length", "0")], b"").await;
        assert_eq!((refused.status, &*refused.code()), (404, "BLOB_UPLOAD_UNKNOWN"));
    }
    wharf.kill();
    wharf.reconfigure(&Setup::new().table("access", "anonymous = [\"push\"]"));
    wharf.restart().await;
    let refused = wharf.close(&location, blob.digest(), b"").await;
    assert_eq!(refused.status, 404, "who may not pull learns nothing");
}

#[tokio::test]
async fn a_manifest_of_two_types_is_of_none() {
    let (wharf, image) = (alone().await, Image::oci(1, &[10]));
    wharf.push_image(APP, "v1", &image).await;
    for second in [OCI_INDEX, OCI_MANIFEST] {
        let headers = [("Content-Type", OCI_MANIFEST), ("Content-Type", second)];
        let target = manifest_path(APP, "v2");
        let refused = wharf.sends("PUT", &target, &headers, &image.manifest.all()).await;
        assert_eq!((refused.status, &*refused.code()), (400, "MANIFEST_INVALID"));
    }
    assert!(!wharf.has_manifest(APP, "v2").await);
}

#[tokio::test]
async fn an_http_1_0_client_pushes() {
    let (wharf, blob) = (alone().await, Content::seeded(2, 1000));
    let send = async |method: &str, target: &str, body: &[u8]| {
        let head = format!("{method} {target} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut client = wharf.connect().await;
        client.write(&[head.as_bytes(), body].concat()).await.unwrap();
        let answer = client.answer(false).await.unwrap();
        assert_eq!(answer.version, "HTTP/1.0");
        answer.whole().await
    };
    let begun = send("POST", &format!("/v2/{APP}/blobs/uploads/"), b"").await;
    assert_eq!(begun.status, 202);
    let location = begun.header("location").unwrap();
    assert_eq!(send("PATCH", location, &blob.bytes(0..600)).await.status, 202);
    let created = send("PUT", &closing(location, blob.digest()), &blob.bytes(600..1000)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    wharf.has_exactly(APP, &blob).await;
    assert_eq!(send("PUT", &manifest_path(APP, "v1"), &padded(100)).await.status, 201);
}

/// What lies between two requests would be read as the second one.
#[tokio::test]
async fn no_framing_of_a_body_leads_the_next_request_astray() {
    let wharf = alone().await;
    let location = wharf.begin(APP).await;
    let (hello, end) = ("5;name=\"a;b\"\r\nhello\r\n", "0\r\nX-Digest: x\r\nX-More: y\r\n\r\n");
    let ping = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    let request = |headers: &str| {
        let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{headers}\r\n");
        format!("{head}{hello}{end}{ping}").into_bytes()
    };
    let trailed = asks(wharf.connect().await, &request("Trailer: X-Digest\r\n")).await;
    assert_eq!((trailed.status, trailed.header("range")), (202, Some("0-4")));
    let next = asks(trailed.into_client(), b"").await;
    assert_eq!(next.status, 200, "the request behind it");

    // Two lengths are how requests are smuggled (RFC 9112 section 6.3): nothing behind them is believed.
    let both = asks(wharf.connect().await, &request("Content-Length: 3\r\n")).await;
    assert_eq!(both.header("connection"), Some("close"));
    assert!(both.into_client().answer(false).await.is_err(), "no second answer");
    let created = wharf.close(&location, &sha256(b"hellohello"), b"").await;
    assert_eq!(created.status, 201, "{}", created.text());
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal_whose_body_was_read() {
    let wharf = alone().await;
    let location = wharf.begin(APP).await;
    let put = |target: &str, body: &str| {
        let length = body.len();
        format!("PUT {target} HTTP/1.1\r\nHost: x\r\nExpect: odd\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    };
    let mut client = wharf.connect().await;
    for (request, expected) in [
        (put(&closing(&location, &sha256(b"other")), "hello"), 400),
        (put(&manifest_path(APP, "v1"), "{}"), 400),
        (put(&closing(&location, &sha256(b"other")), ""), 404),
        (
            put(&manifest_path(APP, "v1"), &String::from_utf8(padded(100)).unwrap()),
            201,
        ),
    ] {
        let answer = asks(client, &request).await;
        assert_eq!((answer.status, answer.header("connection")), (expected, None));
        client = answer.into_client();
    }
}

/// A loopback address is open because only this machine reaches it, which is not so behind a proxy.
#[tokio::test]
async fn who_comes_through_a_proxy_may_only_pull_until_that_is_configured() {
    let (mut wharf, image) = (alone().await, Image::oci(3, &[10]));
    wharf.push_image(APP, "v1", &image).await;
    let (manifest, uploads) = (manifest_path(APP, "v1"), format!("/v2/{APP}/blobs/uploads/"));
    let proxied = [
        ("Forwarded", "for=192.0.2.1"),
        ("Via", "1.1 nginx"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "registry.example"),
        ("X-Real-IP", "192.0.2.1"),
    ];
    for header in proxied {
        for (method, target) in [("POST", &uploads), ("DELETE", &manifest), ("PUT", &manifest)] {
            let refused = wharf
                .sends(method, target, &[header, ("Content-Length", "0")], b"")
                .await;
            assert_eq!(
                (refused.status, &*refused.code()),
                (403, "DENIED"),
                "{method} {header:?}"
            );
            assert!(refused.text().contains("access.anonymous"), "{}", refused.text());
        }
        let pulled = wharf.send("GET", &manifest, &[header]).await;
        assert_eq!(pulled.status, 200);
    }
    wharf.kill();
    wharf.reconfigure(&Setup::new().table("access", "anonymous = [\"pull\", \"push\"]"));
    wharf.restart().await;
    let begun = wharf
        .sends("POST", &uploads, &[proxied[2], ("Content-Length", "0")], b"")
        .await;
    assert_eq!(begun.status, 202, "{}", begun.text());
}

#[tokio::test]
async fn ns_means_nothing_on_a_write() {
    let (wharf, image) = (alone().await, Image::oci(3, &[10]));
    for ns in ["ns=docker.io", "ns=unknown.example", "ns=a&ns=b"] {
        for blob in &image.blobs {
            let location = wharf.begin_with(APP, &format!("?{ns}")).await;
            let target = format!("{}&{ns}", closing(&location, blob.digest()));
            assert_eq!(wharf.sends("PUT", &target, &[], &blob.all()).await.status, 201, "{ns}");
        }
        let target = format!("{}?{ns}", manifest_path(APP, "v1"));
        let pushed = wharf.put_manifest(&target, OCI_MANIFEST, &image.manifest.all()).await;
        assert_eq!((pushed.status, pushed.header("oci-namespace")), (201, None), "{ns}");
        assert_eq!(wharf.delete(&target).await.status, 202, "{ns}");
    }
}

#[tokio::test]
async fn nothing_is_pushed_under_a_name_that_is_none_or_lives_nowhere() {
    let wharf = Setup::new().table("hosted", "namespaces = [\"team/*\"]").start().await;
    let long = "a".repeat(300);
    for (name, expected) in [
        ("Team/app", (400, "NAME_INVALID")),
        ("team//app", (400, "NAME_INVALID")),
        ("/team", (400, "NAME_INVALID")),
        ("team%2Fapp", (400, "NAME_INVALID")),
        ("team/%2e%2e/app", (400, "NAME_INVALID")),
        (&*long, (400, "NAME_INVALID")),
        ("other/app", (404, "NAME_UNKNOWN")),
        ("registry.example/app", (404, "NAME_UNKNOWN")),
        ("docker.io", (404, "NAME_UNKNOWN")),
        ("docker.io/app", (405, "UNSUPPORTED")),
    ] {
        for (method, rest) in [
            ("POST", "blobs/uploads/"),
            ("PUT", "manifests/v1"),
            ("DELETE", "manifests/v1"),
        ] {
            let target = format!("/v2/{name}/{rest}");
            let refused = wharf.sends(method, &target, &[("Content-Length", "0")], b"").await;
            assert_eq!((refused.status, &*refused.code()), expected, "{method} {target}");
            assert_eq!(refused.header("docker-distribution-api-version"), Some("registry/2.0"));
        }
    }
    assert!(wharf.upload_files().is_empty());
    wharf.begin(APP).await;
}

/// Parameters that say nothing, or more than one thing.
#[tokio::test]
async fn what_an_odd_query_means_is_what_its_first_value_says() {
    let (wharf, blob) = (alone().await, Content::seeded(4, MIB));
    wharf.push_blob("team/base", &blob).await;
    let post = async |name: &str, query: &str| {
        let target = format!("/v2/{name}/blobs/uploads/{query}");
        wharf.sends("POST", &target, &[("Content-Length", "0")], b"").await
    };
    let (digest, other) = (blob.digest(), sha256(b"other"));
    for (number, (query, expected)) in [
        (format!("?mount={digest}&from="), 201),
        (format!("?mount={digest}&from=team/base&from=team/none"), 201),
        (format!("?mount={digest}&mount={other}&from=team/base"), 201),
        (format!("?mount=&from=team/base&digest={digest}"), 202),
        (format!("?mount={other}&digest={digest}"), 202),
        ("?digest=&mount=&digest-algorithm=".to_owned(), 202),
        ("?digest-algorithm=SHA512".to_owned(), 400),
        (format!("?digest={}", digest.to_uppercase()), 400),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = post(&format!("team/r{number}"), &query).await;
        assert_eq!(answer.status, expected, "{query}: {}", answer.text());
    }
    let location = wharf.begin(APP).await;
    let target = format!("{}&digest={other}", closing(&location, digest));
    assert_eq!(wharf.sends("PUT", &target, &[], &blob.all()).await.status, 201);
}

#[tokio::test]
async fn the_log_does_not_repeat_a_session_that_is_none() {
    let wharf = alone().await;
    let long = format!("/v2/a/b/blobs/uploads/{}%0A", "x".repeat(8000));
    assert_eq!(wharf.get(&long).await.status, 404);
    wharf.says("x".repeat(200).as_str()).await;
    assert!(!wharf.log().contains("x".repeat(400).as_str()));
}

#[tokio::test]
async fn a_push_that_runs_at_sigterm_may_end_and_goes_on_later_where_it_was_cut() {
    let setup = |drain: &str| Setup::new().server("drain", drain);
    let (mut wharf, blob) = (setup("\"50ms\"").start().await, Content::seeded(5, 2 * MIB));
    let location = wharf.begin(APP).await;
    let target = closing(&location, blob.digest());
    let length = blob.len().to_string();
    let headers = [("Content-Length", length.as_str())];
    let _cut = wharf.begins("PUT", &target, &headers, &blob.bytes(0..MIB)).await;
    wharf.reaches(&location, MIB).await;
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    wharf.reconfigure(&setup("\"25s\""));
    wharf.restart().await;
    assert_eq!(wharf.reached(&location).await, format!("0-{}", MIB - 1));

    let length = MIB.to_string();
    let headers = [("Content-Length", length.as_str()), ("Expect", "100-continue")];
    let mut ending = wharf.begins("PUT", &target, &headers, b"").await;
    ending.says(GO_ON).await;
    wharf.signal_term();
    wharf.says("running responses may end").await;
    ending.write(&blob.bytes(MIB..blob.len())).await.unwrap();
    assert_eq!(ending.answer(false).await.unwrap().status, 201);
    assert!(wharf.ends().await.success());
    wharf.restart().await;
    wharf.has_exactly(APP, &blob).await;
}
