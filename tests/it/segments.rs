//! `segments`: one blob over several bodies, each byte once, and proven as ever.

use crate::support::blob_path;
use crate::support::image::{Content, Image, MIB};
use crate::support::manifest_path;
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

/// An upstream with an image whose layer has three pieces and a bit, and a wharf that has its manifest.
async fn harbour(segments: &str) -> (Upstream, Wharf, Image) {
    let upstream = Upstream::start();
    let image = Image::oci(1, &[49 * MIB]);
    upstream.put_image("a/b", "v1", &image);
    let mirror = Mirror::of("hub", &upstream).set("segments", segments);
    let wharf = Setup::new().mirror(mirror).start().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    (upstream, wharf, image)
}

fn of(blob: &Content) -> On {
    On::blobs().get().of(blob.digest())
}

#[tokio::test]
async fn pieces_come_beside_each_other_and_each_byte_once() {
    let (upstream, wharf, image) = harbour("3").await;
    let layer = image.layer(0);
    let gate = Gate::at(MIB);
    upstream.script(of(layer), [Act::Hold(gate.clone())]);
    let mut client = wharf.connect().await;
    client.ask("GET", &blob_path("hub/a/b", layer), &[]).await;
    upstream.until("three bodies", |it| it.count(&of(layer)) == 3).await;
    gate.open();
    let answer = client.answer(false).await.unwrap().whole().await;
    assert!(answer.status == 200 && answer.body == layer.all());
    assert_eq!(upstream.count(&of(layer)), 4, "{}", upstream.story());
    assert_eq!(upstream.sent(&of(layer)), layer.len());
}

/// What makes up for an upstream that limits each connection: in the time of one body's bytes come as many of each other.
#[tokio::test]
async fn what_each_connection_may_bring_adds_up() {
    for (segments, bodies) in [("1", 1), ("2", 2), ("3", 3)] {
        let (upstream, wharf, image) = harbour(segments).await;
        let layer = image.layer(0);
        let each = Gate::at(MIB);
        upstream.script(of(layer), [Act::HoldEach(each.clone())]);
        let mut client = wharf.connect().await;
        client.ask("GET", &blob_path("hub/a/b", layer), &[]).await;
        for level in [MIB, 2 * MIB, 3 * MIB] {
            each.raise(level);
            upstream
                .until("the bytes of each", |it| {
                    let seen = it.seen(&of(layer));
                    seen.len() == bodies && seen.iter().all(|body| body.sent() == level)
                })
                .await;
        }
        each.open();
        let answer = client.answer(false).await.unwrap().whole().await;
        assert!(answer.status == 200 && answer.body == layer.all());
        assert_eq!(upstream.sent(&of(layer)), layer.len(), "{}", upstream.story());
    }
}

#[tokio::test]
async fn one_body_is_enough_unless_told_otherwise() {
    let (upstream, wharf, image) = harbour("1").await;
    let answer = wharf.get(&blob_path("hub/a/b", image.layer(0))).await;
    assert!(answer.status == 200 && answer.body == image.layer(0).all());
    assert_eq!(upstream.count(&of(image.layer(0))), 1);
}

#[tokio::test]
async fn an_upstream_without_ranges_sends_it_once() {
    let (upstream, wharf, image) = harbour("3").await;
    upstream.script(of(image.layer(0)), [Act::IgnoreRange]);
    let answer = wharf.get(&blob_path("hub/a/b", image.layer(0))).await;
    assert!(answer.status == 200 && answer.body == image.layer(0).all());
    assert_eq!(upstream.count(&of(image.layer(0))), 1);
}

#[tokio::test]
async fn a_piece_that_breaks_is_resumed_where_it_broke() {
    let (upstream, wharf, image) = harbour("3").await;
    let layer = image.layer(0);
    upstream.script(of(layer).times(1), [Act::Cut(5 * MIB, How::Fin)]);
    let answer = wharf.get(&blob_path("hub/a/b", layer)).await;
    assert!(answer.status == 200 && answer.body == layer.all());
    assert_eq!(upstream.sent(&of(layer)), layer.len(), "{}", upstream.story());
    assert_eq!(upstream.count(&of(layer)), 5);
}
