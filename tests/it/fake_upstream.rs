//! The fake upstream tested against itself: a lie here would make every other test worthless.

use std::time::Duration;

use crate::support::client::{Client, Ended};
use crate::support::gateway::{Gateway, Speaks};
use crate::support::image::{Content, Image, MIB};
use crate::support::leaks;
use crate::support::proxy::Proxy;
use crate::support::quiet;
use crate::support::registry::Door;
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;

fn blob() -> Content {
    Content::seeded(1, MIB + 17)
}

fn path(blob: &Content) -> String {
    format!("/v2/a/b/blobs/{}", blob.digest())
}

async fn open(upstream: &Upstream, path: &str) -> crate::support::client::Response {
    Client::bare(upstream.address()).await.get(path).await
}

#[test]
fn content_is_the_same_from_every_offset() {
    let blob = blob();
    let all = blob.all();
    assert_eq!(blob.bytes(3..1000), all[3..1000]);
    assert_eq!(blob.bytes(12345..12346), all[12345..12346]);
    assert_eq!(crate::support::image::sha256(&all), blob.digest());
}

#[tokio::test]
async fn every_byte_sent_is_counted_and_true() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    let (length, digest, ended) = open(&upstream, &path(&blob)).await.hashed().await;
    assert_eq!(
        (length, digest.as_str(), ended),
        (blob.len(), blob.digest(), Ended::Clean)
    );
    let range = Client::bare(upstream.address())
        .await
        .send("GET", &path(&blob), &[("Range", "bytes=5-9")])
        .await;
    assert_eq!(range.status, 206);
    assert_eq!(range.whole().await.body, blob.bytes(5..10));
    assert_eq!(upstream.sent(&On::blobs()), blob.len() + 5);
    assert_eq!(upstream.count(&On::blobs().ranged(true)), 1);
}

#[tokio::test]
async fn a_reset_arrives_as_a_reset_after_exactly_the_scripted_bytes() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    for (how, ended) in [(How::Rst, Ended::Reset), (How::Fin, Ended::Short)] {
        upstream.script(On::blobs().times(1), [Act::Cut(700_000, how)]);
        let (bytes, end) = open(&upstream, &path(&blob)).await.rest().await;
        assert_eq!((bytes.len(), end), (700_000, ended));
    }
    let whole = open(&upstream, &path(&blob)).await.whole().await;
    assert_eq!(
        whole.ended,
        Ended::Clean,
        "a script for one request must not touch the next"
    );
}

#[tokio::test]
async fn a_gate_lets_every_byte_out_and_withholds_the_end() {
    let (upstream, blob, gate) = (Upstream::start(), blob(), Gate::at(100));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::Chunked, Act::Hold(gate.clone())]);
    let mut body = open(&upstream, &path(&blob)).await;
    assert!(body.is_chunked());
    body.exactly(100).await;
    assert!(quiet(Duration::from_millis(50), body.some(1)).await);
    gate.raise(blob.len());
    body.exactly(blob.len() - 100).await;
    assert!(
        quiet(Duration::from_millis(50), body.some(1)).await,
        "the end must wait"
    );
    gate.open();
    assert_eq!(body.rest().await.1, Ended::Clean);
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::CloseDelimited, Act::Cut(1000, How::Fin)]);
    let answer = open(&upstream, &path(&blob)).await;
    assert_eq!((answer.version.as_str(), answer.length()), ("HTTP/1.0", None));
    assert_eq!(answer.whole().await.body.len(), 1000);
}

#[tokio::test]
async fn lies_are_told_as_scripted() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    let bent = async |acts: Vec<Act>| {
        upstream.script(On::blobs(), acts);
        open(&upstream, &path(&blob)).await.whole().await
    };
    let corrupt = bent(vec![Act::Corrupt(9)]).await.body;
    assert_eq!(
        corrupt
            .iter()
            .zip(blob.all())
            .filter(|(said, truth)| **said != *truth)
            .count(),
        1
    );
    assert_eq!(bent(vec![Act::Shorten(7)]).await.header("content-length"), Some("7"));
    assert_eq!(bent(vec![Act::Lengthen(2)]).await.body.len() as u64, blob.len() + 2);
    assert_eq!(bent(vec![Act::Html]).await.header("content-type"), Some("text/html"));
    assert_eq!(
        bent(vec![Act::Status(429), Act::Header("retry-after", "7".into())])
            .await
            .header("retry-after"),
        Some("7")
    );
    assert_eq!(
        bent(vec![Act::Without("docker-content-digest")])
            .await
            .header("docker-content-digest"),
        None
    );
    let redirect = bent(vec![Act::Redirect(307, "http://cdn/{digest}?sig={n}".into())]).await;
    assert_eq!(
        redirect.header("location"),
        Some(format!("http://cdn/{}?sig=7", blob.digest()).as_str())
    );
}

#[tokio::test]
async fn tokens_open_only_what_each_registry_would_open() {
    for (door, status) in [(Door::Bearer, 404), (Door::Hub, 401), (Door::Ghcr, 401)] {
        let (upstream, image) = (Upstream::with_door(door), Image::oci(1, &[10]));
        upstream.put_image("a/b", "v1", &image);
        let challenge = open(&upstream, "/v2/a/b/manifests/v1").await.whole().await;
        assert_eq!(challenge.status, 401);
        assert!(
            challenge
                .header("www-authenticate")
                .unwrap()
                .contains("repository:a/b:pull")
        );
        for (name, status) in [("a/b", 200), ("no/body", status)] {
            let token = open(&upstream, &format!("/token?scope=repository%3A{name}%3Apull"))
                .await
                .whole()
                .await;
            let refused = door == Door::Ghcr && name == "no/body";
            assert_eq!(token.status, if refused { 403 } else { 200 });
            let token: serde_json::Value = serde_json::from_slice(&token.body).unwrap();
            let bearer = format!("Bearer {}", token["token"].as_str().unwrap_or_default());
            let client = Client::bare(upstream.address()).await;
            let target = format!("/v2/{name}/manifests/v1");
            assert_eq!(
                client.send("GET", &target, &[("Authorization", &bearer)]).await.status,
                status
            );
        }
    }
}

#[tokio::test]
async fn a_cdn_rejects_authorization_and_expired_signatures() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    leaks::secret("strangers-token", [upstream.address().port()]);
    let target = format!("/cdn/{}?sig=1", blob.digest());
    let client = Client::bare(upstream.address()).await;
    assert_eq!(
        client
            .send("GET", &target, &[("Authorization", "Bearer strangers-token")])
            .await
            .status,
        400
    );
    assert_eq!(open(&upstream, &target).await.whole().await.status, 200);
    upstream.holds(crate::support::registry::Registry::expire_signatures);
    assert_eq!(open(&upstream, &target).await.status, 403);
}

#[tokio::test]
async fn a_stopped_upstream_refuses_and_comes_back_on_its_port() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    upstream.stop().await;
    assert!(tokio::net::TcpStream::connect(upstream.address()).await.is_err());
    upstream.resume().await;
    assert_eq!(open(&upstream, &path(&blob)).await.status, 200);
}

#[tokio::test]
async fn the_proxy_cuts_where_it_says() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    let proxy = Proxy::start(upstream.address(), How::Rst, &[1000]).await;
    let address = proxy.url().trim_start_matches("http://").parse().unwrap();
    let (bytes, ended) = Client::bare(address).await.get(&path(&blob)).await.rest().await;
    assert!(bytes.len() < 1000 && ended == Ended::Reset, "{} {ended:?}", bytes.len());
    let whole = Client::bare(address).await.get(&path(&blob)).await.whole().await;
    assert_eq!(whole.ended, Ended::Clean);
    assert!(proxy.passed() > blob.len());
}

/// What would come of a wharf that handed on what it is told.
async fn told(headers: &[(&str, &str)], target: &str) {
    let upstream = Upstream::with_door(Door::Bearer);
    let client = Client::bare(upstream.address()).await;
    client.send("GET", target, headers).await;
}

#[tokio::test]
#[should_panic(expected = "must not have seen")]
async fn a_clients_credentials_are_found_out() {
    told(&[leaks::PRESENTED[0]], "/v2/").await;
}

#[tokio::test]
#[should_panic(expected = "must not have seen")]
async fn a_clients_credentials_are_found_out_by_any_name() {
    let (_, value) = leaks::PRESENTED[1];
    told(&[("X-Forwarded-Cookie", value)], "/v2/").await;
}

#[tokio::test]
#[should_panic(expected = "must not have seen")]
async fn another_registrys_token_is_found_out() {
    let other = Upstream::with_door(Door::Bearer);
    let token = open(&other, "/token?scope=repository%3Aa%2Fb%3Apull")
        .await
        .whole()
        .await;
    let token: serde_json::Value = serde_json::from_slice(&token.body).unwrap();
    told(&[], &format!("/v2/?token={}", token["token"].as_str().unwrap())).await;
}

#[tokio::test]
#[should_panic(expected = "must not have seen")]
async fn another_registrys_login_is_found_out() {
    leaks::login("somebody", "somebodys-password", &[1]);
    told(
        &[("Authorization", "Basic c29tZWJvZHk6c29tZWJvZHlzLXBhc3N3b3Jk")],
        "/v2/",
    )
    .await;
}

#[tokio::test]
#[should_panic(expected = "not for the proxy")]
async fn what_a_proxy_is_told_is_found_out() {
    let upstream = Upstream::start();
    let gateway = Gateway::open(Speaks::Http, upstream.address()).await;
    let client = Client::bare(gateway.address()).await;
    client.send("CONNECT", "any:1", &[("Cookie", "any")]).await;
}

#[test]
fn what_a_log_tells_is_found_out() {
    leaks::secret("a-secret-in-a-log==", [1]);
    let log = "nothing\nasked with \"Basic a-secret-in-a-log==\"\nnothing";
    assert_eq!(leaks::told(log).len(), 1);
}
