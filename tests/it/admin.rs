//! The control socket: whose it is, what it takes, and when it is there.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::soon;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Setup, Wharf};

fn socket(wharf: &Wharf) -> PathBuf {
    wharf.store().join("wharf.sock")
}

fn is_there(wharf: &Wharf) -> bool {
    let found = socket(wharf).symlink_metadata();
    found.is_ok_and(|found| found.file_type().is_socket())
}

async fn connect(wharf: &Wharf) -> UnixStream {
    UnixStream::connect(socket(wharf)).await.unwrap()
}

/// All that is answered, line by line.
async fn answers(mut stream: UnixStream) -> Vec<Value> {
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    soon("the last answer", read).await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn say(wharf: &Wharf, words: &[u8]) -> Vec<Value> {
    let mut stream = connect(wharf).await;
    stream.write_all(words).await.unwrap();
    answers(stream).await
}

fn line(version: &str, command: &Value) -> Vec<u8> {
    let mut line = json!({ "wharf": version, "command": command }).to_string();
    line.push('\n');
    line.into_bytes()
}

fn dry_run() -> Vec<u8> {
    line(env!("CARGO_PKG_VERSION"), &json!({ "gc": { "dry_run": true } }))
}

/// The one line, which says why not.
fn refusal(answers: &[Value]) -> &str {
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0]["error"].as_str().unwrap()
}

async fn started() -> Wharf {
    Wharf::of(&Upstream::start()).await
}

#[tokio::test]
async fn it_is_its_users_alone_and_is_there_as_long_as_wharf_runs() {
    let mut wharf = started().await;
    assert!(is_there(&wharf));
    let mode = socket(&wharf).symlink_metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    assert!(!socket(&wharf).exists());
}

#[tokio::test]
async fn what_a_killed_process_has_left_is_replaced() {
    let mut wharf = started().await;
    wharf.kill();
    assert!(is_there(&wharf));
    wharf.restart().await;
    assert_eq!(say(&wharf, &dry_run()).await, [json!({ "ok": null })]);
}

#[tokio::test]
async fn where_something_else_is_wharf_serves_and_leaves_it() {
    let mut wharf = started().await;
    wharf.signal_term();
    wharf.ends().await;
    std::fs::write(socket(&wharf), "somebody's").unwrap();
    wharf.restart().await;
    wharf.says("cannot reach this process").await;
    assert_eq!(wharf.get("/v2/").await.status, 200);
    assert!(wharf.log().contains("WARN"), "{}", wharf.log());
    assert_eq!(std::fs::read_to_string(socket(&wharf)).unwrap(), "somebody's");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_said_and_wharf_serves() {
    let home = tempfile::TempDir::new().unwrap();
    let store = home.path().join("long".repeat(25));
    let setup = Setup::new().variable("WHARF_STORE__PATH", &store.display().to_string());
    let wharf = setup.start().await;
    wharf.says("give store.path a shorter name").await;
    assert_eq!(wharf.get("/v2/").await.status, 200);
    let (status, said) = wharf.run(&["gc", "--config", "wharf.toml"]).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("give store.path a shorter name"), "{said}");
}

#[tokio::test]
async fn what_is_no_command_is_refused_in_words() {
    let wharf = started().await;
    for garbage in [&b"\n"[..], b"GET / HTTP/1.1\r\n", b"{}\n", b"[1]\n", b"\xff\xfe\n"] {
        let answers = say(&wharf, garbage).await;
        assert!(refusal(&answers).starts_with("no command: "), "{answers:?}");
    }
    let ours = env!("CARGO_PKG_VERSION");
    for unknown in [
        json!("launch"),
        json!({ "gc": {} }),
        json!({ "gc": { "dry_run": true, "deep": true } }),
        json!({ "gc": { "dry_run": true, "grace": "-1s" } }),
    ] {
        let answers = say(&wharf, &line(ours, &unknown)).await;
        assert!(refusal(&answers).starts_with("no command: "), "{unknown}: {answers:?}");
        let answers = say(&wharf, &line("99.0.0", &unknown)).await;
        let said = refusal(&answers);
        assert!(said.contains("wharf 99.0.0") && said.contains(ours), "{said}");
        assert!(said.contains("use the same version"), "{said}");
    }
    let answers = say(&wharf, &line("99.0.0", &json!({ "gc": { "dry_run": true } }))).await;
    assert_eq!(
        answers,
        [json!({ "ok": null })],
        "what is known is done for any version"
    );
}

#[tokio::test]
async fn a_line_that_does_not_end_is_cut() {
    let wharf = started().await;
    let answers = say(&wharf, &b"{".repeat(8 * 1024)).await;
    assert_eq!(refusal(&answers), "no command has more than 8192 bytes");
    assert_eq!(say(&wharf, &dry_run()).await, [json!({ "ok": null })]);
}

#[tokio::test]
async fn callers_do_not_wait_for_each_other_and_few_are_let_in() {
    let wharf = started().await;
    let mut silent = Vec::new();
    for _ in 0..7 {
        silent.push(connect(&wharf).await);
    }
    let (one, two) = (dry_run(), dry_run());
    let both = tokio::join!(say(&wharf, &one), say(&wharf, &two));
    assert_eq!(both, (vec![json!({ "ok": null })], vec![json!({ "ok": null })]));

    silent.push(connect(&wharf).await);
    let mut ninth = connect(&wharf).await;
    ninth.write_all(&dry_run()).await.unwrap();
    let mut byte = [0];
    let waits = crate::support::quiet(std::time::Duration::from_millis(200), ninth.read(&mut byte)).await;
    assert!(waits, "eight are on the line");
    silent.pop();
    assert_eq!(answers(ninth).await, [json!({ "ok": null })]);
}
