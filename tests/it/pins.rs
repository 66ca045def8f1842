//! Pinned images outlive all others, as long as they are pinned; `wharf pin`.

use crate::support::image::{Content, Image, MIB};
use crate::support::soon;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const ROOM: u64 = 16 * MIB;

fn setup(upstream: &Upstream, pins: &str) -> Setup {
    let mirror = Mirror::of("hub", upstream).set("fresh_for", "\"1ms\"");
    let setup = Setup::new().mirror(mirror).store("pins", pins);
    setup.store("max_size", &ROOM.to_string()).store("min_free", "0")
}

async fn pull(wharf: &Wharf, name: &str, tag: &str, image: &Image) {
    let manifest = wharf.get(&manifest_path(name, tag)).await;
    assert_eq!((manifest.status, manifest.body == image.manifest.all()), (200, true));
    for blob in &image.blobs {
        let target = blob_path(name, blob);
        assert_eq!(wharf.get(&target).await.body, blob.all());
        wharf.landed(&target).await;
    }
}

fn is_stored(wharf: &Wharf, blob: &Content) -> bool {
    let name = blob.digest().split_once(':').unwrap().1;
    wharf.store().join("blobs/sha256").join(name).exists()
}

fn all_stored(wharf: &Wharf, image: &Image) -> bool {
    image.blobs.iter().all(|blob| is_stored(wharf, blob))
}

/// Pulls other content, more than there is room for.
async fn flood(upstream: &Upstream, wharf: &Wharf, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let blob = Content::seeded(1000 + seed, 2 * MIB);
        upstream.put_blob("a/flood", &blob);
        let target = blob_path("hub/a/flood", &blob);
        assert_eq!(wharf.get(&target).await.status, 200);
        wharf.landed(&target).await;
    }
}

/// Floods until this is gone.
async fn flooded_out(upstream: &Upstream, wharf: &Wharf, image: &Image) {
    let gone = async {
        let mut round = 100;
        while is_stored(wharf, image.layer(0)) {
            flood(upstream, wharf, round..round + 4).await;
            round += 4;
        }
    };
    soon("what is not pinned to go", gone).await;
}

async fn pin(wharf: &Wharf, words: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["pin"], words, &["--config", "wharf.toml"]].concat();
    let (status, said) = wharf.run(&arguments).await;
    (status.code(), said.trim().to_owned())
}

#[tokio::test]
async fn what_the_configuration_pins_stays_until_a_reload_says_otherwise() {
    let upstream = Upstream::start();
    let (pinned, other) = (Image::oci(1, &[MIB, 10]), Image::oci(2, &[MIB, 20]));
    upstream.put_image("a/b", "v1", &pinned);
    upstream.put_image("a/b", "edge", &other);
    let wharf = setup(&upstream, "[\"hub/a/b:v*\"]").start().await;
    pull(&wharf, "hub/a/b", "v1", &pinned).await;
    pull(&wharf, "hub/a/b", "edge", &other).await;
    flood(&upstream, &wharf, 0..16).await;
    assert!(all_stored(&wharf, &pinned));
    assert!(!is_stored(&wharf, other.layer(0)), "it made room");

    let said = wharf.reload(&setup(&upstream, "[]")).await;
    assert!(!said.contains("restart needed"), "{said}");
    flooded_out(&upstream, &wharf, &pinned).await;
}

#[tokio::test]
async fn what_a_command_pins_stays_over_restarts_until_it_is_taken_back() {
    let upstream = Upstream::start();
    let image = Image::oci(1, &[MIB, 10]);
    upstream.put_image("a/b", "v1", &image);
    let mut wharf = setup(&upstream, "[\"hub/x\"]").start().await;
    pull(&wharf, "hub/a/b", "v1", &image).await;
    let (code, said) = pin(&wharf, &["add", "hub/a/b:v1"]).await;
    let bytes: u64 = image.blobs.iter().map(Content::len).sum();
    let ours = format!("hub/a/b:v1 by command: {} blobs, {bytes} bytes", image.blobs.len());
    assert!(code == Some(0) && said.starts_with(&ours), "{said}");
    flood(&upstream, &wharf, 0..10).await;
    wharf.kill();
    wharf.restart().await;
    let (code, said) = pin(&wharf, &["list"]).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{said}");
    assert!(
        lines[0].starts_with("hub/x by configuration: 0 blobs, 0 bytes"),
        "{said}"
    );
    assert!(lines[1].starts_with(&ours), "{said}");
    flood(&upstream, &wharf, 10..20).await;
    assert!(all_stored(&wharf, &image));

    let removed = pin(&wharf, &["remove", "hub/a/b:v1"]).await;
    assert_eq!(removed, (Some(0), String::new()));
    flooded_out(&upstream, &wharf, &image).await;
}

#[tokio::test]
async fn a_tag_that_moves_takes_its_pin_along() {
    let upstream = Upstream::start();
    let (old, new) = (Image::oci(1, &[MIB, 10]), Image::oci(2, &[MIB, 20]));
    upstream.put_image("a/b", "v1", &old);
    let wharf = setup(&upstream, "[\"hub/a/b:v1\"]").start().await;
    pull(&wharf, "hub/a/b", "v1", &old).await;
    flood(&upstream, &wharf, 0..10).await;
    assert!(all_stored(&wharf, &old));
    upstream.put_image("a/b", "v1", &new);
    pull(&wharf, "hub/a/b", "v1", &new).await;
    flooded_out(&upstream, &wharf, &old).await;
    assert!(all_stored(&wharf, &new));
}

#[tokio::test]
async fn a_pattern_that_is_none_is_refused_and_so_is_taking_back_what_is_not_there() {
    let upstream = Upstream::start();
    let wharf = setup(&upstream, "[\"hub/x\"]").start().await;
    for wrong in ["Hub/x", "hub/a:b:c", "hub/a@latest", "sha256:0@x"] {
        let (code, said) = pin(&wharf, &["add", wrong]).await;
        assert!(code == Some(2) && said.contains("mirror's key"), "{said}");
    }
    let (code, said) = pin(&wharf, &["remove", "hub/y"]).await;
    assert!(
        code == Some(1) && said.contains("hub/y is not pinned by command"),
        "{said}"
    );
    let (code, said) = pin(&wharf, &["remove", "hub/x"]).await;
    assert!(code == Some(1) && said.contains("store.pins"), "{said}");
    let said = wharf.reload(&setup(&upstream, "[\"hub/X\"]")).await;
    assert!(
        said.contains("store.pins") && said.contains("stays as it was"),
        "{said}"
    );
}

#[tokio::test]
async fn where_nobody_serves_pins_say_what_to_do() {
    let mut wharf = Setup::new().start().await;
    wharf.signal_term();
    wharf.ends().await;
    let (code, said) = pin(&wharf, &["list"]).await;
    assert!(code == Some(1) && said.contains("no wharf serves the store"), "{said}");
}
