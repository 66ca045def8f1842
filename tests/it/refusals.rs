//! Stores that wharf does not start on: each refusal names the key, and what to do.

use std::os::unix::fs::chown;
use std::path::Path;

use crate::support::wharf::{Setup, Wharf, run};

const SERVE: [&str; 3] = ["serve", "--config", "wharf.toml"];

/// A store that was made and left in good order.
async fn left() -> Wharf {
    let mut wharf = Setup::new().start().await;
    wharf.signal_term();
    wharf.ends().await;
    wharf
}

fn sql(wharf: &Wharf, statement: &str) {
    let index = rusqlite::Connection::open(wharf.store().join("index/index.sqlite3")).unwrap();
    index.execute_batch(statement).unwrap();
}

fn into_file(path: &Path) {
    std::fs::remove_dir_all(path).unwrap();
    std::fs::write(path, "x").unwrap();
}

type Harm = fn(&Wharf);

#[tokio::test]
async fn a_store_that_cannot_be_used_is_refused_with_the_key_and_the_remedy() {
    let cases: [(Harm, &[&str], i32); 8] = [
        (
            |wharf| into_file(&wharf.store()),
            &["store.path = ", "expected a directory"],
            2,
        ),
        (
            |wharf| into_file(&wharf.store().join("blobs")),
            &["store.path", "set store.path"],
            1,
        ),
        (
            |wharf| into_file(&wharf.store().join("index")),
            &["store.index", "set store.index"],
            1,
        ),
        (
            |wharf| sql(wharf, "PRAGMA user_version = 99"),
            &["schema 99", "run the newer wharf", "store.path"],
            1,
        ),
        (
            |wharf| sql(wharf, "PRAGMA application_id = 7"),
            &["not an index of wharf", "store.index"],
            1,
        ),
        (
            |wharf| std::fs::write(wharf.store().join("index/index.sqlite3"), vec![7; 10_000]).unwrap(),
            &["damaged", "`wharf restore`"],
            1,
        ),
        (
            |wharf| std::fs::remove_file(wharf.store().join("index/index.sqlite3")).unwrap(),
            &["is gone", "`wharf restore`"],
            1,
        ),
        (
            |wharf| std::fs::create_dir_all(wharf.store().join("index/index.sqlite3-wal/x")).unwrap(),
            &["store.index", "`wharf restore`"],
            1,
        ),
    ];
    for (harm, words, code) in cases {
        let wharf = left().await;
        harm(&wharf);
        let (status, said) = wharf.run(&SERVE).await;
        assert_eq!(status.code(), Some(code), "{words:?}:\n{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in:\n{said}");
        }
        let (status, said) = wharf.run(&["fsck", "--config", "wharf.toml", "--repair"]).await;
        let remedies = ["store.path", "store.index", "`wharf restore`"];
        assert_eq!(status.code(), Some(code), "fsck {words:?}:\n{said}");
        assert!(
            remedies.iter().any(|remedy| said.contains(remedy)),
            "fsck {words:?}:\n{said}"
        );
    }
}

#[tokio::test]
async fn a_store_that_may_not_be_written_is_refused_with_the_key_and_the_remedy() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not shown: a store of somebody else, which takes root");
        return;
    }
    for (place, words) in [
        (".", ["cannot use the directory", "store.path"]),
        ("index", ["cannot open the index", "store.index"]),
    ] {
        let mut wharf = left().await;
        let mut all = vec![wharf.store().parent().unwrap().to_path_buf()];
        while let Some(path) = all.pop() {
            chown(&path, Some(65534), Some(65534)).unwrap();
            if path.is_dir() {
                all.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        let place = wharf.store().join(place);
        for path in std::fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .chain([place.clone()])
        {
            chown(path, Some(0), Some(0)).unwrap();
        }
        wharf.under(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        let (status, said) = wharf.run(&SERVE).await;
        assert_eq!(status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in:\n{said}");
        }
    }
}

#[tokio::test]
async fn an_index_of_another_version_is_not_read_only_served() {
    let wharf = left().await;
    for (version, words) in [(1, "run that once"), (99, "run the newer wharf")] {
        sql(&wharf, &format!("PRAGMA user_version = {version}"));
        let (status, said) = wharf.run(&[&SERVE[..], &["--read-only"]].concat()).await;
        assert!(status.code() == Some(1) && said.contains(words), "{said}");
        let (status, said) = wharf.run(&["fsck", "--config", "wharf.toml"]).await;
        assert!(status.code() == Some(1) && said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_neither_checked_nor_made() {
    for arguments in [
        &["fsck", "--config", "wharf.toml"][..],
        &["serve", "--config", "wharf.toml", "--read-only"],
    ] {
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("store");
        let (status, said) = run(arguments, &format!("[store]\npath = \"{}\"", store.display())).await;
        assert!(
            status.code() == Some(1) && said.contains("store.path") && !store.exists(),
            "{said}"
        );
    }
}
