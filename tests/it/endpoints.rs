//! P3 and P4 where a mirror has several endpoints: what one does not give, another does, and the client sees none of it.

use crate::support::client::Ended;
use crate::support::image::{Content, Image, KIB, MIB};
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const LEN: u64 = 24 * MIB;

/// Two endpoints that have the same, of one mirror.
struct Harbour {
    first: Upstream,
    second: Upstream,
    wharf: Wharf,
    blob: Content,
    image: Image,
}

impl Harbour {
    async fn new() -> Self {
        let (first, second) = (Upstream::start(), Upstream::start());
        let (blob, image) = (Content::seeded(1, LEN), Image::oci(1, &[100 * KIB]));
        for upstream in [&first, &second] {
            upstream.put_blob("a/b", &blob);
            upstream.put_image("a/b", "v1", &image);
        }
        let both = format!("[\"{}\", \"{}\"]", first.url(), second.url());
        let mirror = Mirror::of("hub", &first).set("endpoints", &both);
        let mirror = mirror.set("silence", "\"400ms\"").set("fresh_for", "\"0s\"");
        let wharf = Setup::new().mirror(mirror).start().await;
        Self {
            first,
            second,
            wharf,
            blob,
            image,
        }
    }

    async fn assert_whole(&self, what: &str) {
        let answer = self.wharf.get(&blob_path("hub/a/b", &self.blob)).await;
        assert_eq!((answer.status, answer.ended), (200, Ended::Clean), "{what}");
        assert!(answer.body == self.blob.all(), "{what}");
    }
}

#[tokio::test]
async fn a_blob_that_one_endpoint_cannot_finish_is_finished_by_the_next() {
    let half = LEN / 2;
    for (what, then) in [
        ("gone", vec![Act::Status(503)]),
        ("refuses", vec![Act::Status(403)]),
        ("forgets", vec![Act::Status(404)]),
        ("breaks at once, again and again", vec![Act::Cut(0, How::Rst)]),
        ("says no more", vec![Act::Hold(Gate::shut())]),
    ] {
        let harbour = Harbour::new().await;
        harbour.first.script(On::blobs().ranged(true), then);
        harbour
            .first
            .script(On::blobs().ranged(false).times(1), [Act::Cut(half, How::Rst)]);
        harbour.assert_whole(what).await;
        let sent = harbour.first.sent(&On::blobs()) + harbour.second.sent(&On::blobs());
        assert!(sent < LEN / 100 * 102, "{what}: {sent}\n{}", harbour.second.story());
        assert_eq!(harbour.second.count(&On::blobs().ranged(true)), 1, "{what}");
        if what == "says no more" {
            let first = harbour.first.count(&On::blobs().ranged(true));
            assert_eq!(first, 1, "silence is waited out once");
        }
    }
}

#[tokio::test]
async fn a_first_endpoint_that_is_gone_is_not_seen() {
    let harbour = Harbour::new().await;
    harbour.first.stop().await;
    harbour.assert_whole("gone").await;
    for reference in ["v1", harbour.image.digest()] {
        let answer = harbour.wharf.get(&manifest_path("hub/a/b", reference)).await;
        assert_eq!(
            (answer.status, answer.body == harbour.image.manifest.all()),
            (200, true)
        );
    }
    let tags = harbour.wharf.get("/v2/hub/a/b/tags/list").await;
    assert_eq!(tags.status, 200, "{}", tags.text());
}

#[tokio::test]
async fn wrong_bytes_of_one_endpoint_come_right_from_the_next() {
    let harbour = Harbour::new().await;
    harbour.first.script(On::blobs(), [Act::Corrupt(MIB)]);
    let cut = harbour.wharf.get(&blob_path("hub/a/b", &harbour.blob)).await;
    // Whoever got wrong bytes is cut; the same flight goes on for all others.
    assert_ne!((cut.status, cut.ended), (200, Ended::Clean));
    harbour.assert_whole("from the second").await;
    assert_eq!(harbour.first.count(&On::blobs()), 1, "{}", harbour.first.story());

    let nonsense = Content::of("{}");
    harbour.first.script(On::manifests().get(), [Act::Body(nonsense)]);
    for reference in ["v1", harbour.image.digest()] {
        let answer = harbour.wharf.get(&manifest_path("hub/a/b", reference)).await;
        assert_eq!(answer.status, 200, "{reference}: {}", answer.text());
        assert!(answer.body == harbour.image.manifest.all(), "{reference}");
    }
}

#[tokio::test]
async fn an_endpoint_that_gives_another_length_is_passed_over_before_a_byte_leaves() {
    let harbour = Harbour::new().await;
    let manifest = manifest_path("hub/a/b", harbour.image.digest());
    assert_eq!(harbour.wharf.get(&manifest).await.status, 200);
    harbour.first.script(On::blobs(), [Act::Shorten(10)]);
    let layer = harbour.image.layer(0);
    let answer = harbour.wharf.get(&blob_path("hub/a/b", layer)).await;
    assert_eq!((answer.status, answer.ended), (200, Ended::Clean));
    assert!(answer.body == layer.all());
}

#[tokio::test]
async fn with_nobody_left_it_is_a_502_at_once() {
    let harbour = Harbour::new().await;
    for upstream in [&harbour.first, &harbour.second] {
        upstream.script(On::blobs(), [Act::Corrupt(MIB)]);
    }
    let target = blob_path("hub/a/b", &harbour.blob);
    harbour.wharf.get(&target).await;
    harbour.wharf.says("wrong bytes").await;
    let upstreams = [&harbour.first, &harbour.second];
    crate::support::soon("both to be blamed", async {
        while harbour.wharf.get(&target).await.status != 502 {}
    })
    .await;
    let asked = upstreams.map(|it| it.count(&On::blobs()));
    assert_eq!(harbour.wharf.get(&target).await.status, 502);
    assert_eq!((upstreams.map(|it| it.count(&On::blobs())), asked), (asked, [1, 1]));
}
