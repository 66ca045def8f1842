//! The index is copied, and `wharf restore` goes back to the copy.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::image::{Image, MIB};
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;
use crate::support::{blob_path, manifest_path, soon};

const RESTORE: [&str; 3] = ["restore", "--config", "wharf.toml"];

fn copy(wharf: &Wharf) -> PathBuf {
    wharf.store().join("backup/index.sqlite3")
}

fn index(wharf: &Wharf) -> PathBuf {
    wharf.store().join("index/index.sqlite3")
}

async fn copied(wharf: &Wharf) {
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let copied = async {
        while !copy(wharf).exists() {
            steps.tick().await;
        }
    };
    soon("a copy of the index", copied).await;
}

async fn pull(wharf: &Wharf, tag: &str, image: &Image) {
    let manifest = wharf.get(&manifest_path("hub/a/b", tag)).await;
    assert_eq!(
        (manifest.status, manifest.body == image.manifest.all()),
        (200, true),
        "{}",
        manifest.text()
    );
    for blob in &image.blobs {
        let answer = wharf.get(&blob_path("hub/a/b", blob)).await;
        assert_eq!((answer.status, answer.body == blob.all()), (200, true));
        wharf.landed(&blob_path("hub/a/b", blob)).await;
    }
}

/// An image from before the copy, one from after it, and an upstream that is gone.
async fn harbour() -> (Upstream, Wharf, [Image; 2]) {
    let (upstream, images) = (Upstream::start(), [1, 2].map(|seed| Image::oci(seed, &[MIB, 10])));
    for (tag, image) in ["before", "after"].iter().zip(&images) {
        upstream.put_image("a/b", tag, image);
    }
    let mut wharf = Wharf::of(&upstream).await;
    pull(&wharf, "before", &images[0]).await;
    // The next start finds no copy, and makes one at once.
    wharf.signal_term();
    wharf.ends().await;
    std::fs::remove_file(copy(&wharf)).unwrap();
    wharf.restart().await;
    copied(&wharf).await;
    pull(&wharf, "after", &images[1]).await;
    wharf.kill();
    upstream.stop().await;
    (upstream, wharf, images)
}

async fn serves_what_was_before(wharf: &mut Wharf, images: &[Image; 2]) {
    let (status, said) = wharf.run(&RESTORE).await;
    assert!(status.success(), "{said}");
    for words in [
        "1 repositories, 1 manifests, 1 tags",
        "s ago",
        "is lost: push it again",
        "3 blobs that it does not know",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    wharf.restart().await;
    pull(wharf, "before", &images[0]).await;
    assert!(
        wharf.get(&manifest_path("hub/a/b", "after")).await.status >= 500,
        "its upstream is gone"
    );
    let blobs = std::fs::read_dir(wharf.store().join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 6, "no file is deleted, although wharf was killed");
}

#[tokio::test]
async fn a_deleted_index_is_missed_and_comes_back_with_restore() {
    let (_upstream, mut wharf, images) = harbour().await;
    std::fs::remove_file(index(&wharf)).unwrap();
    let (status, said) = wharf.rival().await;
    assert!(!status.success() && said.contains("`wharf restore`"), "{said}");
    serves_what_was_before(&mut wharf, &images).await;
}

#[tokio::test]
async fn a_damaged_index_is_refused_and_set_aside_by_restore() {
    let (_upstream, mut wharf, images) = harbour().await;
    std::fs::write(index(&wharf), vec![0x5a; 100_000]).unwrap();
    let (status, said) = wharf.rival().await;
    assert!(!status.success() && said.contains("`wharf restore`"), "{said}");
    serves_what_was_before(&mut wharf, &images).await;
    let mut aside = std::fs::read_dir(wharf.store().join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        path.to_str()
            .is_some_and(|path| path.contains(".aside-") && path.ends_with('Z'))
    };
    let was = std::fs::read(aside.find(is_it).unwrap()).unwrap();
    assert!(was == vec![0x5a; 100_000], "kept as it was");
}

#[tokio::test]
async fn a_store_that_is_served_is_not_restored() {
    let upstream = Upstream::start();
    let wharf = Wharf::of(&upstream).await;
    copied(&wharf).await;
    let (status, said) = wharf.run(&RESTORE).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&wharf.pid().to_string()), "{said}");
    assert_eq!(wharf.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn without_a_copy_restore_says_how_to_name_one() {
    let upstream = Upstream::start();
    let mut wharf = Wharf::of(&upstream).await;
    copied(&wharf).await;
    wharf.kill();
    let elsewhere = wharf.store().join("elsewhere");
    std::fs::rename(copy(&wharf), &elsewhere).unwrap();
    let (status, said) = wharf.run(&RESTORE).await;
    assert!(!status.success() && said.contains("--from"), "{said}");
    let from = ["--from", elsewhere.to_str().unwrap()];
    let (status, said) = wharf.run(&[&RESTORE[..], &from].concat()).await;
    assert!(status.success() && said.contains("0 manifests"), "{said}");
    wharf.restart().await;
    assert_eq!(wharf.get("/v2/").await.status, 200);
}
