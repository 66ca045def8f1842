//! P1 and P2: a blob is fetched once however many ask, and streamed while it arrives.

use crate::support::client::{Ended, Response};
use crate::support::image::{Content, Image, KIB, MIB, sha512};
use crate::support::registry::Door;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

/// An upstream that holds one blob in `a/b`, and a wharf before it.
async fn harbour(blob: &Content) -> (Upstream, Wharf) {
    let upstream = Upstream::start();
    upstream.put_blob("a/b", blob);
    let wharf = Wharf::of(&upstream).await;
    (upstream, wharf)
}

async fn open_many(wharf: &Wharf, target: &str, count: usize) -> Vec<Response> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = wharf.connect().await;
        client.ask("GET", target, &[]).await;
        clients.push(client);
    }
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.answer(false).await.unwrap());
    }
    answers
}

async fn assert_whole(mut answer: Response, blob: &Content) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.hashed().await, blob.whole());
}

#[tokio::test]
async fn a_herd_of_64_costs_the_upstream_one_get_and_one_token() {
    let (upstream, blob, gate) = (
        Upstream::with_door(Door::Bearer),
        Content::seeded(1, 8 * MIB),
        Gate::at(MIB),
    );
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let wharf = Wharf::of(&upstream).await;

    let mut herd = open_many(&wharf, &blob_path("hub/a/b", &blob), 64).await;
    for answer in &mut herd {
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.exactly(KIB).await,
            blob.bytes(0..KIB),
            "nobody waits in line with zero bytes"
        );
    }
    gate.open();
    for answer in &mut herd {
        assert_eq!(answer.rest().await, (blob.bytes(KIB..blob.len()), Ended::Clean));
    }
    let granted = upstream
        .seen(&On::blobs().get())
        .iter()
        .filter(|seen| seen.status() == 200)
        .count();
    assert_eq!(granted, 1, "{}", upstream.story());
    assert_eq!(upstream.count(&On::tokens()), 1, "{}", upstream.story());
    assert_eq!(
        upstream
            .seen(&On::blobs())
            .iter()
            .filter(|seen| seen.status() == 200)
            .map(|seen| seen.sent())
            .sum::<u64>(),
        blob.len()
    );
}

#[tokio::test]
async fn two_repository_names_of_one_mirror_share_one_fetch() {
    let (upstream, image, gate) = (Upstream::start(), Image::oci(1, &[4 * MIB]), Gate::at(MIB));
    for name in ["a/b", "c/d"] {
        upstream.put_image(name, "v1", &image);
    }
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let wharf = Wharf::of(&upstream).await;
    for name in ["hub/a/b", "hub/c/d"] {
        assert_eq!(wharf.get(&manifest_path(name, "v1")).await.status, 200);
    }
    let blob = image.layer(0);
    let mut first = open_many(&wharf, &blob_path("hub/a/b", blob), 4).await;
    let second = open_many(&wharf, &blob_path("hub/c/d", blob), 4).await;
    gate.open();
    first.extend(second);
    for answer in first {
        assert_whole(answer, blob).await;
    }
    assert_eq!(upstream.count(&On::blobs().get()), 1, "{}", upstream.story());
    assert_eq!(upstream.sent(&On::blobs()), blob.len());
    assert_eq!(
        upstream.count(&On::manifests().get()),
        1,
        "one GET per digest: {}",
        upstream.story()
    );
    assert_eq!(
        upstream.count(&On::manifests().head().of("v1")),
        2,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn a_late_joiner_gets_what_is_there_at_once_and_then_follows() {
    let (blob, gate) = (Content::seeded(1, 8 * MIB), Gate::at(3 * MIB));
    let (upstream, wharf) = harbour(&blob).await;
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let target = blob_path("hub/a/b", &blob);
    let mut first = wharf.open(&target).await;
    assert_eq!(first.exactly(3 * MIB).await, blob.bytes(0..3 * MIB));

    let mut late = wharf.open(&target).await;
    assert_eq!(late.exactly(3 * MIB).await, blob.bytes(0..3 * MIB));
    assert!(
        late.header("cache-status")
            .is_some_and(|status| status.contains("collapsed")),
        "{late:?}"
    );
    gate.open();
    for mut answer in [first, late] {
        assert_eq!(answer.rest().await, (blob.bytes(3 * MIB..blob.len()), Ended::Clean));
    }
    assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
    assert_eq!(upstream.sent(&On::blobs()), blob.len());
}

#[tokio::test]
async fn the_first_byte_leaves_before_the_upstreams_second() {
    let (blob, gate) = (Content::seeded(1, MIB), Gate::at(1));
    let (upstream, wharf) = harbour(&blob).await;
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    assert_eq!(answer.length(), Some(blob.len()));
    assert_eq!(answer.exactly(1).await, blob.bytes(0..1));
    gate.open();
    assert_eq!(answer.rest().await, (blob.bytes(1..blob.len()), Ended::Clean));
}

#[tokio::test]
async fn head_of_a_cold_blob_is_one_head_upstream_and_never_a_download() {
    let blob = Content::seeded(1, MIB);
    let (upstream, wharf) = harbour(&blob).await;
    let answer = wharf.head(&blob_path("hub/a/b", &blob)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some(blob.len().to_string().as_str()));
    assert_eq!(answer.header("docker-content-digest"), Some(blob.digest()));
    assert!(answer.body.is_empty());
    assert_eq!(upstream.count(&On::blobs().head()), 1, "{}", upstream.story());
    assert_eq!(upstream.count(&On::any()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn head_of_a_blob_on_its_way_is_answered_by_its_flight() {
    let (blob, gate) = (Content::seeded(1, 2 * MIB), Gate::at(MIB));
    let (upstream, wharf) = harbour(&blob).await;
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let target = blob_path("hub/a/b", &blob);
    let mut answer = wharf.open(&target).await;
    answer.exactly(KIB).await;
    let head = wharf.send("HEAD", &target, &[]).await;
    assert_eq!((head.status, head.length()), (200, Some(blob.len())));
    gate.open();
    assert_eq!(answer.rest().await.1, Ended::Clean);
    assert_eq!(upstream.count(&On::any()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn a_manifest_request_never_fetches_a_layer() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[MIB, MIB]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    for _ in 0..2 {
        assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
        assert_eq!(wharf.head(&manifest_path("hub/a/b", "v1")).await.status, 200);
    }
    assert_eq!(upstream.count(&On::blobs()), 0, "{}", upstream.story());
}

#[tokio::test]
async fn a_stored_blob_is_served_without_asking_anybody() {
    let blob = Content::seeded(1, 2 * MIB);
    let (upstream, wharf) = harbour(&blob).await;
    let target = blob_path("hub/a/b", &blob);
    let miss = wharf.open(&target).await;
    assert_eq!(miss.header("cache-status"), Some("wharf; fwd=uri-miss; stored"));
    assert_whole(miss, &blob).await;
    wharf.landed(&target).await;
    let hit = wharf.open(&target).await;
    assert_eq!(hit.header("cache-status"), Some("wharf; hit"));
    assert_eq!(hit.header("content-type"), Some("application/octet-stream"));
    assert_eq!(hit.header("etag"), Some(format!("\"{}\"", blob.digest()).as_str()));
    assert_eq!(hit.header("accept-ranges"), Some("bytes"));
    assert_whole(hit, &blob).await;
    assert_eq!(upstream.count(&On::any()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let blob = Content::seeded(1, MIB);
    let (upstream, wharf) = harbour(&blob).await;
    let target = blob_path("hub/a/b", &blob);
    let mut client = wharf.connect().await;
    for method in ["GET", "HEAD", "GET"] {
        let mut answer = client.send(method, &target, &[]).await;
        let (bytes, ended) = answer.rest().await;
        assert_eq!(ended, Ended::Clean);
        assert_eq!(bytes.len() as u64, if method == "HEAD" { 0 } else { blob.len() });
        client = answer.into_client();
    }
    assert_eq!(upstream.count(&On::blobs().get()), 1);
}

#[tokio::test]
async fn an_empty_blob_and_a_blob_of_one_byte_are_blobs() {
    let (upstream, wharf) = harbour(&Content::of("")).await;
    for blob in [Content::of(""), Content::of("x")] {
        upstream.put_blob("a/b", &blob);
        for _ in 0..2 {
            let answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
            assert_eq!(answer.length(), Some(blob.len()));
            assert_whole(answer, &blob).await;
        }
    }
    assert_eq!(upstream.count(&On::blobs().get()), 2, "{}", upstream.story());
}

#[tokio::test]
async fn a_sha512_digest_is_fetched_proven_and_answered_as_asked() {
    let blob = Content::seeded(1, MIB);
    let (upstream, wharf) = harbour(&blob).await;
    let digest = sha512(&blob.all());
    upstream.holds(|registry| registry.put_blob("a/b", &digest, &blob));
    let target = format!("/v2/hub/a/b/blobs/{digest}");
    for _ in 0..2 {
        let answer = wharf.open(&target).await;
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
        assert_whole(answer, &blob).await;
    }
    assert_eq!(upstream.count(&On::blobs().get()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn a_blob_whose_length_the_upstream_does_not_tell_is_streamed_all_the_same() {
    let (blob, gate) = (Content::seeded(1, 2 * MIB), Gate::at(MIB));
    for framing in [Act::Chunked, Act::CloseDelimited] {
        let (upstream, wharf) = harbour(&blob).await;
        upstream.script(On::blobs(), [framing, Act::Hold(gate.clone())]);
        gate.raise(MIB);
        let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
        assert!(answer.is_chunked(), "{answer:?}");
        assert_eq!(answer.exactly(MIB - 1).await, blob.bytes(0..MIB - 1));
        gate.open();
        assert_eq!(answer.rest().await, (blob.bytes(MIB - 1..blob.len()), Ended::Clean));
        let again = wharf.open(&blob_path("hub/a/b", &blob)).await;
        assert_eq!(again.length(), Some(blob.len()), "now it is known");
        assert_whole(again, &blob).await;
        assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
    }
}

#[tokio::test]
async fn an_http_1_0_client_waits_for_the_proof_of_an_unknown_length() {
    let blob = Content::seeded(1, MIB);
    let (upstream, wharf) = harbour(&blob).await;
    upstream.script(On::blobs(), [Act::Chunked]);
    let mut client = wharf.connect().await;
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: wharf.test\r\n\r\n",
        blob_path("hub/a/b", &blob)
    );
    client.write(request.as_bytes()).await.unwrap();
    let answer = client.answer(false).await.unwrap();
    assert_eq!(answer.length(), Some(blob.len()), "a cut body would be invisible to it");
    assert_whole(answer, &blob).await;
}

#[tokio::test]
async fn one_token_per_scope_serves_manifests_and_blobs_of_a_repository() {
    let (upstream, image) = (Upstream::with_door(Door::Hub), Image::oci(1, &[MIB, MIB, MIB]));
    upstream.put_image("a/b", "v1", &image);
    upstream.put_image("c/d", "v1", &Image::oci(2, &[MIB]));
    let wharf = Setup::new().mirror(Mirror::of("hub", &upstream)).start().await;
    for name in ["hub/a/b", "hub/c/d"] {
        assert_eq!(wharf.get(&manifest_path(name, "v1")).await.status, 200);
    }
    for blob in &image.blobs {
        assert_whole(wharf.open(&blob_path("hub/a/b", blob)).await, blob).await;
    }
    assert_eq!(upstream.count(&On::tokens()), 2, "{}", upstream.story());
}
