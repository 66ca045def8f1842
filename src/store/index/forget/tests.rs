use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::store::index::facts::PutManifest;
use crate::store::index::tests::{MIRROR, beside, digest, fresh, image, landing, put, repo, tag};

const AFTER: Duration = Duration::from_hours(180 * 24);
const NAME: &str = "docker.io/library/alpine";

fn day(n: u64) -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap() + Duration::from_hours(n * 24)
}

/// A whole pass, a few rows at a time; how many links and tags went.
async fn pass(index: &Index, now: Timestamp) -> u64 {
    let (mut place, mut forgotten) = (Place::default(), 0);
    loop {
        let step = index.forget(place, now, now - AFTER, 2).await.unwrap();
        assert!(step.forgotten <= 2);
        forgotten += step.forgotten;
        match step.next {
            Some(next) => place = next,
            None => return forgotten,
        }
    }
}

fn count(dir: &TempDir, what: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {what}");
    beside(dir).query_row(&count, [], |row| row.get(0)).unwrap()
}

fn all(dir: &TempDir) -> [i64; 5] {
    ["repository", "manifest", "link", "tag", "origin"].map(|table| count(dir, table))
}

/// Waits until so many rows are idle.
async fn until_idle(dir: &TempDir, rows: i64) {
    let idle = || count(dir, "link WHERE idle_since IS NOT NULL") + count(dir, "tag WHERE idle_since IS NOT NULL");
    let reached = async {
        while idle() != rows {
            tokio::task::yield_now().await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(within.is_ok(), "{} idle, and not {rows}", idle());
}

#[tokio::test]
async fn what_nobody_asks_for_goes_when_its_time_has_come() {
    let (dir, index) = fresh();
    for (name, layer) in [(NAME, "a"), ("docker.io/library/busybox", "b"), ("quay.io/x/y", "c")] {
        let manifest = image([(digest(layer), 5)]);
        index.put_manifest(put(name, &manifest, Some("v1"))).await.unwrap();
    }
    let before = all(&dir);
    assert_eq!(before, [3, 3, 9, 3, 3]);
    for (at, forgotten) in [(0, 0), (1, 0), (179, 0)] {
        assert_eq!(pass(&index, day(at)).await, forgotten, "{at}");
        assert_eq!(all(&dir), before, "{at}");
    }
    assert_eq!(pass(&index, day(180)).await, 12);
    assert_eq!(all(&dir), [0; 5]);
}

#[tokio::test]
async fn what_is_asked_for_stays_with_all_that_it_names() {
    let (dir, index) = fresh();
    let manifest = image([(digest("a"), 5), (digest("b"), 6)]);
    index.put_manifest(put(NAME, &manifest, Some("v1"))).await.unwrap();
    let before = all(&dir);
    for at in [0, 100, 200, 300, 400] {
        assert_eq!(pass(&index, day(at)).await, 0);
        until_idle(&dir, 5).await;
        assert!(index.tag(&repo(NAME), &tag("v1")).await.unwrap().is_some());
        assert!(index.sight(&repo(NAME), &manifest.digest()).await.unwrap().visible());
        until_idle(&dir, 0).await;
    }
    assert_eq!(all(&dir), before);
    // Put anew is asked for.
    pass(&index, day(500)).await;
    index.put_manifest(put(NAME, &manifest, Some("v1"))).await.unwrap();
    until_idle(&dir, 0).await;
}

#[tokio::test]
async fn what_has_content_stays_until_that_is_gone() {
    let (dir, index) = fresh();
    let manifest = image([(digest("a"), 5), (digest("b"), 6)]);
    index.put_manifest(put(NAME, &manifest, Some("v1"))).await.unwrap();
    index.land(landing(1, digest("a"), 5, NAME)).await.unwrap();
    pass(&index, day(0)).await;
    assert_eq!(
        pass(&index, day(1000)).await,
        2,
        "links to what is not here: one layer, the config"
    );
    assert_eq!(pass(&index, day(2000)).await, 0);
    assert_eq!(all(&dir), [1, 1, 2, 1, 2]);
    // Asked for, it has its links again.
    index.sight(&repo(NAME), &manifest.digest()).await.unwrap();
    until_idle(&dir, 1).await;
    assert_eq!(count(&dir, "link"), 4);
    beside(&dir).execute("DELETE FROM blob", []).unwrap();
    pass(&index, day(3000)).await;
    pass(&index, day(4000)).await;
    assert_eq!(all(&dir), [0; 5]);
}

#[tokio::test]
async fn a_layer_that_others_keep_in_use_keeps_no_image_that_nobody_asks_for() {
    let (dir, index) = fresh();
    let (old, new) = (
        image([(digest("base"), 5), (digest("old"), 6)]),
        image([(digest("base"), 5)]),
    );
    index.put_manifest(put(NAME, &old, Some("v1"))).await.unwrap();
    index.put_manifest(put(NAME, &new, Some("v2"))).await.unwrap();
    index.land(landing(1, digest("base"), 5, NAME)).await.unwrap();
    pass(&index, day(0)).await;
    for at in [100, 200] {
        until_idle(&dir, 7).await;
        index.tag(&repo(NAME), &tag("v2")).await.unwrap();
        index.sight(&repo(NAME), &new.digest()).await.unwrap();
        until_idle(&dir, 3).await;
        pass(&index, day(at)).await;
    }
    assert_eq!(all(&dir), [1, 1, 3, 1, 2]);
    assert!(index.tag(&repo(NAME), &tag("v1")).await.unwrap().is_none());
    assert!(index.sight(&repo(NAME), &digest("base")).await.unwrap().visible());
}

#[tokio::test]
async fn nothing_of_a_hosted_repository_goes_nor_what_it_needs() {
    let (dir, index) = fresh();
    let manifest = image([(digest("a"), 5)]);
    let hosted = PutManifest {
        mirror: None,
        ..put("team/app", &manifest, Some("v1"))
    };
    index.put_manifest(hosted).await.unwrap();
    index.put_manifest(put(NAME, &manifest, Some("v1"))).await.unwrap();
    index.put_manifest(put("quay.io/x/y", &manifest, None)).await.unwrap();
    pass(&index, day(0)).await;
    assert_eq!(pass(&index, day(180)).await, 7);
    assert_eq!(all(&dir), [1, 1, 3, 1, 1]);
    assert_eq!(
        count(&dir, "link WHERE idle_since IS NOT NULL"),
        0,
        "nor is it looked at"
    );
    let sight = index.sight(&repo("team/app"), &manifest.digest()).await.unwrap();
    assert!(sight.visible() && sight.manifest);
    assert_eq!(count(&dir, &format!("repository WHERE mirror = '{MIRROR}'")), 0);
}
