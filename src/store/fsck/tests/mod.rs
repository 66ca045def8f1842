#![expect(clippy::disallowed_methods, reason = "the tests harm the store behind its back")]

mod content;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::oci::{Algorithm, Digest, RepoKey};
use crate::store::tests::{BIG, Dir, content, get, put};

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

pub(super) fn config(dir: &Dir) -> Config {
    Config {
        path: root(dir),
        ..Config::default()
    }
}

pub(super) fn root(dir: &Dir) -> PathBuf {
    dir.0.path().join("store")
}

const REPAIR: Fsck = Fsck {
    repair: true,
    anew: false,
    rate: None,
};

/// What a check found, each with whether it was mended, and what it came to.
async fn check(dir: &Dir, how: Fsck) -> (Vec<(Finding, bool)>, Report) {
    let found = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&found);
    let watch = move |event: Event<'_>| {
        if let Event::Found(finding, outcome) = event {
            heard.lock().unwrap().push((finding.clone(), outcome != Outcome::Left));
        }
    };
    let report = fsck(&config(dir), how, Tasks::new(), now(), Arc::new(watch))
        .await
        .unwrap();
    let found = found.lock().unwrap().clone();
    (found, report)
}

/// What was found before a repair, by it and after it.
async fn mend(dir: &Dir) -> [Vec<(Finding, bool)>; 3] {
    let before = tree(&root(dir));
    let found = check(dir, Fsck::default()).await.0;
    assert_eq!(tree(&root(dir)), before, "without --repair nothing changes");
    let mended = check(dir, REPAIR).await.0;
    [found, mended, check(dir, Fsck::default()).await.0]
}

/// All files with their bytes; but for the lock, which names its last holder.
fn tree(dir: &PathBuf) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.push((entry.clone(), Vec::new()));
            found.extend(tree(&entry));
        } else if !entry.ends_with("lock") {
            found.push((entry.clone(), fs::read(&entry).unwrap()));
        }
    }
    found.sort();
    found
}

fn app() -> RepoKey {
    "team/app".parse().unwrap()
}

async fn push(store: &Store, bytes: &[u8], digest: &Digest) {
    let app = app();
    let begun = store.begin_upload(&app, "anonymous", Algorithm::Sha256, now());
    let (_, mut upload) = begun.await.unwrap();
    upload.append(&[Bytes::copy_from_slice(bytes)]).unwrap();
    let received = upload.verify(digest).await.unwrap();
    store.commit_upload(received, &app, now()).await.unwrap();
}

/// A cached blob and a pushed one, and a copy of the index.
async fn filled(dir: &Dir) -> [Digest; 2] {
    let store = dir.open().await;
    let [cached, pushed] = [BIG, 7].map(content);
    put(&store, &cached.0, &cached.1).await;
    push(&store, &pushed.0, &pushed.1).await;
    store.back_up(now()).await.unwrap();
    store.close().await.unwrap();
    [cached.1, pushed.1]
}

fn blob(digest: Digest, damage: Damage, homes: &[RepoKey]) -> Finding {
    let homes = homes.to_vec();
    Finding::Blob { digest, damage, homes }
}

type Harm = fn(&Path);

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_store_in_order_is_clean() {
    let dir = Dir::new();
    filled(&dir).await;
    let (found, report) = check(&dir, Fsck::default()).await;
    assert_eq!(found, []);
    assert_eq!((report.blobs, report.bytes), (2, BIG as u64 + 7));
    assert!(report.finished);
}

#[tokio::test]
async fn what_an_unclean_stop_has_in_its_log_counts_without_a_repair() {
    let dir = Dir::new();
    filled(&dir).await;
    // Another index, that knows more than its database file.
    let store = dir.open().await;
    let (bytes, digest) = content(1000);
    put(&store, &bytes, &digest).await;
    let copy = Dir::new();
    fs::create_dir(root(&copy)).unwrap();
    for (path, bytes) in tree(&root(&dir)) {
        let to = root(&copy).join(path.strip_prefix(root(&dir)).unwrap());
        if path.is_dir() {
            fs::create_dir(to).unwrap();
        } else if !path.ends_with("index.sqlite3-shm") {
            fs::write(to, bytes).unwrap();
        }
    }
    assert!(fs::metadata(root(&copy).join("index/index.sqlite3-wal")).unwrap().len() > 0);
    let before = tree(&root(&copy));
    let (found, report) = check(&copy, Fsck::default()).await;
    let touched = found
        .iter()
        .filter(|(finding, _)| matches!(finding, Finding::Touched(_)));
    assert_eq!((report.blobs, report.troubles, touched.count()), (3, 0, 3), "{found:?}");
    assert_eq!(tree(&root(&copy)), before, "not even the log was emptied");
}

#[tokio::test]
async fn a_blob_without_a_row_is_taken_in_if_it_is_what_its_name_says() {
    let dir = Dir::new();
    filled(&dir).await;
    let (bytes, stray) = content(1000);
    let wrong = content(1001).1;
    for digest in [&stray, &wrong] {
        fs::write(dir.blob(digest), &bytes).unwrap();
    }
    let [found, mended, after] = mend(&dir).await;
    assert_eq!((found.len(), mended.len()), (2, 2));
    assert!(mended.contains(&(Finding::Stray(stray), true)));
    assert!(
        matches!(after[..], [(Finding::Quarantined { files: 1, .. }, _)]),
        "{after:?}"
    );
    let store = dir.open().await;
    assert_eq!(
        store.collect(now(), Duration::from_hours(1)).await.unwrap().blobs,
        0,
        "it has its grace"
    );
    let later = now() + Duration::from_hours(2);
    let freed = store.collect(later, Duration::from_hours(1)).await.unwrap();
    assert_eq!(
        freed.bytes,
        1000 + 7,
        "it goes, as does the pushed one that nothing names"
    );
}

#[tokio::test]
async fn what_a_crash_has_left_goes_and_what_is_foreign_stays() {
    let dir = Dir::new();
    filled(&dir).await;
    let upload = "6b1c7a52-3c11-4f0e-9f0d-1d2a5a6f7c11";
    let rubbish = [
        "staging/4711".to_owned(),
        format!("uploads/{upload}"),
        "trash/x".to_owned(),
    ];
    let foreign = [
        "notes.txt",
        "blobs/lost+found",
        "blobs/sha256/x",
        "staging/a",
        "uploads/b",
        "index/c",
        "backup/d",
    ];
    for name in rubbish.iter().map(String::as_str).chain(foreign) {
        fs::write(root(&dir).join(name), "x").unwrap();
    }
    let [found, mended, after] = mend(&dir).await;
    for name in &rubbish {
        let finding = Finding::Rubbish(root(&dir).join(name));
        assert!(found.contains(&(finding.clone(), false)) && mended.contains(&(finding, true)));
        assert!(!root(&dir).join(name).exists());
    }
    for name in foreign {
        let finding = Finding::Foreign(root(&dir).join(name));
        assert!(
            found.contains(&(finding.clone(), false)) && after.contains(&(finding, false)),
            "{name}"
        );
    }
    assert_eq!((found.len(), after.len()), (10, 7));
}

#[tokio::test]
async fn a_copy_that_is_of_no_use_is_made_anew() {
    let harms: [Harm; 3] = [
        |copy| fs::remove_file(copy).unwrap(),
        |copy| fs::write(copy, vec![0x5a; 100_000]).unwrap(),
        |copy| {
            fs::remove_file(copy).unwrap();
            fs::create_dir_all(copy.join("x")).unwrap();
        },
    ];
    for harm in harms {
        let dir = Dir::new();
        filled(&dir).await;
        harm(&root(&dir).join("backup/index.sqlite3"));
        let [found, mended, after] = mend(&dir).await;
        assert!(matches!(found[..], [(Finding::Copy { .. }, false)]), "{found:?}");
        assert!(matches!(mended[..], [(Finding::Copy { .. }, true)]), "{mended:?}");
        assert!(after.iter().all(|(finding, _)| !finding.is_trouble()), "{after:?}");
    }
}

#[tokio::test]
async fn books_that_somebody_has_changed_are_written_anew() {
    for (change, blobs) in [
        ("UPDATE counted SET bytes = bytes + 1", 0),
        ("DELETE FROM counted", 0),
        ("UPDATE blob SET hosted = NOT hosted", 2),
    ] {
        let dir = Dir::new();
        filled(&dir).await;
        let index = rusqlite::Connection::open(root(&dir).join("index/index.sqlite3")).unwrap();
        index.execute_batch(change).unwrap();
        drop(index);
        let [found, mended, after] = mend(&dir).await;
        assert_eq!(found, [(Finding::Books { blobs }, false)]);
        assert_eq!(
            (mended, after),
            (vec![(Finding::Books { blobs }, true)], vec![]),
            "{change}"
        );
    }
}

#[tokio::test]
async fn rows_that_lead_nowhere_and_pages_that_are_damaged_are_told() {
    let dir = Dir::new();
    let [cached, pushed] = filled(&dir).await;
    let path = root(&dir).join("index/index.sqlite3");
    let index = rusqlite::Connection::open(&path).unwrap();
    let tagged = "
        INSERT INTO tag (repository, name, digest, checked_at) SELECT id, 'v1', ?1, 1 FROM repository WHERE mirror IS NULL";
    index.execute(tagged, [cached.to_string()]).unwrap();
    index
        .execute(
            "INSERT INTO manifest (digest, media_type, bytes) VALUES (?1, 'a/b', x'00')",
            [cached.to_string()],
        )
        .unwrap();
    index
        .execute("DELETE FROM blob WHERE digest = ?1", [pushed.to_string()])
        .unwrap();
    let (found, _) = check(&dir, REPAIR).await;
    let (tag, digest) = ("v1".parse().unwrap(), cached);
    for (finding, mended) in [
        (
            Finding::Tag {
                repo: app(),
                tag,
                digest,
            },
            false,
        ),
        (
            Finding::Lost {
                repo: app(),
                digest: pushed,
            },
            false,
        ),
        (Finding::Manifest { digest, pushed: false }, true),
        (Finding::Stray(pushed), true),
    ] {
        assert!(found.contains(&(finding, mended)), "{found:?}");
    }
    assert_eq!(
        check(&dir, Fsck::default()).await.1.troubles,
        1,
        "the pushed blob is back, the tag is not"
    );

    index
        .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM repository")
        .unwrap();
    drop(index);
    let (found, report) = check(&dir, REPAIR).await;
    assert!(
        matches!(found[..], [(Finding::Index(_), false), ..]) && !report.finished,
        "{found:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_served_or_is_none_is_not_checked() {
    let dir = Dir::new();
    let none = fsck(&config(&dir), REPAIR, Tasks::new(), now(), Arc::new(|_| {})).await;
    assert!(matches!(none, Err(Error::NoStore { .. })) && !root(&dir).exists());
    let _served = dir.open().await;
    let refused = fsck(&config(&dir), REPAIR, Tasks::new(), now(), Arc::new(|_| {})).await;
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains(&std::process::id().to_string()) && said.contains("store.scrub"),
        "{said}"
    );
}
