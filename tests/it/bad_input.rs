//! Malformed everything: an OCI error with the right code or a closed connection; never a 5xx, never a panic, no flood of log.

use crate::support::client::{Client, Ended};
use crate::support::image::{Content, Image};
use crate::support::script::On;
use crate::support::soon;
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;

async fn harbour() -> (Upstream, Wharf) {
    let upstream = Upstream::start();
    upstream.put_image("a/b", "v1", &Image::oci(1, &[10]));
    let wharf = Wharf::of(&upstream).await;
    (upstream, wharf)
}

/// Alive, without a panic, and the log is not flooded by `requests` bad ones.
async fn assert_unharmed(wharf: &Wharf, requests: usize) {
    assert_eq!(wharf.get("/v2/hub/a/b/manifests/v1").await.status, 200);
    let log = wharf.log();
    assert!(!log.contains("panicked"), "{log}");
    let lines = log.lines().count();
    assert!(lines <= requests * 2 + 40, "{lines} lines for {requests} requests");
}

fn malformed() -> Vec<(String, &'static str)> {
    let (hex, long) = ("a".repeat(64), "x".repeat(300));
    let upper = hex.to_uppercase();
    let name = "404 NAME_INVALID";
    let tag = "404 MANIFEST_UNKNOWN|MANIFEST_INVALID|TAG_INVALID";
    let digest = "400|404 DIGEST_INVALID|MANIFEST_UNKNOWN";
    let names = [
        "A",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a._b",
        "a//b",
        "/a",
        "hub/../etc",
        "hub/%2e%2e/etc",
    ];
    let mut cases: Vec<_> = names.iter().map(|bad| (format!("{bad}/manifests/v1"), name)).collect();
    for bad in ["a%2Fb", "a%00b", "a%ffb", "a%zzb", "a%", &long] {
        cases.push((format!("hub/{bad}/manifests/v1"), "400|404 NAME_INVALID"));
    }
    cases.extend([".invalid", &"t".repeat(129)].map(|bad| (format!("hub/a/b/manifests/{bad}"), tag)));
    let digests = [
        "sha256:short".to_owned(),
        format!("sha256:{upper}"),
        format!("md5:{hex}"),
        format!("sha256:{hex}0"),
    ];
    for bad in &digests {
        cases.push((format!("hub/a/b/manifests/{bad}"), digest));
        cases.push((format!("hub/a/b/blobs/{bad}"), "400 DIGEST_INVALID"));
    }
    for bad in [hex.as_str(), "latest", "%20"] {
        cases.push((format!("hub/a/b/blobs/{bad}"), "400 DIGEST_INVALID"));
    }
    cases.push((
        "hub/a/b/blobs/".to_owned(),
        "400|404 DIGEST_INVALID|NAME_UNKNOWN|UNSUPPORTED",
    ));
    cases.push((
        "hub/a/b/manifests/".to_owned(),
        "404 MANIFEST_UNKNOWN|MANIFEST_INVALID|NAME_UNKNOWN|UNSUPPORTED",
    ));
    cases
}

#[tokio::test]
async fn a_malformed_reference_is_an_oci_error_with_the_right_code_and_asks_nobody() {
    let (upstream, wharf) = harbour().await;
    let cases = malformed();
    for (rest, expected) in &cases {
        let target = format!("/v2/{rest}");
        let answer = wharf.get(&target).await;
        let (statuses, codes) = expected.split_once(' ').unwrap();
        let told = format!("{target}: {} {}", answer.status, answer.text());
        assert!(statuses.contains(&answer.status.to_string()), "{told}");
        assert!(codes.split('|').any(|code| code == answer.code()), "{told}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{told}");
        let head = wharf.head(&target).await;
        assert_eq!((head.status, head.body.len()), (answer.status, 0), "HEAD {target}");
    }
    assert_eq!(upstream.count(&On::any()), 0, "{}", upstream.story());
    assert_unharmed(&wharf, cases.len() * 2).await;
}

#[tokio::test]
async fn an_unknown_route_is_a_404_and_a_wrong_method_a_405() {
    let (_upstream, wharf) = harbour().await;
    for target in [
        "/",
        "/v1/",
        "/v2/hub",
        "/v2/hub/a/b",
        "/v2/hub/a/b/nothing/x",
        "/favicon.ico",
        "/v3/x/manifests/y",
    ] {
        let answer = wharf.get(target).await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.text());
    }
    for method in ["TRACE", "OPTIONS", "PATCH", "BREW", "get"] {
        let answer = wharf.send(method, "/v2/hub/a/b/manifests/v1", &[]).await.whole().await;
        assert!(matches!(answer.status, 400 | 405 | 501), "{method}: {}", answer.status);
        if answer.status == 405 {
            assert!(
                answer.header("allow").is_some_and(|allow| allow.contains("GET")),
                "{method}"
            );
        }
    }
    assert_unharmed(&wharf, 12).await;
}

/// Writes these bytes; the answer's status, or how the connection ended instead.
async fn raw(wharf: &Wharf, bytes: &[u8]) -> Result<u16, Ended> {
    let mut client = wharf.connect().await;
    // It may be refused before all of it is written.
    drop(client.write(bytes).await);
    client.answer(false).await.map(|answer| answer.status)
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let (_upstream, wharf) = harbour().await;
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let many = "X-Many: y\r\n".repeat(200);
    for request in [
        get(&format!("/v2/?{}", "x".repeat(9 * 1024)), ""),
        get(&format!("/v2/{}", "x/".repeat(100_000)), ""),
        get("/v2/", &format!("X-Long: {}\r\n", "x".repeat(70 * 1024))),
        get("/v2/", &many),
    ] {
        let answer = raw(&wharf, request.as_bytes()).await;
        let refused = matches!(answer, Ok(400 | 404 | 414 | 431) | Err(_));
        assert!(refused, "{answer:?} for {}…", &request[..60]);
    }
    assert_unharmed(&wharf, 4).await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let (_upstream, wharf) = harbour().await;
    for garbage in [
        b"\r\n\r\n\r\n\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello \r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        &vec![0xff; 100_000],
    ] {
        let mut client = wharf.connect().await;
        drop(client.write(garbage).await);
        drop(client.write(b"\r\n\r\n").await);
        let answer = client.answer(false).await.map(|answer| answer.status);
        assert!(
            matches!(answer, Ok(400..500 | 505) | Err(_)),
            "{answer:?} for {:?}",
            &garbage[..garbage.len().min(40)]
        );
    }
    assert_unharmed(&wharf, 11).await;
}

#[tokio::test]
async fn odd_queries_bodies_and_headers_are_harmless() {
    let (_upstream, wharf) = harbour().await;
    for query in ["?", "?%", "?ns", "?a=b&a=c&&&=", "?x=%ff%00", "?digest=sha256:x"] {
        let answer = wharf.get(&format!("/v2/hub/a/b/manifests/v1{query}")).await;
        assert!(matches!(answer.status, 200 | 400 | 404), "{query}: {}", answer.status);
    }
    let body = b"GET /v2/hub/a/b/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(raw(&wharf, body).await, Ok(200));
    for header in [
        "Range: \u{fffd}",
        "If-None-Match: \"",
        "Host: [",
        "Accept: ;;;q=x",
        "Authorization: ???",
        "X-Request-Id: \u{7f}\u{7f}",
    ] {
        let request = format!("GET /v2/hub/a/b/manifests/v1 HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n");
        let answer = raw(&wharf, request.as_bytes()).await;
        assert!(matches!(answer, Ok(200 | 400..500) | Err(_)), "{header}: {answer:?}");
    }
    assert_unharmed(&wharf, 13).await;
}

const WORDS: [&str; 34] = [
    "v2",
    "hub",
    "a",
    "b",
    "manifests",
    "blobs",
    "uploads",
    "tags",
    "list",
    "referrers",
    "_catalog",
    "v1",
    "",
    ".",
    "..",
    "%2f",
    "%00",
    "%",
    "%e2%82",
    "sha256:",
    "sha256:0",
    "@",
    ":",
    "?",
    "ns=",
    "&",
    "=",
    "docker.io",
    "A",
    "~",
    "*",
    ";",
    "+",
    "!",
];

#[tokio::test]
async fn a_thousand_random_targets_are_never_a_5xx() {
    let (_upstream, wharf) = harbour().await;
    let dice = Content::seeded(42, 16_000).all();
    let mut client = wharf.connect().await;
    for throw in dice.chunks(16) {
        let length = 2 + usize::from(throw[0] % 7);
        let parts = throw[1..=length]
            .iter()
            .map(|die| WORDS[usize::from(*die) % WORDS.len()]);
        let target = format!(
            "/v2/{}",
            parts
                .collect::<Vec<_>>()
                .join(if throw[15] % 4 == 0 { "" } else { "/" })
        );
        let mut answer = client.send("GET", &target, &[]).await;
        assert!(answer.status < 500, "{target}: {}", answer.status);
        let (_, ended) = answer.rest().await;
        assert_eq!(ended, Ended::Clean, "{target}");
        client = if answer.header("connection") == Some("close") {
            wharf.connect().await
        } else {
            answer.into_client()
        };
    }
    assert_unharmed(&wharf, 1000).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_within_ten_seconds_ends_its_connection() {
    let (_upstream, wharf) = harbour().await;
    let mut slow = Vec::new();
    for start in ["", "GET /v2/ HT", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: b"] {
        let mut client = Client::connect(wharf.address()).await;
        client.write(start.as_bytes()).await.unwrap();
        slow.push(client);
    }
    for client in slow {
        let answer = soon("the slow one to be cut", client.answer(false)).await;
        assert!(
            matches!(answer.as_ref().map(|answer| answer.status), Ok(408 | 400) | Err(_)),
            "{answer:?}"
        );
    }
    assert_unharmed(&wharf, 3).await;
}
