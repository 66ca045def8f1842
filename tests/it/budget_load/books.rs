//! What lies on the disk, seen from outside, and whether the index tells the same.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Somebody who looks at the store all the time.
#[derive(Debug)]
pub(super) struct Watch {
    stop: DropGuard,
    seen: JoinHandle<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Bytes that were there at one moment.
    pub(super) most: u64,
    pub(super) looks: u64,
}

impl Watch {
    /// Of all files but those with these names.
    pub(super) fn of(store: PathBuf, but: Vec<String>) -> Self {
        let stop = CancellationToken::new();
        let (token, mut looks, mut seen) = (stop.clone(), interval(Duration::from_millis(1)), Seen::default());
        let look = async move {
            while !token.is_cancelled() {
                looks.tick().await;
                seen.most = seen.most.max(on_disk(&store, &but));
                seen.looks += 1;
            }
            seen
        };
        Self {
            seen: tokio::spawn(look),
            stop: stop.drop_guard(),
        }
    }

    pub(super) async fn end(self) -> Seen {
        drop(self.stop);
        self.seen.await.unwrap()
    }
}

/// Bytes on the disk at one moment, between two looks: of what was there at both, whatever its name.
fn on_disk(store: &Path, but: &[String]) -> u64 {
    let (before, after) = (files(store, but), files(store, but));
    let both = before
        .iter()
        .filter_map(|(file, bytes)| Some(*bytes.min(after.get(file)?)));
    both.sum()
}

/// Which file it is, also where its inode had another one before.
type Identity = (u64, Option<SystemTime>);

fn files(store: &Path, but: &[String]) -> HashMap<Identity, u64> {
    let folders = ["trash", "blobs/sha256", "blobs/sha512", "staging", "uploads"];
    let entries = folders.iter().flat_map(|folder| entries(&store.join(folder)));
    let counted = entries.filter(|(name, _)| !but.contains(name));
    counted
        .map(|(_, file)| ((file.ino(), file.created().ok()), file.blocks() * 512))
        .collect()
}

/// A file that goes while we look is not there.
fn entries(folder: &Path) -> Vec<(String, Metadata)> {
    let entry = |entry: DirEntry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?));
    let found = fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
    found.filter_map(entry).collect()
}

/// What index and disk do not agree about while nobody works on the store.
pub(super) fn disagreements(store: &Path) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let mut index = Connection::open_with_flags(store.join("index/index.sqlite3"), flags).unwrap();
    // One moment for all questions.
    let index = index.transaction().unwrap();
    let mut found = Vec::new();
    let mut compare = |what: &str, rows: Vec<String>, files: Vec<String>| {
        if rows != files {
            found.push(format!("{what}: the index has {rows:#?}, the disk {files:#?}"));
        }
    };
    let names = |folder| told(&store.join(folder), |_| String::new());
    let blobs = told(&store.join("blobs/sha256"), |file| {
        format!(" {} {}", file.len(), file.blocks() * 512)
    });
    compare("trash", Vec::new(), names("trash"));
    compare("blobs", lines(&index, BLOBS), blobs);
    compare("partials", lines(&index, PARTIALS), names("staging"));
    // An upload without a byte has no file.
    let uploads = lines(&index, UPLOADS)
        .into_iter()
        .filter(|id| store.join("uploads").join(id).exists());
    compare("uploads", uploads.collect(), names("uploads"));
    compare("hosted", lines(&index, FLAGGED), lines(&index, HOSTED));
    compare("sum", lines(&index, COUNTED), lines(&index, SUM));
    found
}

const BLOBS: &str = "SELECT substr(digest, 8) || ' ' || size || ' ' || allocated FROM blob";
const PARTIALS: &str = "SELECT cast(id AS TEXT) FROM staged";
const UPLOADS: &str = "SELECT id FROM upload";
const FLAGGED: &str = "SELECT digest FROM blob WHERE hosted";
const HOSTED: &str = "
    SELECT digest FROM blob WHERE digest IN (
        SELECT digest FROM link JOIN repository ON repository.id = link.repository
        WHERE link.proven AND repository.mirror IS NULL)";
const COUNTED: &str = "SELECT cast(bytes AS TEXT) FROM counted";
const SUM: &str = "SELECT cast(coalesce(sum(allocated), 0) AS TEXT) FROM blob WHERE NOT hosted";

fn lines(index: &Connection, query: &str) -> Vec<String> {
    let mut query = index.prepare(query).unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    let mut lines: Vec<String> = rows.map(Result::unwrap).collect();
    lines.sort();
    lines
}

fn told(folder: &Path, more: impl Fn(&Metadata) -> String) -> Vec<String> {
    let files: BTreeMap<_, _> = entries(folder).into_iter().collect();
    files
        .iter()
        .map(|(name, file)| format!("{name}{}", more(file)))
        .collect()
}
