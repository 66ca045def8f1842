//! Ranges, of cold blobs above all: answered as their bytes arrive, and ending up in the same stored blob.

use std::ops::Range;

use crate::support::blob_path;
use crate::support::client::{Answer, Ended};
use crate::support::image::{Content, MIB};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;

const LEN: u64 = 8 * MIB;

async fn harbour(len: u64) -> (Upstream, Wharf, Content, String) {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, len));
    upstream.put_blob("a/b", &blob);
    let target = blob_path("hub/a/b", &blob);
    let wharf = Wharf::of(&upstream).await;
    (upstream, wharf, blob, target)
}

fn assert_part(answer: &Answer, blob: &Content, range: Range<u64>) {
    let told = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.len());
    assert_eq!(answer.status, 206, "{told}: {}", answer.text());
    assert_eq!(answer.header("content-range"), Some(told.as_str()));
    assert_eq!(
        answer.header("content-length"),
        Some((range.end - range.start).to_string().as_str())
    );
    assert_eq!(answer.header("docker-content-digest"), Some(blob.digest()));
    assert!(
        answer.body == blob.bytes(range) && answer.ended == Ended::Clean,
        "{told}: wrong bytes"
    );
}

/// The ranges that RFC 9110 knows, and what they mean for a blob of `LEN` bytes.
fn shapes() -> Vec<(String, Range<u64>)> {
    vec![
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=500-1499".to_owned(), 500..1500),
        (format!("bytes={}-", LEN - 500), LEN - 500..LEN),
        ("bytes=0-".to_owned(), 0..LEN),
        ("bytes=-500".to_owned(), LEN - 500..LEN),
        (format!("bytes=-{}", LEN * 2), 0..LEN),
        (format!("bytes={}-{}", LEN - 10, LEN * 2), LEN - 10..LEN),
        (format!("bytes={}-{}", 3 * MIB - 1, 5 * MIB), 3 * MIB - 1..5 * MIB + 1),
    ]
}

#[tokio::test]
async fn every_shape_of_range_of_a_cold_blob_is_answered_and_the_blob_is_fetched_once() {
    for (range, bytes) in shapes() {
        let (upstream, wharf, blob, target) = harbour(LEN).await;
        assert_part(&wharf.range(&target, &range).await, &blob, bytes);
        wharf.landed(&target).await;
        assert!(
            upstream.sent(&On::blobs()) <= LEN + MIB,
            "{range}\n{}",
            upstream.story()
        );
        upstream.stop().await;
        assert_eq!(wharf.open(&target).await.hashed().await, blob.whole());
    }
}

#[tokio::test]
async fn every_shape_of_range_of_a_stored_blob_is_answered_without_asking_anybody() {
    let (upstream, wharf, blob, target) = harbour(LEN).await;
    wharf.get(&target).await;
    wharf.landed(&target).await;
    for (range, bytes) in shapes() {
        assert_part(&wharf.range(&target, &range).await, &blob, bytes);
    }
    assert_eq!(upstream.count(&On::any()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn what_no_byte_satisfies_is_a_416_that_tells_the_length() {
    let ranges = [
        format!("bytes={LEN}-"),
        format!("bytes={}-{}", LEN * 2, LEN * 3),
        "bytes=-0".to_owned(),
    ];
    for cold in [true, false] {
        let (_upstream, wharf, _, target) = harbour(LEN).await;
        if !cold {
            wharf.get(&target).await;
        }
        for range in &ranges {
            let answer = wharf.range(&target, range).await;
            assert_eq!(answer.status, 416, "{range}");
            assert_eq!(
                answer.header("content-range"),
                Some(format!("bytes */{LEN}").as_str()),
                "{range}"
            );
            assert_eq!(
                answer.ended,
                Ended::Clean,
                "the length told must be that of the error body"
            );
        }
    }
}

#[tokio::test]
async fn eight_ranges_at_once_are_one_blob() {
    let len = 32 * MIB;
    let (upstream, wharf, blob, target) = harbour(len).await;
    let part = len / 8;
    let mut clients = Vec::new();
    for n in 0..8 {
        let mut client = wharf.connect().await;
        let range = format!("bytes={}-{}", n * part, (n + 1) * part - 1);
        client.ask("GET", &target, &[("Range", &range)]).await;
        clients.push((n, client));
    }
    for (n, client) in clients {
        let answer = client.answer(false).await.unwrap().whole().await;
        assert_part(&answer, &blob, n * part..(n + 1) * part);
    }
    wharf.landed(&target).await;
    assert!(
        upstream.sent(&On::blobs()) <= len / 100 * 102 + 7 * MIB,
        "{}",
        upstream.story()
    );
    assert_eq!(wharf.open(&target).await.hashed().await, blob.whole());
}

#[tokio::test]
async fn a_cold_footer_of_a_big_blob_comes_long_before_its_fill_ends() {
    let len = 96 * MIB;
    for (range, bytes) in [
        ("bytes=-4096".to_owned(), len - 4096..len),
        (format!("bytes={}-{}", len / 2, len / 2 + 99), len / 2..len / 2 + 100),
    ] {
        let (upstream, wharf, blob, target) = harbour(len).await;
        let gate = Gate::at(2 * MIB);
        upstream.script(On::blobs().ranged(false), [Act::Hold(gate.clone())]);
        assert_part(&wharf.range(&target, &range).await, &blob, bytes);
        gate.open();
        wharf.landed(&target).await;
        assert!(
            upstream.sent(&On::blobs()) <= len / 100 * 102 + MIB,
            "{}",
            upstream.story()
        );
        upstream.stop().await;
        assert_eq!(wharf.open(&target).await.hashed().await, blob.whole());
    }
}

#[tokio::test]
async fn a_footer_is_read_while_another_client_reads_from_the_front() {
    let len = 48 * MIB;
    let (upstream, wharf, blob, target) = harbour(len).await;
    let gate = Gate::at(2 * MIB);
    upstream.script(On::blobs().ranged(false), [Act::Hold(gate.clone())]);
    let mut front = wharf.open(&target).await;
    front.exactly(2 * MIB).await;
    for _ in 0..3 {
        assert_part(&wharf.range(&target, "bytes=-1000").await, &blob, len - 1000..len);
    }
    gate.open();
    assert_eq!(front.rest().await, (blob.bytes(2 * MIB..len), Ended::Clean));
    assert!(
        upstream.sent(&On::blobs()) <= len / 100 * 102 + MIB,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn several_ranges_in_one_request_are_answered_as_multipart_cold_and_stored() {
    let (upstream, wharf, blob, target) = harbour(LEN).await;
    for _ in 0..2 {
        let answer = wharf.range(&target, "bytes=0-9,1000-1999,-16").await;
        let parts = [0..10, 1000..2000, LEN - 16..LEN];
        assert_eq!(answer.status, 206);
        assert_multipart(&answer, &blob, &parts);
        wharf.landed(&target).await;
    }
    assert!(upstream.sent(&On::blobs()) <= LEN + MIB, "{}", upstream.story());
}

#[tokio::test]
async fn a_thousand_and_twenty_four_ranges_are_answered_and_one_more_is_not_an_error() {
    let (_upstream, wharf, blob, target) = harbour(LEN).await;
    let ranges = |count: u64| (0..count).map(|n| n * 4000..n * 4000 + 10).collect::<Vec<_>>();
    let header = |count: u64| {
        let list: Vec<_> = ranges(count)
            .iter()
            .map(|range| format!("{}-{}", range.start, range.end - 1))
            .collect();
        format!("bytes={}", list.join(","))
    };
    let answer = wharf.range(&target, &header(1024)).await;
    assert_eq!(answer.status, 206);
    assert_multipart(&answer, &blob, &ranges(1024));
    let answer = wharf.range(&target, &header(1025)).await;
    assert!(matches!(answer.status, 200 | 416), "{}", answer.status);
}

#[tokio::test]
async fn ranges_that_overlap_never_cost_more_than_the_blob() {
    let (_upstream, wharf, _, target) = harbour(LEN).await;
    let everything = format!("bytes={}", vec!["0-"; 500].join(","));
    let answer = wharf.range(&target, &everything).await;
    assert!(matches!(answer.status, 200 | 206 | 416), "{}", answer.status);
    assert!(answer.body.len() as u64 <= LEN + MIB, "{} bytes", answer.body.len());
}

#[tokio::test]
async fn a_range_that_is_none_is_ignored_or_416_and_head_ignores_all() {
    let (_upstream, wharf, blob, target) = harbour(LEN).await;
    for range in [
        "items=0-5",
        "bytes=",
        "bytes=a-b",
        "bytes=--5",
        "bytes=5",
        "bytes=9-3",
        "bytes=99999999999999999999-",
        "0-5",
    ] {
        let answer = wharf.range(&target, range).await;
        assert!(matches!(answer.status, 200 | 416), "{range}: {}", answer.status);
        assert_eq!(answer.ended, Ended::Clean);
        if answer.status == 200 {
            assert_eq!(answer.body.len() as u64, blob.len(), "{range}");
        }
    }
    let head = wharf.send("HEAD", &target, &[("Range", "bytes=0-9")]).await;
    assert_eq!((head.status, head.length()), (200, Some(LEN)));
}

#[tokio::test]
async fn a_blob_that_the_client_has_is_not_sent_again() {
    let (_upstream, wharf, blob, target) = harbour(LEN).await;
    wharf.get(&target).await;
    for tag in [
        format!("\"{}\"", blob.digest()),
        format!("W/\"{}\"", blob.digest()),
        "*".to_owned(),
    ] {
        let answer = wharf
            .send("GET", &target, &[("If-None-Match", &tag)])
            .await
            .whole()
            .await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{tag}");
        assert_eq!(answer.header("etag"), Some(format!("\"{}\"", blob.digest()).as_str()));
    }
}

fn assert_multipart(answer: &Answer, blob: &Content, ranges: &[Range<u64>]) {
    let kind = answer.header("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap_or_else(|| panic!("{kind}"));
    let boundary = boundary.trim_matches('"');
    assert_eq!(
        answer.header("content-length"),
        Some(answer.body.len().to_string().as_str())
    );
    let mut rest = answer.body.as_slice();
    for range in ranges {
        let (head, body) = split(rest, b"\r\n\r\n");
        let head = String::from_utf8(head.to_vec()).unwrap().to_ascii_lowercase();
        assert!(head.contains(&format!("--{}", boundary.to_ascii_lowercase())), "{head}");
        let told = format!("content-range: bytes {}-{}/{}", range.start, range.end - 1, blob.len());
        assert!(head.contains(&told), "{head} lacks {told}");
        let len = usize::try_from(range.end - range.start).unwrap();
        assert!(body[..len] == blob.bytes(range.clone()), "wrong bytes in {told}");
        rest = &body[len..];
    }
    assert_eq!(String::from_utf8_lossy(rest).trim(), format!("--{boundary}--"));
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> (&'a [u8], &'a [u8]) {
    let end = bytes
        .windows(at.len())
        .position(|window| window == at)
        .expect("a part's head");
    (&bytes[..end], &bytes[end + at.len()..])
}
