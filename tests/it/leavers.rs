//! P4: a client that leaves or reads slowly changes nothing for anybody else, and a fill outlives its clients.

use std::time::Duration;

use crate::support::client::{Client, Ended};
use crate::support::image::{Content, MIB};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, soon};

const LEN: u64 = 10 * MIB;

/// An upstream that stops at 30 % of its one blob, and a client that has read so far.
async fn left_at_30_percent() -> (Upstream, Wharf, Content, Gate) {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, LEN), Gate::at(3 * MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let wharf = Wharf::of(&upstream).await;
    let mut leaver = wharf.open(&blob_path("hub/a/b", &blob)).await;
    assert_eq!(leaver.exactly(3 * MIB).await, blob.bytes(0..3 * MIB));
    drop(leaver);
    (upstream, wharf, blob, gate)
}

#[tokio::test]
async fn the_only_client_leaves_at_30_percent_and_the_fill_completes() {
    let (upstream, wharf, blob, gate) = left_at_30_percent().await;
    gate.open();
    upstream
        .until("the whole blob to be sent", |upstream| {
            upstream.sent(&On::blobs()) == LEN
        })
        .await;
    let target = blob_path("hub/a/b", &blob);
    wharf.landed(&target).await;
    upstream.stop().await;
    let answer = wharf.get(&target).await;
    assert_eq!((answer.body == blob.all(), answer.ended), (true, Ended::Clean));
    assert_eq!(upstream.count(&On::blobs().get()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn a_client_that_comes_right_after_the_only_one_left_causes_no_second_get() {
    let (upstream, wharf, blob, gate) = left_at_30_percent().await;
    let mut next = wharf.open(&blob_path("hub/a/b", &blob)).await;
    assert_eq!(next.exactly(3 * MIB).await, blob.bytes(0..3 * MIB));
    gate.open();
    assert_eq!(next.rest().await, (blob.bytes(3 * MIB..LEN), Ended::Clean));
    assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
    assert_eq!(upstream.sent(&On::blobs()), LEN);
}

#[tokio::test]
async fn one_of_two_clients_leaves_and_the_other_notices_nothing() {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, LEN), Gate::at(3 * MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let wharf = Wharf::of(&upstream).await;
    let mut leaver = wharf.open(&blob_path("hub/a/b", &blob)).await;
    let mut stayer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    leaver.exactly(MIB).await;
    drop(leaver);
    gate.open();
    assert_eq!(stayer.rest().await, (blob.all(), Ended::Clean));
    assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn a_slow_reader_does_not_hold_up_a_fast_one() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, 24 * MIB));
    upstream.put_blob("a/b", &blob);
    let wharf = Wharf::of(&upstream).await;
    let target = blob_path("hub/a/b", &blob);
    let mut slow = Client::narrow(wharf.address()).await.get(&target).await;
    let fast = wharf.open(&target).await.hashed().await;
    assert_eq!(fast, blob.whole());
    let slow = slow.hashed().await;
    assert_eq!(slow, blob.whole());
    assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
    assert_eq!(upstream.sent(&On::blobs()), blob.len());
}

/// A wharf whose readers are cut after `silence`.
async fn impatient(upstream: &Upstream, silence: &str) -> Wharf {
    let mirror = Mirror::of("hub", upstream);
    Setup::new()
        .server("client_silence", silence)
        .mirror(mirror)
        .start()
        .await
}

#[tokio::test]
async fn a_stalled_reader_is_cut_after_client_silence_and_nobody_else_is() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, 24 * MIB));
    upstream.put_blob("a/b", &blob);
    let wharf = impatient(&upstream, "\"300ms\"").await;
    let target = blob_path("hub/a/b", &blob);
    let mut stalled = Client::narrow(wharf.address()).await.get(&target).await;
    let fast = wharf.open(&target).await.hashed().await;
    assert_eq!(fast, blob.whole());

    let mut steps = tokio::time::interval(Duration::from_millis(20));
    let cut = async {
        while wharf.holds(stalled.port()) {
            steps.tick().await;
        }
    };
    soon("the stalled reader to be cut", cut).await;
    let (length, _, ended) = stalled.hashed().await;
    assert_ne!(ended, Ended::Clean);
    assert!(length < blob.len(), "{length} bytes fit into the socket's buffers");
}

#[tokio::test]
async fn a_reader_that_takes_a_little_now_and_then_is_not_cut() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, 8 * MIB));
    upstream.put_blob("a/b", &blob);
    let wharf = impatient(&upstream, "\"500ms\"").await;
    let mut slow = Client::narrow(wharf.address())
        .await
        .get(&blob_path("hub/a/b", &blob))
        .await;
    let mut steps = tokio::time::interval(Duration::from_millis(100));
    let mut read = Vec::new();
    while (read.len() as u64) < blob.len() {
        steps.tick().await;
        let n = (blob.len() - read.len() as u64).min(MIB / 2);
        read.extend(slow.exactly(n).await);
    }
    assert!(read == blob.all());
}
