//! P3: no single response ever completes a wrong blob, and only proven content is visible.

use std::time::Duration;

use crate::support::client::{Answer, Ended, Response};
use crate::support::image::{Content, Image, KIB, MIB};
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;
use crate::support::{blob_path, manifest_path, quiet, soon};

const LEN: u64 = 4 * MIB;

struct Harbour {
    upstream: Upstream,
    wharf: Wharf,
    blob: Content,
    target: String,
}

/// One image, its one layer answered as scripted. The manifest, which tells the length, is pulled first when `told`.
async fn harbour(told: bool, acts: &[Act]) -> Harbour {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[LEN]));
    upstream.put_image("a/b", "v1", &image);
    upstream.script(On::blobs(), acts);
    let wharf = Wharf::of(&upstream).await;
    if told {
        assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    }
    let blob = image.layer(0).clone();
    Harbour {
        target: blob_path("hub/a/b", &blob),
        upstream,
        wharf,
        blob,
    }
}

impl Harbour {
    async fn ranged(&self, range: &str) -> Response {
        self.wharf.send("GET", &self.target, &[("Range", range)]).await
    }

    /// The reader was cut by a reset before the last byte.
    async fn assert_cut(&self, mut answer: Response, whole: u64) {
        let (bytes, ended) = answer.rest().await;
        assert!((bytes.len() as u64) < whole, "the last byte left unproven");
        assert_eq!(ended, Ended::Reset, "after {} of {whole} bytes", bytes.len());
    }

    fn assert_told(&self, answer: &Answer) {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "UNAVAILABLE"),
            "{}",
            answer.text()
        );
        let upstream = self.upstream.address().to_string();
        assert!(answer.text().contains(&upstream), "{}", answer.text());
    }

    /// By a client that knows no chunks, and so waits for the proof where no length is known.
    async fn by_http_1_0(&self) -> Response {
        let mut client = self.wharf.connect().await;
        let request = format!("GET {} HTTP/1.0\r\nHost: wharf.test\r\n\r\n", self.target);
        client.write(request.as_bytes()).await.unwrap();
        client.answer(false).await.unwrap()
    }

    /// Nothing wrong is visible, the upstream is left alone for a while, and the client is told the truth.
    async fn assert_backs_off(&self) {
        let asked = self.upstream.count(&On::blobs());
        for range in [None, Some("bytes=0-9"), Some("bytes=-9")] {
            let answer = match range {
                None => self.wharf.get(&self.target).await,
                Some(range) => self.wharf.range(&self.target, range).await,
            };
            self.assert_told(&answer);
        }
        assert_eq!(self.upstream.count(&On::blobs()), asked, "{}", self.upstream.story());
    }
}

#[tokio::test]
async fn a_corrupt_blob_is_reset_before_its_last_byte_whatever_its_framing() {
    for (told, framing) in [
        (true, None),
        (false, None),
        (true, Some(Act::Chunked)),
        (false, Some(Act::Chunked)),
    ] {
        let mut acts = vec![Act::Corrupt(LEN / 2)];
        acts.extend(framing.clone());
        let harbour = harbour(told, &acts).await;
        let answer = harbour.wharf.open(&harbour.target).await;
        assert_eq!((answer.status, answer.is_chunked()), (200, !told && framing.is_some()));
        harbour.assert_cut(answer, LEN).await;
        harbour.assert_backs_off().await;
    }
}

#[tokio::test]
async fn every_reader_of_a_corrupt_blob_is_cut() {
    let gate = Gate::at(MIB);
    let harbour = harbour(true, &[Act::Corrupt(LEN - 1), Act::Hold(gate.clone())]).await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        let mut answer = harbour.wharf.open(&harbour.target).await;
        answer.exactly(KIB).await;
        answers.push(answer);
    }
    gate.open();
    for answer in answers {
        harbour.assert_cut(answer, LEN - KIB).await;
    }
    assert_eq!(harbour.upstream.count(&On::blobs()), 1, "{}", harbour.upstream.story());
}

#[tokio::test]
async fn the_last_byte_waits_while_the_upstream_has_sent_every_byte_and_not_ended() {
    let gate = Gate::at(LEN);
    let harbour = harbour(false, &[Act::Chunked, Act::Hold(gate.clone())]).await;
    let mut answer = harbour.wharf.open(&harbour.target).await;
    assert_eq!(
        answer.exactly(LEN - 1).await,
        harbour.blob.bytes(0..LEN - 1),
        "all others leave"
    );
    assert!(
        quiet(Duration::from_millis(150), answer.some(1)).await,
        "the last one must wait"
    );
    gate.open();
    assert_eq!(answer.rest().await, (harbour.blob.bytes(LEN - 1..LEN), Ended::Clean));
}

#[tokio::test]
async fn the_last_byte_never_leaves_when_all_were_sent_and_one_was_wrong() {
    let gate = Gate::at(LEN);
    let harbour = harbour(false, &[Act::Chunked, Act::Corrupt(7), Act::Hold(gate.clone())]).await;
    let mut answer = harbour.wharf.open(&harbour.target).await;
    answer.exactly(LEN - 1).await;
    assert!(quiet(Duration::from_millis(150), answer.some(1)).await);
    gate.open();
    harbour.assert_cut(answer, 1).await;
    harbour.assert_backs_off().await;
}

#[tokio::test]
async fn a_range_that_could_complete_a_blob_waits_for_the_proof() {
    for range in [
        format!("bytes={}-", LEN / 2),
        "bytes=0-".to_owned(),
        format!("bytes=0-{}", LEN - 1),
    ] {
        let harbour = harbour(true, &[Act::Corrupt(7)]).await;
        let answer = harbour.ranged(&range).await;
        if answer.status == 206 {
            let whole = answer.length().unwrap();
            harbour.assert_cut(answer, whole).await;
        } else {
            assert_eq!(
                answer.status, 502,
                "the mismatch may be known before the first byte is asked for"
            );
        }
    }
}

#[tokio::test]
async fn a_bounded_range_leaves_before_the_proof() {
    let gate = Gate::at(2 * MIB);
    let harbour = harbour(true, &[]).await;
    harbour
        .upstream
        .script(On::blobs().ranged(false), [Act::Hold(gate.clone())]);
    for (range, bytes) in [
        ("bytes=0-999".to_owned(), 0..1000),
        (format!("bytes={MIB}-{}", 2 * MIB - 1), MIB..2 * MIB),
        (format!("bytes={}-{}", LEN - 1000, LEN - 1), LEN - 1000..LEN),
        ("bytes=-1000".to_owned(), LEN - 1000..LEN),
    ] {
        let (body, ended) = harbour.ranged(&range).await.rest().await;
        assert!(body == harbour.blob.bytes(bytes) && ended == Ended::Clean, "{range}");
    }
    gate.open();
    harbour.wharf.landed(&harbour.target).await;
}

/// Where no byte can leave before the proof, the client hears the flight's own word instead of a cut.
#[tokio::test]
async fn a_mismatch_that_is_known_before_the_first_byte_is_a_502_that_names_the_upstream() {
    let empty = harbour(false, &[Act::Shorten(0)]).await;
    let told = empty.wharf.get(&empty.target).await;
    empty.assert_told(&told);
    empty.assert_backs_off().await;

    let unknown = harbour(false, &[Act::Chunked, Act::Corrupt(7)]).await;
    let told = unknown.by_http_1_0().await.whole().await;
    unknown.assert_told(&told);
    unknown.assert_backs_off().await;
}

#[tokio::test]
async fn who_waits_for_the_proof_gets_the_blob_although_an_old_partial_was_wrong() {
    // Nothing here tells the length, or it would have to leave with the head.
    let harbour = harbour(false, &[Act::Chunked, Act::IgnoreRange, Act::Cut(0, How::Rst)]).await;
    let wrong_half = [Act::Chunked, Act::Corrupt(7), Act::Cut(LEN / 2, How::Rst)];
    harbour.upstream.script(On::blobs().times(1), wrong_half);
    let answer = harbour.wharf.open(&harbour.target).await;
    harbour.assert_cut(answer, LEN / 2).await;
    harbour.upstream.heal();
    harbour.upstream.script(On::blobs(), [Act::Chunked, Act::IgnoreRange]);
    let mut answer = harbour.by_http_1_0().await;
    assert_eq!((answer.status, answer.length()), (200, Some(LEN)));
    assert_eq!(answer.hashed().await, harbour.blob.whole());
}

#[tokio::test]
async fn a_truncated_body_is_resumed_and_not_believed() {
    for (framing, how) in [
        (None, How::Fin),
        (None, How::Rst),
        (Some(Act::Chunked), How::Rst),
        (Some(Act::CloseDelimited), How::Fin),
    ] {
        let harbour = harbour(true, &[]).await;
        let acts: Vec<Act> = framing.iter().cloned().chain([Act::Cut(LEN / 2, how)]).collect();
        harbour.upstream.script(On::blobs().times(1), acts);
        let answer = harbour.wharf.open(&harbour.target).await.hashed().await;
        assert_eq!(answer, harbour.blob.whole(), "{framing:?} {how:?}");
        assert_eq!(harbour.upstream.sent(&On::blobs()), LEN, "{}", harbour.upstream.story());
    }
}

#[tokio::test]
async fn a_body_that_ends_early_and_cleanly_never_becomes_a_blob() {
    for framing in [Act::Chunked, Act::CloseDelimited] {
        let harbour = harbour(false, &[framing, Act::Shorten(LEN / 2)]).await;
        let answer = harbour.wharf.open(&harbour.target).await;
        assert_eq!(answer.status, 200);
        harbour.assert_cut(answer, LEN / 2).await;
        harbour.assert_backs_off().await;
    }
}

#[tokio::test]
async fn a_length_that_contradicts_the_manifest_is_refused_before_a_byte_leaves() {
    for act in [Act::Shorten(LEN / 2), Act::Lengthen(1)] {
        let harbour = harbour(true, &[act]).await;
        let answer = harbour.wharf.get(&harbour.target).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "UNAVAILABLE"));
    }
}

#[tokio::test]
async fn a_wrong_length_that_nothing_contradicts_is_caught_by_the_proof() {
    for (act, whole) in [(Act::Shorten(LEN / 2), LEN / 2), (Act::Lengthen(5), LEN + 5)] {
        let harbour = harbour(false, &[act]).await;
        let answer = harbour.wharf.open(&harbour.target).await;
        harbour.assert_cut(answer, whole).await;
    }
}

#[tokio::test]
async fn what_is_not_content_is_a_502_and_nothing_of_it_is_kept() {
    let lies = [
        vec![Act::Html],
        vec![Act::Header("content-encoding", "gzip".to_owned())],
        vec![
            Act::Header("content-type", "text/html; charset=utf-8".to_owned()),
            Act::Chunked,
        ],
    ];
    for told in [true, false] {
        for acts in &lies {
            let harbour = harbour(told, acts).await;
            let answer = harbour.wharf.get(&harbour.target).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (502, "UNAVAILABLE"),
                "{acts:?}"
            );
            assert!(
                answer.text().contains(&harbour.upstream.address().to_string()),
                "{}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn a_mismatch_leaves_nothing_visible_in_any_spelling() {
    let harbour = harbour(true, &[Act::Corrupt(LEN / 2)]).await;
    let answer = harbour.wharf.open(&harbour.target).await;
    harbour.assert_cut(answer, LEN).await;
    harbour.upstream.stop().await;
    for method in ["GET", "HEAD"] {
        let answer = harbour.wharf.send(method, &harbour.target, &[]).await;
        assert!(answer.status >= 500, "{method}: {}", answer.status);
    }
    let held = std::fs::read_dir(harbour.wharf.store()).unwrap().count();
    assert!(held > 0, "the store is where the test thinks it is");
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let deleted = async {
        while holds_a_file_of(&harbour.wharf.store(), LEN) {
            steps.tick().await;
        }
    };
    soon("the wrong bytes to be deleted", deleted).await;
}

fn holds_a_file_of(folder: &std::path::Path, len: u64) -> bool {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    entries.into_iter().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            holds_a_file_of(&path, len)
        } else {
            entry.metadata().is_ok_and(|meta| meta.len() == len)
        }
    })
}
