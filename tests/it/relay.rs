//! Whatever fails in the store, no pull fails: bytes go past it, right to the last one, and it is used again when it can be.

use std::time::Duration;

use crate::support::client::{Ended, Response};
use crate::support::disk::Mount;
use crate::support::image::{Content, Image, MIB};
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path, quiet};

const LEN: u64 = 6 * MIB + 11;
const RELAYED: Option<&str> = Some("wharf; fwd=uri-miss; detail=relay");

struct Harbour {
    upstream: Upstream,
    wharf: Wharf,
    blob: Content,
    target: String,
}

/// A wharf whose store has room for no more than its index; the manifest, which tells the length, is cached if `told`.
async fn harbour(told: bool) -> Option<Harbour> {
    harbour_with(told, |mirror| mirror).await
}

async fn harbour_with(told: bool, adjust: impl FnOnce(Mirror) -> Mirror) -> Option<Harbour> {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[LEN]));
    upstream.put_image("a/b", "v1", &image);
    let mirror = adjust(Mirror::of("hub", &upstream));
    let wharf = Setup::new().mirror(mirror).disk(16).start().await;
    wharf.disk()?;
    if told {
        assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    }
    let blob = image.layer(0).clone();
    Some(Harbour {
        target: blob_path("hub/a/b", &blob),
        upstream,
        wharf,
        blob,
    })
}

impl Harbour {
    fn disk(&self) -> &Mount {
        self.wharf.disk().unwrap()
    }

    async fn ranged(&self, range: &str) -> Response {
        self.wharf.send("GET", &self.target, &[("Range", range)]).await
    }

    async fn assert_whole(&self, what: &str) {
        let answer = self.wharf.get(&self.target).await;
        assert_eq!(
            (answer.status, answer.ended, answer.body == self.blob.all()),
            (200, Ended::Clean, true),
            "{what}: {}",
            self.upstream.story()
        );
    }

    /// Nothing was stored: with space again the next pull does it by itself.
    async fn assert_recovers(&self) {
        self.disk().clear();
        self.assert_whole("with space again").await;
        self.wharf.landed(&self.target).await;
        self.upstream.stop().await;
        self.assert_whole("stored").await;
    }

    /// What the log says of the disk, apart from the request lines.
    fn complaints(&self, words: &str) -> usize {
        let log = self.wharf.log();
        log.lines()
            .filter(|line| line.contains("ERROR") && line.contains(words))
            .count()
    }
}

#[tokio::test]
async fn a_full_disk_fails_no_pull_and_is_told_of_once() {
    for told in [true, false] {
        let Some(harbour) = harbour(told).await else { return };
        harbour.disk().fill_but(0);
        for n in 0..5 {
            harbour.assert_whole(&format!("pull {n}")).await;
        }
        assert_eq!(harbour.complaints("the disk is full"), 1, "{}", harbour.wharf.log());
        assert_eq!(harbour.complaints(""), 1, "{}", harbour.wharf.log());
        harbour.assert_recovers().await;
    }
}

#[tokio::test]
async fn a_disk_that_fills_in_mid_transfer_cuts_no_reader_wherever_it_is() {
    let Some(harbour) = harbour(true).await else { return };
    let gate = Gate::at(2 * MIB);
    harbour
        .upstream
        .script(On::blobs().ranged(false), [Act::Hold(gate.clone())]);

    let mut whole = harbour.wharf.open(&harbour.target).await;
    let mut ahead = harbour.ranged("bytes=500000-").await;
    let mut bounded = harbour.ranged(&format!("bytes=1000000-{}", LEN - 5)).await;
    let mut slow = harbour.wharf.open(&harbour.target).await;
    assert!(whole.exactly(2 * MIB).await == harbour.blob.bytes(0..2 * MIB));
    assert!(ahead.exactly(MIB).await == harbour.blob.bytes(500_000..500_000 + MIB));
    assert!(bounded.exactly(10).await == harbour.blob.bytes(1_000_000..1_000_010));
    assert!(slow.exactly(1).await == harbour.blob.bytes(0..1));
    // By others: it had room when it began.
    harbour.disk().fill_but(MIB);
    gate.open();
    for (reader, rest) in [
        (&mut whole, 2 * MIB..LEN),
        (&mut ahead, 500_000 + MIB..LEN),
        (&mut bounded, 1_000_010..LEN - 4),
        (&mut slow, 1..LEN),
    ] {
        let (bytes, ended) = reader.rest().await;
        let story = harbour.upstream.story();
        assert!(
            bytes == harbour.blob.bytes(rest.clone()),
            "{rest:?}: {} bytes, {story}",
            bytes.len()
        );
        assert_eq!(ended, Ended::Clean, "{rest:?}");
    }
    let resumed = On::blobs().get().ranged(true);
    for seen in harbour.upstream.seen(&resumed) {
        let range = seen.request.header("range").unwrap();
        let from: u64 = range["bytes=".len()..].split('-').next().unwrap().parse().unwrap();
        assert!(from >= 2 * MIB, "what is in the file is not asked for: {range}");
    }
    assert_eq!(harbour.complaints("the disk is full"), 1, "{}", harbour.wharf.log());
    harbour.assert_recovers().await;
}

#[tokio::test]
async fn a_herd_on_a_full_disk_gets_every_byte_one_after_the_other() {
    let in_line = |mirror: Mirror| mirror.set("max_connections", "1");
    let Some(harbour) = harbour_with(true, in_line).await else {
        return;
    };
    harbour.disk().fill_but(0);
    let pulls = (0..8).map(|_| async {
        let mut answer = harbour.wharf.open(&harbour.target).await;
        (answer.status, answer.hashed().await)
    });
    for pulled in futures_util::future::join_all(pulls).await {
        let whole = (LEN, harbour.blob.digest().to_owned(), Ended::Clean);
        assert_eq!(pulled, (200, whole), "{}", harbour.upstream.story());
    }
    assert_eq!(harbour.complaints("the disk is full"), 1, "{}", harbour.wharf.log());
    harbour.assert_recovers().await;
}

#[tokio::test]
async fn a_directory_that_takes_no_files_is_passed_by_until_it_does() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, LEN));
    upstream.put_blob("a/b", &blob);
    let (wharf, target) = (Wharf::of(&upstream).await, blob_path("hub/a/b", &blob));
    let Some(read_only) = Mount::read_only(&wharf.store().join("staging")) else {
        return;
    };
    for _ in 0..3 {
        let answer = wharf.get(&target).await;
        assert!((answer.status, answer.ended) == (200, Ended::Clean) && answer.body == blob.all());
        assert_eq!(answer.header("cache-status"), RELAYED);
    }
    assert_eq!(upstream.count(&On::any()), 3, "{}", upstream.story());
    assert_eq!(
        wharf.log().matches("the file system is read-only").count(),
        1,
        "{}",
        wharf.log()
    );
    drop(read_only);
    assert!(wharf.get(&target).await.body == blob.all());
    wharf.landed(&target).await;
}

#[tokio::test]
async fn a_range_past_the_store_costs_the_upstream_that_range() {
    let Some(harbour) = harbour(true).await else { return };
    let _read_only = Mount::read_only(&harbour.wharf.store().join("staging"));
    for (range, bytes) in [
        ("bytes=0-999".to_owned(), 0..1000),
        (format!("bytes={MIB}-{}", 2 * MIB - 1), MIB..2 * MIB),
        (format!("bytes={}-{}", LEN - 1000, LEN - 1), LEN - 1000..LEN),
        ("bytes=-1000".to_owned(), LEN - 1000..LEN),
    ] {
        let answer = harbour.ranged(&range).await.whole().await;
        let told = (answer.status, answer.header("cache-status"), answer.ended);
        assert_eq!(told, (206, RELAYED, Ended::Clean), "{range}");
        assert!(answer.body == harbour.blob.bytes(bytes.clone()), "{range}");
        let seen = harbour.upstream.seen(&On::blobs().get().ranged(true));
        let asked = seen.last().map(|seen| seen.request.header("range").unwrap().to_owned());
        if bytes.start > 0 {
            let to = if bytes.end == LEN {
                String::new()
            } else {
                (bytes.end - 1).to_string()
            };
            assert_eq!(asked, Some(format!("bytes={}-{to}", bytes.start)));
        }
    }
    let several = harbour.ranged("bytes=5-9,0-1").await.whole().await;
    let body = String::from_utf8_lossy(&several.body).into_owned();
    assert_eq!((several.status, several.ended), (206, Ended::Clean));
    assert!(body.contains("bytes 5-9/") && body.contains("bytes 0-1/"), "{body}");
    let completing = harbour.ranged("bytes=5-,0-1").await.whole().await;
    assert_eq!((completing.status, completing.ended), (200, Ended::Clean));
    assert!(completing.body == harbour.blob.all());
}

#[tokio::test]
async fn a_range_without_end_is_proven_from_the_first_byte_on() {
    let Some(harbour) = harbour(true).await else { return };
    let _read_only = Mount::read_only(&harbour.wharf.store().join("staging"));
    let open_ended = format!("bytes={}-", LEN - 1000);
    let answer = harbour.ranged(&open_ended).await.whole().await;
    assert_eq!((answer.status, answer.ended), (206, Ended::Clean));
    assert!(answer.body == harbour.blob.bytes(LEN - 1000..LEN));
    // A byte that this client does not get, and whose hash it needs.
    harbour.upstream.script(On::blobs(), [Act::Corrupt(7)]);
    let (bytes, ended) = harbour.ranged(&open_ended).await.rest().await;
    assert!(bytes.len() < 1000 && ended == Ended::Reset, "{} {ended:?}", bytes.len());
}

#[tokio::test]
async fn wrong_bytes_past_the_store_never_complete_and_are_not_asked_for_again_at_once() {
    for framing in [None, Some(Act::Chunked)] {
        let told = framing.is_none();
        let Some(harbour) = harbour(told).await else { return };
        harbour.disk().fill_but(0);
        let acts: Vec<Act> = [Act::Corrupt(LEN / 2)].into_iter().chain(framing).collect();
        harbour.upstream.script(On::blobs().get(), acts);
        let (bytes, ended) = harbour.wharf.open(&harbour.target).await.rest().await;
        assert!(
            (bytes.len() as u64) < LEN && ended == Ended::Reset,
            "{} {ended:?}",
            bytes.len()
        );
        let asked = harbour.upstream.count(&On::blobs().get());
        let told = harbour.wharf.get(&harbour.target).await;
        assert_eq!(
            (told.status, told.code().as_str()),
            (502, "UNAVAILABLE"),
            "{}",
            told.text()
        );
        assert_eq!(
            harbour.upstream.count(&On::blobs().get()),
            asked,
            "{}",
            harbour.upstream.story()
        );
    }
}

#[tokio::test]
async fn wrong_bytes_of_a_file_never_complete_past_the_store_and_are_not_built_upon() {
    let Some(harbour) = harbour(true).await else { return };
    let gate = Gate::at(2 * MIB);
    harbour.upstream.script(On::blobs(), [Act::Corrupt(7)]);
    harbour
        .upstream
        .script(On::blobs().ranged(false), [Act::Corrupt(7), Act::Hold(gate.clone())]);
    let mut answer = harbour.wharf.open(&harbour.target).await;
    answer.exactly(2 * MIB).await;
    harbour.disk().fill_but(MIB);
    gate.open();
    let (bytes, ended) = answer.rest().await;
    assert!(
        (bytes.len() as u64) < LEN - 2 * MIB && ended == Ended::Reset,
        "{} {ended:?}",
        bytes.len()
    );
    harbour.upstream.heal();
    harbour.assert_whole("the wrong prefix is gone").await;
    harbour.assert_recovers().await;
}

#[tokio::test]
async fn a_body_that_breaks_past_the_store_is_resumed() {
    let Some(harbour) = harbour(true).await else { return };
    let _read_only = Mount::read_only(&harbour.wharf.store().join("staging"));
    harbour
        .upstream
        .script(On::blobs().get().ranged(false), [Act::Cut(LEN / 2, How::Rst)]);
    harbour.assert_whole("cut once").await;
    let seen = harbour.upstream.seen(&On::blobs().get().ranged(true));
    assert_eq!(seen[0].request.header("range"), Some(&*format!("bytes={}-", LEN / 2)));

    // It does not know ranges: what has been given is passed over.
    harbour.upstream.script(On::blobs().get(), [Act::IgnoreRange]);
    harbour
        .upstream
        .script(On::blobs().get().ranged(false).times(2), [Act::Cut(LEN / 3, How::Fin)]);
    harbour.assert_whole("without ranges").await;

    harbour.upstream.heal();
    harbour
        .upstream
        .script(On::blobs().get(), [Act::Cut(LEN / 2, How::Rst)]);
    let (bytes, ended) = harbour.wharf.open(&harbour.target).await.rest().await;
    assert!(
        (bytes.len() as u64) <= LEN / 2 && ended == Ended::Reset,
        "{} {ended:?}",
        bytes.len()
    );
}

#[tokio::test]
async fn a_blob_of_unknown_length_is_relayed_in_chunks_and_with_a_length_to_http_1_0() {
    let Some(harbour) = harbour(false).await else { return };
    let _read_only = Mount::read_only(&harbour.wharf.store().join("staging"));
    harbour.upstream.script(On::blobs(), [Act::Chunked]);
    harbour
        .upstream
        .script(On::blobs().head(), [Act::Without("content-length")]);
    let gate = Gate::at(LEN);
    harbour
        .upstream
        .script(On::blobs().get(), [Act::Chunked, Act::Hold(gate.clone())]);
    let mut answer = harbour.wharf.open(&harbour.target).await;
    assert_eq!((answer.status, answer.is_chunked()), (200, true));
    assert!(answer.exactly(LEN - 1).await == harbour.blob.bytes(0..LEN - 1));
    assert!(
        quiet(Duration::from_millis(150), answer.some(1)).await,
        "the last one must wait"
    );
    gate.open();
    assert_eq!(answer.rest().await, (harbour.blob.bytes(LEN - 1..LEN), Ended::Clean));

    let mut client = harbour.wharf.connect().await;
    let request = format!("GET {} HTTP/1.0\r\nHost: wharf.test\r\n\r\n", harbour.target);
    client.write(request.as_bytes()).await.unwrap();
    let mut answer = client.answer(false).await.unwrap();
    assert_eq!((answer.status, answer.length()), (200, Some(LEN)));
    let whole = (LEN, harbour.blob.digest().to_owned(), Ended::Clean);
    assert_eq!(answer.hashed().await, whole);
}

#[tokio::test]
async fn a_relay_has_a_slot_in_the_lane_and_who_leaves_ends_it() {
    let in_line = |mirror: Mirror| mirror.set("max_connections", "1");
    let Some(harbour) = harbour_with(true, in_line).await else {
        return;
    };
    let _read_only = Mount::read_only(&harbour.wharf.store().join("staging"));
    harbour
        .upstream
        .script(On::blobs().get().times(1), [Act::Hold(Gate::at(MIB))]);
    let mut leaver = harbour.wharf.open(&harbour.target).await;
    leaver.exactly(1000).await;
    // There is a slot for one.
    let mut next = std::pin::pin!(harbour.assert_whole("after it"));
    assert!(quiet(Duration::from_millis(200), next.as_mut()).await);
    assert_eq!(harbour.upstream.count(&On::blobs()), 1, "{}", harbour.upstream.story());
    drop(leaver);
    next.await;
}

#[tokio::test]
async fn manifests_tags_and_lists_are_answered_on_a_full_disk() {
    let Some(harbour) = harbour(false).await else { return };
    let [first, second] = [2, 3].map(|seed| Image::oci(seed, &[1000]));
    harbour.upstream.put_image("a/b", "v2", &first);
    harbour.upstream.put_image("a/b", "v3", &second);
    harbour.disk().fill_but(0);
    let target = manifest_path("hub/a/b", "v2");
    for _ in 0..2 {
        let answer = harbour.wharf.get(&target).await;
        assert!(
            answer.status == 200 && answer.body == first.manifest.all(),
            "{}",
            answer.text()
        );
    }
    let by_digest = manifest_path("hub/a/b", second.manifest.digest());
    assert!(harbour.wharf.get(&by_digest).await.body == second.manifest.all());
    assert_eq!(harbour.wharf.head(&manifest_path("hub/a/b", "v1")).await.status, 200);
    let tags = harbour.wharf.get("/v2/hub/a/b/tags/list").await;
    assert!(tags.status == 200 && tags.text().contains("v3"), "{}", tags.text());
    harbour.disk().clear();
    assert_eq!(harbour.wharf.get(&by_digest).await.status, 200);
    harbour.upstream.stop().await;
    assert!(harbour.wharf.get(&by_digest).await.body == second.manifest.all());
}
