//! What breaks in the middle of an upload costs nothing but what was not received: connections, processes, clients.

use std::time::Duration;

use crate::support::client::{Answer, Client};
use crate::support::image::{Content, KIB, MIB};
use crate::support::soon;
use crate::support::upload::{alone, closing};
use crate::support::wharf::{Setup, Wharf};

const HALF: u64 = MIB + 11;
const WHOLE: u64 = 3 * MIB;

/// A request for the whole rest of the blob of which only the bytes up to `HALF` are sent.
async fn half(wharf: &Wharf, method: &str, target: &str, blob: &Content) -> Client {
    let length = blob.len().to_string();
    let headers = [("Content-Length", length.as_str())];
    wharf.begins(method, target, &headers, &blob.bytes(0..HALF)).await
}

/// The offset to go on from, as the session says it.
async fn offset(wharf: &Wharf, location: &str) -> u64 {
    let range = wharf.reached(location).await;
    range.strip_prefix("0-").unwrap().parse::<u64>().unwrap() + 1
}

/// Goes on where the session says it is, and closes it.
async fn completes(wharf: &Wharf, name: &str, location: &str, blob: &Content) {
    let from = offset(wharf, location).await;
    assert!(from > 1, "something was kept");
    let patched = wharf.chunk(location, from, &blob.bytes(from..blob.len())).await;
    assert_eq!(patched.status, 202, "{}", patched.text());
    assert_eq!(patched.header("range"), Some(&*format!("0-{}", blob.len() - 1)));
    let created = wharf.close(location, blob.digest(), b"").await;
    assert_eq!(created.status, 201, "{}", created.text());
    wharf.has_exactly(name, blob).await;
}

fn assert_busy(answer: &Answer, location: &str) {
    assert_eq!((answer.status, &*answer.code()), (409, "BLOB_UPLOAD_INVALID"));
    assert_eq!(answer.header("location"), Some(location));
    assert!(answer.header("range").is_some());
}

#[tokio::test]
async fn a_connection_that_breaks_keeps_what_came() {
    for method in ["PATCH", "PUT"] {
        let (wharf, blob) = (alone().await, Content::seeded(1, WHOLE));
        let location = wharf.begin("a/b").await;
        let target = if method == "PUT" {
            closing(&location, blob.digest())
        } else {
            location.clone()
        };
        let client = half(&wharf, method, &target, &blob).await;
        wharf.reaches(&location, HALF).await;
        drop(client);
        completes(&wharf, "a/b", &location, &blob).await;
    }
}

#[tokio::test]
async fn a_client_that_comes_back_needs_not_wait_for_the_end_of_its_old_connection() {
    let (wharf, blob) = (alone().await, Content::seeded(2, WHOLE));
    let location = wharf.begin("a/b").await;
    let silent = half(&wharf, "PATCH", &location, &blob).await;
    wharf.reaches(&location, HALF).await;
    completes(&wharf, "a/b", &location, &blob).await;
    let answer = silent.answer(false).await.unwrap().whole().await;
    assert_busy(&answer, &location);
}

#[tokio::test]
async fn a_killed_process_doubles_no_byte_and_loses_none_that_it_told_of() {
    for method in ["PATCH", "PUT"] {
        let (mut wharf, blob) = (alone().await, Content::seeded(3, WHOLE));
        let location = wharf.begin("a/b").await;
        let target = if method == "PUT" {
            closing(&location, blob.digest())
        } else {
            location.clone()
        };
        let _client = half(&wharf, method, &target, &blob).await;
        wharf.reaches(&location, HALF).await;
        wharf.kill();
        wharf.restart().await;
        assert_eq!(offset(&wharf, &location).await, HALF);
        completes(&wharf, "a/b", &location, &blob).await;
        assert!(wharf.upload_files().is_empty());
    }
}

#[tokio::test]
async fn a_session_survives_an_ordinary_restart_before_its_first_byte_and_after() {
    let (mut wharf, blob) = (alone().await, Content::seeded(4, WHOLE));
    let (empty, begun) = (wharf.begin("a/b").await, wharf.begin("a/b").await);
    wharf.patch(&begun, &[], &blob.bytes(0..HALF)).await;
    wharf.signal_term();
    wharf.ends().await;
    wharf.restart().await;
    assert_eq!(wharf.reached(&empty).await, "0-0");
    completes(&wharf, "a/b", &begun, &blob).await;
    let created = wharf.close(&empty, blob.digest(), &blob.all()).await;
    assert_eq!(created.status, 201, "{}", created.text());
}

#[tokio::test]
async fn two_requests_on_one_session_never_mix_their_bytes() {
    let (wharf, blob) = (alone().await, Content::seeded(5, 200 * KIB));
    let location = wharf.begin("a/b").await;
    let length = blob.len().to_string();
    let headers = [("Content-Length", length.as_str())];
    let mut first = wharf.begins("PATCH", &location, &headers, &blob.bytes(0..KIB)).await;
    wharf.reaches(&location, KIB).await;
    let others = async {
        let (patch, cancel) = tokio::join!(wharf.patch(&location, &[], &[7; 1000]), wharf.delete(&location));
        assert_busy(&patch, &location);
        assert_busy(&cancel, &location);
    };
    let slow = async {
        let mut steps = tokio::time::interval(Duration::from_millis(20));
        for at in 1..200 {
            steps.tick().await;
            first.write(&blob.bytes(at * KIB..(at + 1) * KIB)).await.unwrap();
        }
        first.answer(false).await.unwrap()
    };
    let (answer, ()) = soon("both requests to end", async { tokio::join!(slow, others) }).await;
    assert_eq!(answer.status, 202);
    assert_eq!(wharf.close(&location, blob.digest(), b"").await.status, 201);
    wharf.has_exactly("a/b", &blob).await;
}

#[tokio::test]
async fn a_client_that_falls_silent_is_told_and_its_session_stays() {
    let (setup, blob) = (
        Setup::new().server("client_silence", "\"300ms\""),
        Content::seeded(6, WHOLE),
    );
    let wharf = setup.start().await;
    let location = wharf.begin("a/b").await;
    let silent = half(&wharf, "PATCH", &location, &blob).await;
    let answer = silent.answer(false).await.unwrap().whole().await;
    assert_eq!((answer.status, &*answer.code()), (408, "SIZE_INVALID"));
    assert_eq!(answer.header("range"), Some(&*format!("0-{}", HALF - 1)));
    assert_eq!(answer.header("connection"), Some("close"));
    completes(&wharf, "a/b", &location, &blob).await;
}

#[tokio::test]
async fn what_nobody_goes_on_with_expires_and_what_moves_does_not() {
    let wharf = Setup::new().table("hosted", "upload_expiry = \"400ms\"").start().await;
    let blob = Content::seeded(7, 60 * KIB);
    let (left, used) = (wharf.begin("a/b").await, wharf.begin("a/b").await);
    wharf.patch(&left, &[], &blob.bytes(0..KIB)).await;
    let length = blob.len().to_string();
    let headers = [("Content-Length", length.as_str())];
    let mut client = wharf.begins("PATCH", &used, &headers, b"").await;
    let mut steps = tokio::time::interval(Duration::from_millis(20));
    for at in 0..60 {
        steps.tick().await;
        client.write(&blob.bytes(at * KIB..(at + 1) * KIB)).await.unwrap();
    }
    assert_eq!(client.answer(false).await.unwrap().status, 202);
    assert_eq!(wharf.close(&used, blob.digest(), b"").await.status, 201);
    assert_eq!(wharf.get(&left).await.status, 404);
    assert!(wharf.upload_files().is_empty());
}

#[tokio::test]
async fn sessions_of_an_earlier_process_expire_too() {
    let setup = |expiry: &str| Setup::new().table("hosted", &format!("upload_expiry = \"{expiry}\""));
    let mut wharf = setup("1h").start().await;
    let location = wharf.begin("a/b").await;
    wharf.patch(&location, &[], b"hello").await;
    wharf.kill();
    wharf.reconfigure(&setup("1ms"));
    wharf.restart().await;
    let gone = async {
        while wharf.get(&location).await.status != 404 || !wharf.upload_files().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("the session to expire", gone).await;
}

#[tokio::test]
async fn nothing_stays_of_a_blob_in_one_post_whose_client_left() {
    let (wharf, blob) = (alone().await, Content::seeded(8, WHOLE));
    let target = format!("/v2/a/b/blobs/uploads/?digest={}", blob.digest());
    let client = half(&wharf, "POST", &target, &blob).await;
    let until = async |files: usize| {
        while wharf.upload_files().len() != files {
            tokio::task::yield_now().await;
        }
    };
    soon("its bytes to be written", until(1)).await;
    drop(client);
    soon("its bytes to go", until(0)).await;
}

#[tokio::test]
async fn a_client_that_leaves_after_its_last_byte_finds_its_blob() {
    let (wharf, blob) = (alone().await, Content::seeded(9, 20 * MIB));
    let location = wharf.begin("a/b").await;
    let length = blob.len().to_string();
    let headers = [("Content-Length", length.as_str())];
    let client = wharf
        .begins("PUT", &closing(&location, blob.digest()), &headers, &blob.all())
        .await;
    drop(client);
    let here = async {
        while wharf.get(&location).await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    soon("the session to be over", here).await;
    wharf.has_exactly("a/b", &blob).await;
}

/// Its file has the blob's name by then, and the blob has no row.
#[tokio::test]
async fn a_kill_in_the_middle_of_its_landing_costs_no_byte() {
    let (mut wharf, blob) = (alone().await, Content::seeded(10, WHOLE));
    let blobs = wharf.store().join("blobs/sha256");
    wharf.kill();
    let synced = ["-P", blobs.to_str().unwrap(), "-e", "trace=fsync"];
    let kill = ["-e", "inject=fsync:signal=SIGKILL"];
    assert!(wharf.restart_traced(&[&synced[..], &kill].concat()).await);
    let location = wharf.begin("a/b").await;
    wharf.patch(&location, &[], &blob.bytes(0..HALF)).await;
    let rest = blob.bytes(HALF..WHOLE);
    let length = rest.len().to_string();
    let headers = [("Content-Length", length.as_str())];
    let target = closing(&location, blob.digest());
    let _unanswered = wharf.begins("PUT", &target, &headers, &rest).await;
    wharf.ends().await;
    assert!(wharf.upload_files().is_empty(), "its file has been renamed");
    wharf.restart().await;
    assert_eq!(offset(&wharf, &location).await, WHOLE);
    let created = wharf.close(&location, blob.digest(), b"").await;
    assert_eq!(created.status, 201, "{}", created.text());
    wharf.has_exactly("a/b", &blob).await;
}
