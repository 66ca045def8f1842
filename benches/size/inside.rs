//! What the store costs the process that has it open.

use std::time::{Duration, Instant};

use wharf::clock::Clock;
use wharf::oci::{Digest, RepoKey};
use wharf::store::Store;

use crate::fill::{self, Filled, MIRROR};
use crate::served::cpu;
use crate::table::{Figures, median, shortest};

/// Starts, of which the shortest counts.
const STARTS: usize = 7;
/// Blobs that are read.
const READS: usize = 1000;
/// As `store.forget_after` is by default.
const FORGET_AFTER: Duration = Duration::from_hours(180 * 24);

/// What is done once a day: done now, so that it disturbs nothing that follows.
pub(crate) async fn upkeep(filled: &Filled, figures: &mut Figures) {
    let (store, tasks) = filled.open().await;
    let per_thousand = |seconds: f64| seconds * 1e3 / (filled.blobs as f64 / 1e3);
    let me = std::process::id();
    let (now, before) = (Clock::system().now(), cpu(me));
    store.forget(now, FORGET_AFTER).await.unwrap();
    figures.add(
        "a look for idle facts, CPU ms per 1000 blobs",
        per_thousand(cpu(me) - before),
    );
    let before = cpu(me);
    store.back_up(now).await.unwrap();
    figures.add(
        "a copy of the index, CPU ms per 1000 blobs",
        per_thousand(cpu(me) - before),
    );
    fill::close(store, tasks).await;
}

pub(crate) async fn starts(filled: &Filled, figures: &mut Figures) {
    let mut runs = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let (store, tasks) = filled.open().await;
        runs.push(begun.elapsed());
        fill::close(store, tasks).await;
    }
    figures.add("Store::open, ms", shortest(runs));
}

pub(crate) async fn reads(filled: &Filled, figures: &mut Figures) {
    let (store, tasks) = filled.open().await;
    let blobs: Vec<_> = fill::shuffled(0..filled.blobs).take(READS).collect();
    figures.add_times("a blob is looked up and opened, cold", read(&store, &blobs).await);
    // What was idle is noted not to be by the first of these.
    flush(&store, &blobs, figures).await;
    figures.add_times("a blob is looked up and opened, warm", read(&store, &blobs).await);
    fill::close(store, tasks).await;
}

async fn read(store: &Store, blobs: &[(RepoKey, Digest)]) -> Vec<Duration> {
    let mut times = Vec::with_capacity(blobs.len());
    for (repo, digest) in blobs {
        let begun = Instant::now();
        let sight = store.sight(repo, digest).await.unwrap();
        let row = sight.blob.filter(|_| sight.visible()).unwrap();
        assert!(store.open_blob(digest, &row).await.unwrap().is_some());
        times.push(begun.elapsed());
    }
    times
}

/// Writes the notes of pulls that have just been made: they go along with the next write, unless they have gone already.
async fn flush(store: &Store, blobs: &[(RepoKey, Digest)], figures: &mut Figures) {
    let mut runs = Vec::new();
    for _ in 0..STARTS {
        read(store, blobs).await;
        let (repo, digest) = &blobs[0];
        let begun = Instant::now();
        store.link_proven(repo, MIRROR, digest).await.unwrap();
        runs.push(begun.elapsed());
    }
    figures.add(
        format!("the last use of {} blobs is written, ms", blobs.len()),
        median(runs),
    );
}
