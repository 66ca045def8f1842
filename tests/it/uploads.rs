//! Uploads (distribution-spec, "Pushing Blobs"): every way in, exact offsets, and refusals that harm nothing.

use crate::support::blob_path;
use crate::support::client::Answer;
use crate::support::image::{Content, KIB, MIB, sha256, sha512};
use crate::support::upload::{alone, closing, http_chunk};
use crate::support::wharf::Wharf;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn assert_created(answer: &Answer, name: &str, digest: &str) {
    assert_eq!(answer.status, 201, "{}", answer.text());
    let location = format!("/v2/{name}/blobs/{digest}");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(answer.header("docker-content-digest"), Some(digest));
    assert_eq!(answer.header("content-length"), Some("0"));
}

/// Refused with this status and code, and the session goes on where it was.
fn assert_refused(answer: &Answer, expected: (u16, &str), location: &str, range: &str) {
    assert_eq!((answer.status, &*answer.code()), expected, "{}", answer.text());
    assert_eq!(answer.header("location"), Some(location));
    assert_eq!(answer.header("range"), Some(range));
}

#[tokio::test]
async fn a_session_begins_empty_and_says_where_it_goes_on() {
    let wharf = alone().await;
    for target in ["/v2/new/repo/blobs/uploads/", "/v2/new/repo/blobs/uploads"] {
        let headers = [("Content-Length", "0"), ("Content-Type", "application/json")];
        let begun = wharf.sends("POST", target, &headers, b"").await;
        assert_eq!(begun.status, 202);
        assert_eq!(begun.header("content-length"), Some("0"));
        assert_eq!(begun.header("range"), Some("0-0"));
        let session = begun.header("docker-upload-uuid").unwrap();
        let location = format!("/v2/new/repo/blobs/uploads/{session}");
        assert_eq!(begun.header("location"), Some(location.as_str()));
        assert_eq!(wharf.reached(&location).await, "0-0");
        let leftover = wharf.head(&closing(&location, EMPTY)).await;
        assert_eq!((leftover.status, leftover.header("range")), (204, Some("0-0")));
    }
    assert!(wharf.upload_files().is_empty(), "no byte, no file");
}

#[tokio::test]
async fn a_blob_comes_in_one_patch_of_any_framing() {
    let (wharf, blob) = (alone().await, Content::seeded(1, 3 * MIB + 7));
    for chunked in [false, true] {
        let name = if chunked { "with/chunks" } else { "with/length" };
        let location = wharf.begin(name).await;
        let (headers, body): (&[_], _) = if chunked {
            (
                &[("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")],
                [http_chunk(&blob.all()), http_chunk(b"")].concat(),
            )
        } else {
            (&[], blob.all())
        };
        let patched = wharf.patch(&location, headers, &body).await;
        assert_eq!(patched.status, 202, "{}", patched.text());
        assert_eq!(patched.header("location"), Some(location.as_str()));
        assert_eq!(patched.header("range"), Some(&*format!("0-{}", blob.len() - 1)));
        assert_eq!(patched.header("content-length"), Some("0"));
        assert_eq!(wharf.get(&blob_path(name, &blob)).await.status, 404, "not finished");
        assert_created(&wharf.close(&location, blob.digest(), b"").await, name, blob.digest());
        wharf.has_exactly(name, &blob).await;
        let elsewhere = wharf.get(&blob_path("some/other", &blob)).await;
        assert_eq!((elsewhere.status, &*elsewhere.code()), (404, "NAME_UNKNOWN"));
    }
}

#[tokio::test]
async fn a_blob_comes_with_the_closing_put_and_behind_what_was_there() {
    let (wharf, blob) = (alone().await, Content::seeded(2, MIB));
    let location = wharf.begin("a/b").await;
    let escaped = blob.digest().replace(':', "%3A");
    let created = wharf.close(&location, &escaped, &blob.all()).await;
    assert_created(&created, "a/b", blob.digest());
    wharf.has_exactly("a/b", &blob).await;

    let location = wharf.begin("c/d").await;
    let half = MIB / 2;
    wharf.patch(&location, &[], &blob.bytes(0..half)).await;
    let created = wharf.close(&location, blob.digest(), &blob.bytes(half..MIB)).await;
    assert_created(&created, "c/d", blob.digest());
    wharf.has_exactly("c/d", &blob).await;
}

#[tokio::test]
async fn a_blob_comes_in_one_post_or_not_at_all() {
    let (wharf, blob) = (alone().await, Content::seeded(3, 300 * KIB));
    let post = |digest: &str| format!("/v2/a/b/blobs/uploads/?digest={digest}");
    let other = sha256(b"something else");
    for (digest, body) in [(other.as_str(), blob.all()), (EMPTY, blob.all())] {
        let refused = wharf.sends("POST", &post(digest), &[], &body).await;
        assert_eq!((refused.status, &*refused.code()), (400, "DIGEST_INVALID"));
    }
    assert!(wharf.upload_files().is_empty());
    let created = wharf.sends("POST", &post(blob.digest()), &[], &blob.all()).await;
    assert_created(&created, "a/b", blob.digest());
    wharf.has_exactly("a/b", &blob).await;
    let chunked = [http_chunk(&blob.all()), http_chunk(b"")].concat();
    let header = [("Transfer-Encoding", "chunked")];
    let created = wharf.sends("POST", &post(blob.digest()), &header, &chunked).await;
    assert_created(&created, "a/b", blob.digest());
}

#[tokio::test]
async fn a_post_that_names_a_digest_and_brings_nothing_is_a_session() {
    let (wharf, blob) = (alone().await, Content::seeded(4, 10));
    let location = wharf.begin_with("a/b", &format!("?digest={}", blob.digest())).await;
    assert_eq!(wharf.get(&blob_path("a/b", &blob)).await.status, 404);
    let created = wharf.close(&location, blob.digest(), &blob.all()).await;
    assert_created(&created, "a/b", blob.digest());
}

#[tokio::test]
async fn chunks_are_answered_with_the_exact_range_and_the_last_may_be_the_closing_put() {
    let (wharf, blob) = (alone().await, Content::seeded(5, 100 * KIB));
    for put_last in [false, true] {
        let location = wharf.begin("a/b").await;
        let (first, second) = (40 * KIB, 80 * KIB);
        for (start, end) in [(0, first), (first, second)] {
            let patched = wharf.chunk(&location, start, &blob.bytes(start..end)).await;
            assert_eq!(patched.status, 202, "{}", patched.text());
            assert_eq!(patched.header("range"), Some(&*format!("0-{}", end - 1)));
            assert_eq!(wharf.reached(&location).await, format!("0-{}", end - 1));
        }
        let last = blob.bytes(second..blob.len());
        let created = if put_last {
            let range = format!("bytes {second}-{}/*", blob.len() - 1);
            let target = closing(&location, blob.digest());
            wharf.sends("PUT", &target, &[("Content-Range", &range)], &last).await
        } else {
            assert_eq!(wharf.chunk(&location, second, &last).await.status, 202);
            wharf.close(&location, blob.digest(), b"").await
        };
        assert_created(&created, "a/b", blob.digest());
        wharf.has_exactly("a/b", &blob).await;
    }
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_appends_nothing_and_kills_nothing() {
    let (wharf, blob) = (alone().await, Content::seeded(6, 1000));
    let location = wharf.begin("a/b").await;
    let ahead = wharf.chunk(&location, 1, &blob.bytes(1..500)).await;
    assert_refused(&ahead, (416, "BLOB_UPLOAD_INVALID"), &location, "0-0");
    assert_eq!(wharf.chunk(&location, 0, &blob.bytes(0..500)).await.status, 202);
    // Sent again, with a gap, and with an overlap.
    for start in [0, 501, 499] {
        let refused = wharf.chunk(&location, start, &blob.bytes(start..1000)).await;
        assert_refused(&refused, (416, "BLOB_UPLOAD_INVALID"), &location, "0-499");
        let target = closing(&location, blob.digest());
        let range = format!("{start}-999");
        let headers = [("Content-Range", range.as_str())];
        let refused = wharf.sends("PUT", &target, &headers, &blob.bytes(start..1000)).await;
        assert_refused(&refused, (416, "BLOB_UPLOAD_INVALID"), &location, "0-499");
        assert_eq!(wharf.reached(&location).await, "0-499");
    }
    assert_eq!(wharf.chunk(&location, 500, &blob.bytes(500..1000)).await.status, 202);
    let created = wharf.close(&location, blob.digest(), b"").await;
    assert_created(&created, "a/b", blob.digest());
    wharf.has_exactly("a/b", &blob).await;
}

#[tokio::test]
async fn a_chunk_whose_length_lies_keeps_what_lies_within_it() {
    let (wharf, blob) = (alone().await, Content::seeded(7, 1000));
    let location = wharf.begin("a/b").await;
    let header = [("Content-Range", "0-99")];
    for wrong in [99, 101] {
        let refused = wharf.patch(&location, &header, &blob.bytes(0..wrong)).await;
        assert_refused(&refused, (400, "SIZE_INVALID"), &location, "0-0");
    }
    let chunked = |range: &'static str| [("Content-Range", range), ("Transfer-Encoding", "chunked")];
    let body = |from, to| [http_chunk(&blob.bytes(from..to)), http_chunk(b"")].concat();
    let short = wharf.patch(&location, &chunked("0-199"), &body(0, 100)).await;
    assert_refused(&short, (400, "SIZE_INVALID"), &location, "0-99");
    let long = wharf.patch(&location, &chunked("100-199"), &body(100, 300)).await;
    assert_refused(&long, (400, "SIZE_INVALID"), &location, "0-199");
    let exact = wharf.patch(&location, &chunked("200-999"), &body(200, 1000)).await;
    assert_eq!((exact.status, exact.header("range")), (202, Some("0-999")));
    let created = wharf.close(&location, blob.digest(), b"").await;
    assert_created(&created, "a/b", blob.digest());
    wharf.has_exactly("a/b", &blob).await;
}

#[tokio::test]
async fn a_range_that_is_none_is_refused_before_a_byte_is_taken() {
    let wharf = alone().await;
    let location = wharf.begin("a/b").await;
    for range in ["bytes */5", "0", "4-0", "a-b", "-5", "0-99999999999999999999"] {
        let refused = wharf.patch(&location, &[("Content-Range", range)], b"hello").await;
        assert_eq!(
            (refused.status, &*refused.code()),
            (400, "BLOB_UPLOAD_INVALID"),
            "{range}"
        );
        assert_eq!(wharf.reached(&location).await, "0-0");
    }
}

#[tokio::test]
async fn only_a_wrong_content_ends_a_session_that_cannot_be_closed() {
    let (wharf, blob) = (alone().await, Content::seeded(8, 500 * KIB));
    let location = wharf.begin("a/b").await;
    wharf.patch(&location, &[], &blob.all()).await;
    let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e";
    let upper = blob.digest().to_uppercase();
    let malformed = ["", "?digest=", "?digest=sha256:totallywrong"].map(|query| format!("{location}{query}"));
    let unusable = [md5, upper.as_str()].map(|digest| closing(&location, digest));
    for target in malformed.iter().chain(&unusable) {
        let refused = wharf.sends("PUT", target, &[("Content-Length", "0")], b"").await;
        assert_eq!((refused.status, &*refused.code()), (400, "DIGEST_INVALID"), "{target}");
        assert_eq!(wharf.reached(&location).await, format!("0-{}", blob.len() - 1));
    }
    let wrong = wharf.close(&location, blob.digest(), b"one byte too many").await;
    assert_eq!((wrong.status, &*wrong.code()), (400, "DIGEST_INVALID"));
    assert_eq!(wharf.get(&location).await.status, 404);
    assert_eq!(wharf.get(&blob_path("a/b", &blob)).await.status, 404);
    assert!(wharf.upload_files().is_empty());
}

#[tokio::test]
async fn a_digest_may_be_a_sha512_with_and_without_a_word_before() {
    let (wharf, blob) = (alone().await, Content::seeded(9, 400 * KIB));
    let (bytes, digest) = (blob.all(), sha512(&blob.all()));
    let blobs = format!("/v2/a/b/blobs/{digest}");
    for hint in ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"] {
        for patched in [false, true] {
            let location = wharf.begin_with("a/b", hint).await;
            let (first, last) = if patched {
                bytes.split_at(1000)
            } else {
                (&[][..], &bytes[..])
            };
            if patched {
                assert_eq!(wharf.patch(&location, &[], first).await.status, 202);
            }
            assert_created(&wharf.close(&location, &digest, last).await, "a/b", &digest);
        }
    }
    let pulled = wharf.get(&blobs).await;
    assert!(pulled.status == 200 && pulled.body == bytes);
    assert_eq!(pulled.header("docker-content-digest"), Some(digest.as_str()));
    let unknown = "/v2/a/b/blobs/uploads/?digest-algorithm=md5";
    let refused = wharf.sends("POST", unknown, &[("Content-Length", "0")], b"").await;
    assert_eq!((refused.status, &*refused.code()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn a_blob_without_bytes_is_a_blob() {
    let wharf = alone().await;
    for digest in [EMPTY.to_owned(), sha512(b"")] {
        let location = wharf.begin("a/put").await;
        assert_created(&wharf.close(&location, &digest, b"").await, "a/put", &digest);
        let target = format!("/v2/a/post/blobs/uploads/?digest={digest}");
        let posted = wharf.sends("POST", &target, &[("Content-Length", "0")], b"").await;
        assert_created(&posted, "a/post", &digest);
        for name in ["a/put", "a/post"] {
            let pulled = wharf.get(&format!("/v2/{name}/blobs/{digest}")).await;
            assert_eq!((pulled.status, pulled.header("content-length")), (200, Some("0")));
        }
    }
    let location = wharf.begin("a/put").await;
    let other = wharf.close(&location, &sha256(b"x"), b"").await;
    assert_eq!((other.status, &*other.code()), (400, "DIGEST_INVALID"));
}

/// Every request that there is on a session: none knows it.
async fn is_unknown(wharf: &Wharf, location: &str) {
    for (method, target) in [
        ("GET", location.to_owned()),
        ("PATCH", location.to_owned()),
        ("PUT", closing(location, EMPTY)),
        ("DELETE", location.to_owned()),
    ] {
        let answer = wharf.sends(method, &target, &[("Content-Length", "0")], b"").await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (404, "BLOB_UPLOAD_UNKNOWN"),
            "{method}"
        );
        assert_eq!(answer.header("range"), None);
    }
}

#[tokio::test]
async fn a_session_is_known_in_its_repository_alone_and_only_until_it_is_over() {
    let wharf = alone().await;
    let location = wharf.begin("team/app").await;
    wharf.patch(&location, &[], b"hello").await;
    is_unknown(&wharf, &location.replace("team/app", "team/other")).await;
    assert_eq!(wharf.reached(&location).await, "0-4");
    for unknown in ["00000000-0000-4000-8000-000000000000", "x", "..%2f..%2f"] {
        let target = format!("/v2/team/app/blobs/uploads/{unknown}");
        let answer = wharf.get(&target).await;
        assert!([400, 404].contains(&answer.status), "{unknown}: {}", answer.status);
    }
    let created = wharf.close(&location, &sha256(b"hello"), b"").await;
    assert_eq!(created.status, 201);
    is_unknown(&wharf, &location).await;

    let cancelled = wharf.begin("team/app").await;
    wharf.patch(&cancelled, &[], b"hello").await;
    assert_eq!(wharf.upload_files().len(), 1);
    let gone = wharf.delete(&cancelled).await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert!(wharf.upload_files().is_empty());
    is_unknown(&wharf, &cancelled).await;
}

#[tokio::test]
async fn a_blob_that_is_here_may_be_pushed_again_also_at_the_same_time() {
    let (wharf, blob) = (alone().await, Content::seeded(10, 200 * KIB));
    let push = async || {
        let location = wharf.begin("a/b").await;
        let created = wharf.close(&location, blob.digest(), &blob.all()).await;
        assert_created(&created, "a/b", blob.digest());
    };
    tokio::join!(push(), push(), push(), push());
    push().await;
    wharf.has_exactly("a/b", &blob).await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_is_refused() {
    let (wharf, blob) = (alone().await, Content::seeded(11, 100 * KIB));
    let length = blob.len().to_string();
    let expect = [("Content-Length", length.as_str()), ("Expect", "100-continue")];
    let location = wharf.begin("a/b").await;
    let asking = wharf
        .begins("PUT", &closing(&location, blob.digest()), &expect, b"")
        .await;
    let told = asking.answer(true).await.unwrap();
    assert_eq!(told.status, 100);
    let mut told = told.into_client();
    told.write(&blob.all()).await.unwrap();
    assert_eq!(told.answer(false).await.unwrap().status, 201);

    let ahead = [expect[0], expect[1], ("Content-Range", "7-102406")];
    let open = wharf.begin("a/b").await;
    for (target, headers, expected) in [
        (closing(&location, EMPTY), &expect[..], 404),
        (closing(&open, blob.digest()), &ahead[..], 416),
        (closing(&open, "sha256:x"), &expect[..], 400),
        (
            closing(&open.replace("/v2/", "/v2/docker.io/"), EMPTY),
            &expect[..],
            405,
        ),
    ] {
        let refused = wharf
            .begins("PUT", &target, headers, b"")
            .await
            .answer(false)
            .await
            .unwrap();
        assert_eq!(refused.status, expected, "{target}");
        assert_eq!(refused.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn an_early_refusal_is_read_by_a_client_that_goes_on_sending() {
    let (wharf, blob) = (alone().await, Content::seeded(12, 900 * KIB));
    let unknown = "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000";
    let refused = wharf.patch(unknown, &[], &blob.all()).await;
    assert_eq!((refused.status, &*refused.code()), (404, "BLOB_UPLOAD_UNKNOWN"));
    assert_eq!(refused.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_full_disk_is_a_507_and_the_session_goes_on_once_there_is_room() {
    let (mut wharf, blob) = (alone().await, Content::seeded(13, 300 * KIB));
    let (location, other) = (wharf.begin("a/b").await, wharf.begin("a/b").await);
    let session = location.rsplit('/').next().unwrap();
    let file = wharf.store().join("uploads").join(session);
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let full = wharf.patch(&location, &[], &blob.all()).await;
    assert_refused(&full, (507, "UNAVAILABLE"), &location, "0-0");
    assert!(!full.text().contains("uploads/"), "no path: {}", full.text());
    assert_eq!(
        wharf.close(&other, blob.digest(), &blob.all()).await.status,
        201,
        "nothing else is harmed"
    );

    std::fs::remove_file(&file).unwrap();
    wharf.kill();
    wharf.restart().await;
    assert_eq!(wharf.patch(&location, &[], &blob.all()).await.status, 202);
    let created = wharf.close(&location, blob.digest(), b"").await;
    assert_created(&created, "a/b", blob.digest());
}
