//! How much SQLite does, counted in its own steps: the same in a small index and in a large one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::*;
use crate::store::index::room::{Bounds, Candidate};
use crate::store::index::tx::{Effects, Tx};
use crate::store::index::{blobs, idle, links, lists, room, uses};

const NAME: &str = "docker.io/a";

/// An index with so many blobs of one repository, each with its link, a manifest and a tag, and what counts SQLite's steps.
struct Measured {
    _dir: TempDir,
    connection: Connection,
    steps: Arc<AtomicU64>,
    done: Vec<(&'static str, u64)>,
}

impl Measured {
    fn of(rows: u64) -> Self {
        const NUMBERED: &str = "
            WITH RECURSIVE one (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one WHERE n < ?1),
                           each (n, digest) AS (SELECT n, printf('sha256:%064x', n) FROM one)";
        let dir = tempfile::tempdir().unwrap();
        let mut connection = schema::open_writer(&dir.path().join("index.sqlite3")).unwrap();
        let repository = "INSERT INTO repository (id, key, mirror) VALUES (1, ?1, ?2)";
        connection.execute(repository, (NAME, MIRROR)).unwrap();
        for add in [
            "INSERT INTO link (repository, digest, proven) SELECT 1, digest, TRUE FROM each",
            "INSERT INTO blob (digest, size, modified, allocated, used) SELECT digest, 5, 7, 5, n FROM each",
            "INSERT INTO manifest (digest, media_type, bytes) SELECT digest, 'a/b', x'00' FROM each",
            "INSERT INTO tag (repository, name, digest, checked_at) SELECT 1, 'v' || n, digest, 0 FROM each",
        ] {
            connection
                .execute(&format!("{NUMBERED} {add}"), [sql::size(rows)])
                .unwrap();
        }
        let steps = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&steps);
        let step = move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(1, Some(step)).unwrap();
        Self {
            _dir: dir,
            connection,
            steps,
            done: Vec::new(),
        }
    }

    fn read(&mut self, what: &'static str, read: impl FnOnce(&Connection)) {
        let before = self.steps.load(Ordering::Relaxed);
        read(&self.connection);
        self.done.push((what, self.steps.load(Ordering::Relaxed) - before));
    }

    fn change(&mut self, what: &'static str, change: impl FnOnce(&mut Tx<'_>)) {
        self.read(what, |connection| {
            change(&mut Tx::new(connection, &mut Effects::default()));
        });
    }
}

/// What is done at a start, for a request and to make room, and how many steps that takes.
fn measured(rows: u64) -> Vec<(&'static str, u64)> {
    let mut index = Measured::of(rows);
    let one: Digest = format!("sha256:{:064x}", 100).parse().unwrap();
    index.read("a start", |connection| {
        let (counted, last_use) = super::super::books(connection).unwrap();
        assert_eq!((*counted.bytes(), last_use), (5 * rows, rows));
    });
    index.read("a sight", |connection| {
        assert!(links::sight(connection, &repo(NAME), &one).unwrap().0.blob.is_some());
    });
    index.read("a manifest", |connection| drop(idle::named(connection, &one).unwrap()));
    index.read("the repositories", |connection| {
        assert_eq!(lists::repositories(connection, "", 100).unwrap().entries.len(), 1);
    });
    index.change("a pull", |tx| {
        uses::write(tx, &HashMap::from([(Pulled::Blob(one), rows + 1)])).unwrap();
    });
    index.change("an eviction", |tx| {
        let bounds = Bounds {
            until: rows,
            enough: u64::MAX,
            rows: 64,
        };
        let judge = |candidate| match candidate {
            Candidate::Blob(_, bytes) => Some((bytes, ())),
            Candidate::Partial(_) => None,
        };
        assert_eq!(room::step(tx, bounds, judge, || 0).unwrap().forgotten.len(), 64);
    });
    index.change("a link that goes with its blob", |tx| {
        tx.execute(
            "DELETE FROM link WHERE repository = 1 AND digest = ?1",
            [sql::text(&one)],
        )
        .unwrap();
        assert!(blobs::free(tx, &one).unwrap().is_some());
    });
    index.done
}

#[test]
fn a_large_index_takes_no_more_steps_than_a_small_one() {
    let (small, large) = (measured(200), measured(20_000));
    for ((what, few), (_, many)) in small.iter().zip(&large) {
        assert!(*few > 0, "{what} is not measured");
        assert!(
            *many <= few + few / 10,
            "{what}: {few} steps, and {many} in a large index"
        );
    }
}
