//! P7: what is cached stays within its budget, the least recently pulled goes first, and what was pushed or is being read
//! never goes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::support::client::Ended;
use crate::support::image::{Content, Image, KIB, MIB};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path, soon};

const NAME: &str = "hub/a/b";

fn within(upstream: &Upstream, max_size: u64) -> Setup {
    let setup = Setup::new().mirror(Mirror::of("hub", upstream));
    setup.store("max_size", &max_size.to_string()).store("min_free", "0")
}

/// An upstream with these blobs in `a/b`, and a wharf before it that may keep so many bytes.
async fn harbour(blobs: &[Content], max_size: u64) -> (Upstream, Wharf) {
    let upstream = Upstream::start();
    for blob in blobs {
        upstream.put_blob("a/b", blob);
    }
    let wharf = within(&upstream, max_size).start().await;
    (upstream, wharf)
}

fn blobs(seeds: std::ops::Range<u64>, length: u64) -> Vec<Content> {
    seeds.map(|seed| Content::seeded(seed, length)).collect()
}

/// Pulls a blob, which is stored afterwards.
async fn pull(wharf: &Wharf, blob: &Content) {
    let mut answer = wharf.open(&blob_path(NAME, blob)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.hashed().await,
        (blob.len(), blob.digest().to_owned(), Ended::Clean)
    );
    wharf.landed(&blob_path(NAME, blob)).await;
}

fn is_kept(wharf: &Wharf, blob: &Content) -> bool {
    let (_, hex) = blob.digest().split_once(':').unwrap();
    wharf.store().join("blobs/sha256").join(hex).exists()
}

/// Which of the blobs are kept.
fn kept(wharf: &Wharf, blobs: &[Content]) -> Vec<usize> {
    (0..blobs.len()).filter(|n| is_kept(wharf, &blobs[*n])).collect()
}

/// Bytes that these folders of the store take on the disk. What moves from one to the next is not seen twice.
fn on_disk(store: &Path) -> u64 {
    let files = ["blobs/sha256", "blobs/sha512", "staging", "uploads"].map(|name| std::fs::read_dir(store.join(name)));
    let files = files.into_iter().flatten().flatten().map_while(Result::ok);
    files
        .filter_map(|file| Some(file.metadata().ok()?.blocks() * 512))
        .sum()
}

#[tokio::test]
async fn pulls_of_20_times_the_budget_all_succeed_and_it_is_never_exceeded() {
    const MAX: u64 = 2 * MIB;
    let sizes = [1, 4 * KIB, 100 * KIB, 300 * KIB + 7, 700 * KIB, 64 * KIB];
    let mut all = Vec::new();
    for (seed, size) in (0..).zip(sizes.iter().cycle()) {
        all.push(Content::seeded(seed, *size));
        if all.iter().map(Content::len).sum::<u64>() > 20 * MAX {
            break;
        }
    }
    let (_upstream, wharf) = harbour(&all, MAX).await;
    for blob in &all {
        pull(&wharf, blob).await;
        let taken = on_disk(&wharf.store());
        assert!(taken <= MAX, "{taken} bytes");
    }
    assert!(on_disk(&wharf.store()) > MAX / 2, "and it is made use of");
}

#[tokio::test]
async fn the_least_recently_pulled_goes_first_and_a_manifest_keeps_its_layers() {
    let upstream = Upstream::start();
    let (one, other) = (
        Image::oci(1, &[300 * KIB, 300 * KIB]),
        Image::oci(2, &[300 * KIB, 300 * KIB]),
    );
    upstream.put_image("a/b", "one", &one);
    upstream.put_image("a/b", "other", &other);
    let late = Content::seeded(7, 500 * KIB);
    upstream.put_blob("a/b", &late);
    let wharf = within(&upstream, 1400 * KIB).start().await;
    for image in [&one, &other] {
        let manifest = wharf.get(&manifest_path(NAME, image.digest())).await;
        assert_eq!(manifest.status, 200);
        for blob in &image.blobs {
            pull(&wharf, blob).await;
        }
    }
    assert_eq!(wharf.get(&manifest_path(NAME, one.digest())).await.status, 200);
    pull(&wharf, &late).await;
    assert!(
        one.blobs.iter().all(|blob| is_kept(&wharf, blob)),
        "pulled last, by its manifest"
    );
    assert!(!is_kept(&wharf, other.layer(0)) && !is_kept(&wharf, other.layer(1)));
}

#[tokio::test]
async fn last_use_survives_a_restart() {
    let all = blobs(0..4, 300 * KIB);
    let (_upstream, mut wharf) = harbour(&all, 950 * KIB).await;
    for blob in &all[..3] {
        pull(&wharf, blob).await;
    }
    assert_eq!(wharf.get(&blob_path(NAME, &all[0])).await.status, 200);
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    wharf.restart().await;
    pull(&wharf, &all[3]).await;
    assert_eq!(kept(&wharf, &all), [0, 2, 3]);
}

#[tokio::test]
async fn last_use_survives_a_kill() {
    let all = [blobs(0..4, 300 * KIB), blobs(4..5, KIB)].concat();
    let (_upstream, mut wharf) = harbour(&all, 950 * KIB).await;
    for blob in &all[..3] {
        pull(&wharf, blob).await;
    }
    assert_eq!(wharf.get(&blob_path(NAME, &all[0])).await.status, 200);
    // What is written next takes the note of that along.
    pull(&wharf, &all[4]).await;
    wharf.kill();
    wharf.restart().await;
    pull(&wharf, &all[3]).await;
    assert_eq!(kept(&wharf, &all), [0, 2, 3, 4]);
}

#[tokio::test]
async fn a_smaller_budget_is_obeyed_after_a_restart() {
    let all = blobs(0..8, 256 * KIB);
    let (upstream, mut wharf) = harbour(&all, 4 * MIB).await;
    for blob in &all {
        pull(&wharf, blob).await;
    }
    assert_eq!(kept(&wharf, &all).len(), 8);
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    wharf.reconfigure(&within(&upstream, MIB));
    wharf.restart().await;
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    // A little is kept free ahead of need.
    let obeyed = async {
        while on_disk(&wharf.store()) > MIB - 16 * KIB {
            looks.tick().await;
        }
    };
    soon("what is too much to go", obeyed).await;
    assert_eq!(kept(&wharf, &all), [5, 6, 7]);
}

#[tokio::test]
async fn what_was_pushed_is_not_counted_and_never_goes() {
    let cached = blobs(10..20, 300 * KIB);
    let (_upstream, wharf) = harbour(&cached, 700 * KIB).await;
    let pushed = Image::oci(1, &[400 * KIB, 400 * KIB]);
    wharf.push_image("team/app", "v1", &pushed).await;
    // Content that is cached as well.
    wharf.push_blob("team/app", &cached[0]).await;
    for blob in &cached {
        pull(&wharf, blob).await;
    }
    assert_eq!(kept(&wharf, &cached), [0, 8, 9], "the budget is the cache's alone");
    assert!(pushed.blobs.iter().all(|blob| is_kept(&wharf, blob)));
    let layer = wharf.get(&blob_path("team/app", pushed.layer(0))).await;
    assert_eq!((layer.status, layer.body.len() as u64), (200, 400 * KIB));
}

#[tokio::test]
async fn what_a_client_is_reading_is_no_victim() {
    const LONG: u64 = 24 * MIB;
    let (long, few) = (Content::seeded(99, LONG), blobs(0..8, MIB));
    let (upstream, wharf) = harbour(&few, LONG + 4 * MIB).await;
    upstream.put_blob("a/b", &long);
    pull(&wharf, &long).await;
    let mut reading = wharf.open(&blob_path(NAME, &long)).await;
    let first = reading.exactly(KIB).await;
    for blob in &few {
        pull(&wharf, blob).await;
    }
    assert!(is_kept(&wharf, &long), "although it was pulled before all others");
    assert!(!is_kept(&wharf, &few[0]));
    let (rest, ended) = reading.rest().await;
    assert_eq!(ended, Ended::Clean);
    assert_eq!([first, rest].concat(), long.all());
    for blob in &few {
        pull(&wharf, blob).await;
    }
    assert!(!is_kept(&wharf, &long), "nobody reads it now");
}
