//! What nobody can reach leaves the disk, online, and nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::image::{Content, Image, MIB};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path, quiet, soon};

fn grace(of: &str) -> Setup {
    Setup::new().table("hosted", &format!("grace = \"{of}\""))
}

/// A wharf with a grace that no push can outlast.
async fn patient() -> Wharf {
    grace("1h").start().await
}

/// The same with next to no grace from now on.
async fn hurry(wharf: &mut Wharf, setup: Setup) {
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    wharf.reconfigure(&setup);
    wharf.restart().await;
}

/// Waits until all that was loose before is collected: the oldest go first, and asking for a blob would renew it.
async fn collected(wharf: &Wharf) {
    let last = Content::seeded(4711, 10);
    wharf.push_blob("canary", &last).await;
    until("a collection", || !files(wharf).contains(last.digest())).await;
}

/// The digests of the blobs on disk.
fn files(wharf: &Wharf) -> BTreeSet<String> {
    let entries = std::fs::read_dir(wharf.store().join("blobs/sha256")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("sha256:{name}")).collect()
}

fn digests(image: &Image) -> BTreeSet<String> {
    image.blobs.iter().map(|blob| blob.digest().to_owned()).collect()
}

async fn until(what: &str, state: impl Fn() -> bool) {
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let reached = async {
        while !state() {
            steps.tick().await;
        }
    };
    soon(what, reached).await;
}

#[tokio::test]
async fn what_is_deleted_goes_after_the_grace_and_what_is_named_stays() {
    let mut wharf = patient().await;
    let (kept, gone) = (Image::oci(1, &[MIB, 10]), Image::oci(2, &[MIB, 20]));
    for (tag, image) in [("kept", &kept), ("gone", &gone)] {
        wharf.push_image("team/app", tag, image).await;
    }
    hurry(&mut wharf, grace("100ms")).await;
    assert_eq!(
        wharf.delete(&manifest_path("team/app", gone.digest())).await.status,
        202
    );
    wharf.push_blob("team/app", &Content::seeded(3, MIB)).await;
    until("the unreachable to go", || files(&wharf) == digests(&kept)).await;
    for blob in &gone.blobs {
        assert!(!wharf.has_blob("team/app", blob).await);
    }
    for blob in &kept.blobs {
        let answer = wharf.get(&blob_path("team/app", blob)).await;
        assert_eq!((answer.status, answer.body == blob.all()), (200, true));
    }
    until("the trash to be empty", || !holds_anything(&wharf, "trash")).await;
    wharf.says("freed what no manifest names").await;
    let log = wharf.log();
    assert!(
        log.contains("freed what no manifest names") && log.contains("bytes="),
        "{log}"
    );

    hurry(&mut wharf, grace("1h")).await;
    wharf.push_image("team/app", "gone", &gone).await;
    assert!(wharf.has_manifest("team/app", "gone").await, "and can come again");
}

fn holds_anything(wharf: &Wharf, directory: &str) -> bool {
    std::fs::read_dir(wharf.store().join(directory))
        .unwrap()
        .next()
        .is_some()
}

#[tokio::test]
async fn a_moved_tag_leaves_its_manifest_and_content() {
    let mut wharf = patient().await;
    let (old, new) = (Image::oci(1, &[MIB]), Image::oci(2, &[MIB]));
    wharf.push_image("team/app", "v1", &old).await;
    wharf.push_image("team/app", "v1", &new).await;
    hurry(&mut wharf, grace("100ms")).await;
    collected(&wharf).await;
    assert!(wharf.has_manifest("team/app", old.digest()).await);
    for blob in &old.blobs {
        assert!(wharf.has_blob("team/app", blob).await);
    }
}

#[tokio::test]
async fn what_another_repository_or_a_mirror_has_stays() {
    let (upstream, cached) = (Upstream::start(), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &cached);
    let mirrored = |of| grace(of).mirror(Mirror::of("hub", &upstream));
    let mut wharf = mirrored("1h").start().await;
    let layer = cached.layer(0);
    assert_eq!(wharf.get(&blob_path("hub/a/b", layer)).await.status, 200);
    wharf.landed(&blob_path("hub/a/b", layer)).await;
    let shared = Image::oci(2, &[MIB]);
    for name in ["team/one", "team/two"] {
        wharf.push_image(name, "v1", &shared).await;
        wharf.push_blob(name, layer).await;
    }
    assert_eq!(
        wharf.delete(&manifest_path("team/one", shared.digest())).await.status,
        202
    );
    hurry(&mut wharf, mirrored("100ms")).await;
    collected(&wharf).await;
    let mut expected = digests(&shared);
    expected.insert(layer.digest().to_owned());
    assert_eq!(files(&wharf), expected);
    for blob in [layer, shared.layer(0)] {
        assert!(!wharf.has_blob("team/one", blob).await, "no longer of this repository");
    }
    assert!(wharf.has_blob("team/two", shared.layer(0)).await);
    upstream.stop().await;
    assert_eq!(
        wharf.get(&blob_path("hub/a/b", layer)).await.status,
        200,
        "still cached"
    );
}

#[tokio::test]
async fn nothing_goes_before_its_grace_is_over() {
    let wharf = patient().await;
    let (loose, image) = (Content::seeded(1, MIB), Image::oci(2, &[10]));
    wharf.push_blob("team/app", &loose).await;
    wharf.push_image("team/app", "v1", &image).await;
    assert_eq!(
        wharf.delete(&manifest_path("team/app", image.digest())).await.status,
        202
    );
    let mut before = digests(&image);
    before.insert(loose.digest().to_owned());
    let gone = until("nothing", || files(&wharf) != before);
    assert!(quiet(Duration::from_secs(2), gone).await);
    wharf
        .push_manifest("team/app", "v1", image.media_type, &image.manifest.all())
        .await;
    assert!(
        wharf.has_manifest("team/app", "v1").await,
        "its blobs are there for whoever pushes it again"
    );
}

#[tokio::test]
async fn what_kill_9_leaves_behind_is_collected_after_the_next_start() {
    let mut wharf = patient().await;
    let kept = Image::oci(1, &[MIB]);
    wharf.push_image("team/app", "v1", &kept).await;
    for seed in 10..30 {
        wharf.push_blob("team/app", &Content::seeded(seed, 1000)).await;
    }
    wharf.kill();
    // As a crash between the forgetting and the removal leaves it.
    let stray = Content::seeded(99, 1000);
    let name = stray.digest().split_once(':').unwrap().1;
    std::fs::write(wharf.store().join("blobs/sha256").join(name), stray.all()).unwrap();
    wharf.reconfigure(&grace("100ms"));
    wharf.restart().await;
    until("the unreachable to go", || files(&wharf) == digests(&kept)).await;
    for blob in &kept.blobs {
        assert!(wharf.has_blob("team/app", blob).await);
    }
}

#[tokio::test]
async fn a_client_that_asks_for_a_blob_finds_it_for_a_whole_grace() {
    let mut wharf = patient().await;
    let (asked, forgotten) = (Content::seeded(1, 1000), Content::seeded(2, 1000));
    for blob in [&asked, &forgotten] {
        wharf.push_blob("team/app", blob).await;
    }
    hurry(&mut wharf, grace("2s")).await;
    let mut steps = tokio::time::interval(Duration::from_millis(50));
    let outlived = async {
        while files(&wharf).contains(forgotten.digest()) {
            assert_eq!(wharf.head(&blob_path("team/app", &asked)).await.status, 200);
            steps.tick().await;
        }
    };
    soon("the other one to go", outlived).await;
    assert_eq!(wharf.head(&blob_path("team/app", &asked)).await.status, 200);
}
