//! P11 and the life of the process: ready at once, one per store, and an orderly end.

use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode};
use tokio::net::TcpStream;

use crate::support::client::Ended;
use crate::support::image::{Content, Image, MIB};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf, run};
use crate::support::{blob_path, manifest_path};

#[tokio::test]
async fn wharf_is_ready_within_two_seconds_and_says_what_it_does() {
    let upstream = Upstream::start();
    let began = Instant::now();
    let wharf = Wharf::of(&upstream).await;
    let answer = wharf.get("/v2/").await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    let log = wharf.log();
    for word in [
        wharf.address().to_string(),
        wharf.store().display().to_string(),
        "hub".to_owned(),
    ] {
        assert!(log.contains(&word), "the log does not tell {word}:\n{log}");
    }
    assert_eq!(upstream.connections(), 0, "nothing is asked at start");
}

#[tokio::test]
async fn a_second_process_on_the_same_store_is_refused_and_told_who_holds_it() {
    let upstream = Upstream::start();
    let mut wharf = Wharf::of(&upstream).await;
    let (status, said) = wharf.rival().await;
    assert!(!status.success());
    assert!(said.contains(&wharf.pid().to_string()), "{said}");
    assert_eq!(wharf.get("/v2/").await.status, 200, "the holder is not disturbed");
    wharf.kill();
    wharf.restart().await;
    assert_eq!(wharf.get("/v2/").await.status, 200, "a dead holder holds nothing");
}

/// A client in the middle of a blob whose upstream waits at a gate.
async fn in_mid_stream(drain: &str) -> (Upstream, Wharf, Content, Gate, crate::support::client::Response) {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, 4 * MIB), Gate::at(MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let wharf = Setup::new()
        .server("drain", drain)
        .mirror(Mirror::of("hub", &upstream))
        .start()
        .await;
    let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    answer.exactly(MIB).await;
    (upstream, wharf, blob, gate, answer)
}

#[tokio::test]
async fn sigterm_lets_a_running_stream_end_and_takes_no_new_one() {
    let (_upstream, mut wharf, blob, gate, mut answer) = in_mid_stream("\"25s\"").await;
    wharf.signal_term();
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let closed = async {
        while TcpStream::connect(wharf.address()).await.is_ok() {
            steps.tick().await;
        }
    };
    crate::support::soon("the port to close", closed).await;
    gate.open();
    assert_eq!(answer.rest().await, (blob.bytes(MIB..blob.len()), Ended::Clean));
    assert!(wharf.ends().await.success());
}

#[tokio::test]
async fn sigterm_cuts_what_has_not_ended_within_the_drain() {
    let (_upstream, mut wharf, blob, _gate, mut answer) = in_mid_stream("\"200ms\"").await;
    let began = Instant::now();
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    assert!(began.elapsed() < Duration::from_secs(10));
    let (bytes, ended) = answer.rest().await;
    assert!(ended != Ended::Clean && (bytes.len() as u64) < blob.len() - MIB);
}

#[tokio::test]
async fn an_idle_wharf_ends_at_once_on_sigterm() {
    let upstream = Upstream::start();
    let mut wharf = Setup::new()
        .server("drain", "\"25s\"")
        .mirror(Mirror::of("hub", &upstream))
        .start()
        .await;
    // A client that keeps its connection open without asking for anything must not hold up the end.
    let answer = wharf.open("/v2/").await;
    let began = Instant::now();
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(answer);
}

#[tokio::test]
async fn a_second_sigterm_cuts_what_runs() {
    let (_upstream, mut wharf, blob, _gate, mut answer) = in_mid_stream("\"25s\"").await;
    wharf.signal_term();
    // Two signals at once would be one.
    wharf.says("no new connections").await;
    let began = Instant::now();
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(wharf.log().contains("asked to stop at once"), "{}", wharf.log());
    let (bytes, ended) = answer.rest().await;
    assert!(ended != Ended::Clean && (bytes.len() as u64) < blob.len() - MIB);
}

/// What is asked of an upstream that says nothing goes on when nobody waits, but not when the process ends.
#[tokio::test]
async fn sigterm_waits_for_no_upstream() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let mirror = Mirror::of("hub", &upstream).set("fresh_for", "\"0s\"");
    let mut wharf = Setup::new().mirror(mirror.set("revalidate", "\"50ms\"")).start().await;
    let tag = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&tag).await.status, 200);
    let asked = upstream.count(&On::any());
    upstream.script(On::any(), [Act::HoldHead(Gate::shut())]);
    assert_eq!(wharf.get(&tag).await.status, 200, "stale: its revalidation goes on");
    let mut client = wharf.connect().await;
    client.ask("GET", &blob_path("hub/a/b", image.layer(0)), &[]).await;
    upstream
        .until("the blob to be asked for", |upstream| upstream.count(&On::blobs()) == 1)
        .await;
    let port = client.port();
    drop(client);
    let mut steps = tokio::time::interval(Duration::from_millis(50));
    let left = async {
        while wharf.holds(port) {
            steps.tick().await;
        }
    };
    crate::support::soon("the client to be gone", left).await;
    assert_eq!(upstream.count(&On::any()), asked + 2, "{}", upstream.story());
    let began = Instant::now();
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_file_key_and_value() {
    for (toml, words) in [
        ("[server]\nlissten = \"x\"", vec!["lissten"]),
        ("[server]\nlisten = \"nonsense\"", vec!["listen", "nonsense"]),
        ("[server]\ndrain = \"soon\"", vec!["drain", "soon"]),
        (
            "[mirror.\"hub\"]\nendpoints = [\"nonsense\"]",
            vec!["hub", "endpoints", "nonsense"],
        ),
        ("[mirror.\"hub\"]\nendpoints = []", vec!["hub", "endpoints"]),
        (
            "[mirror.\"hub\"]\nendpoints = [\"ftp://x\"]",
            vec!["hub", "endpoints", "ftp"],
        ),
        (
            "[mirror.\"hub\"]\nendpoints = [\"http://x\"]\nuser = \"x\"",
            vec!["user"],
        ),
        (
            "[mirror.\"Not A Name\"]\nendpoints = [\"http://x\"]",
            vec!["Not A Name"],
        ),
        (
            "[mirror.\"hub\"]\nendpoints = [\"http://x\"]\nfresh_for = \"often\"",
            vec!["fresh_for", "often"],
        ),
        (
            "[mirror.\"a\"]\nendpoints = [\"http://x\"]\nns = [\"x.io\"]\n[mirror.\"b\"]\nendpoints = [\"http://y\"]\nns = [\"x.io\"]",
            vec!["x.io"],
        ),
        (
            "[mirror.\"docker.io\"]\ndeny = [\"library/Alpine:3*\"]",
            vec!["docker.io", "deny", "library/Alpine:3*"],
        ),
        (
            "[mirror.\"docker.io\"]\nallow = [\"docker.io/library/*\"]",
            vec!["docker.io", "allow", "docker.io/library/*"],
        ),
        ("not toml", vec!["wharf.toml"]),
    ] {
        for arguments in [
            ["serve", "--config", "wharf.toml"].as_slice(),
            &["config", "check", "--config", "wharf.toml"],
        ] {
            let (status, said) = run(arguments, toml).await;
            assert!(!status.success(), "{toml}");
            for word in words.iter().chain(&["wharf.toml"]) {
                assert!(
                    said.contains(word),
                    "{arguments:?} does not name {word} in:\n{toml}\nbut says\n{said}"
                );
            }
        }
    }
}

#[tokio::test]
async fn config_check_prints_what_would_be_in_force() {
    let (status, said) = run(
        &["config", "check", "--config", "wharf.toml"],
        "[server]\ndrain = \"17s\"",
    )
    .await;
    assert!(status.success(), "{said}");
    for word in [
        "17s",
        "127.0.0.1:5000",
        "docker.io",
        "ghcr.io",
        "quay.io",
        "registry.k8s.io",
        "wharf-data",
    ] {
        assert!(said.contains(word), "{word} is missing in:\n{said}");
    }
}

#[tokio::test]
async fn version_and_help_are_told() {
    let (status, said) = run(&["--version"], "").await;
    assert!(status.success() && said.starts_with("wharf "), "{said}");
    let (status, said) = run(&["--help"], "").await;
    assert!(
        status.success() && said.contains("serve") && said.contains("config"),
        "{said}"
    );
}

/// Waits until a thread of the process opens a pipe that nobody writes to.
async fn blocked(pid: u32) {
    let waits = |thread: std::io::Result<std::fs::DirEntry>| {
        let place = std::fs::read_to_string(thread.unwrap().path().join("wchan"));
        place.is_ok_and(|place| place == "wait_for_partner")
    };
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let blocked = async {
        while !std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().any(waits) {
            steps.tick().await;
        }
    };
    crate::support::soon("a thread to wait for a disk", blocked).await;
}

#[tokio::test]
async fn an_end_that_cuts_work_is_not_taken_for_a_clean_one() {
    let mut wharf = Setup::new().server("drain", "\"1ms\"").start().await;
    let blob = Content::seeded(1, MIB);
    wharf.push_blob("team/app", &blob).await;
    let file = wharf.store().join("blobs").join(blob.digest().replace(':', "/"));
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let mut client = wharf.connect().await;
    client.ask("GET", &blob_path("team/app", &blob), &[]).await;
    blocked(wharf.pid()).await;
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    assert!(wharf.log().contains("did not end in time"), "{}", wharf.log());
    assert!(wharf.store().join("running").exists(), "{}", wharf.log());
}
