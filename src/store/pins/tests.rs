use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::oci::{Algorithm, Manifest, MediaType, Tag};
use crate::store::Config;
use crate::store::budget::size::Size;
use crate::store::index::PutManifest;
use crate::store::tests::{BIG, Dir, MIRROR, content, put as cache, remote};
use crate::tasks::Tasks;

const ALPINE: &str = "docker.io/library/alpine";

fn now() -> Timestamp {
    Timestamp::from_second(1000).unwrap()
}

fn pin(text: &str) -> Pin {
    text.parse().unwrap()
}

/// Content that need not be stored.
fn layer(name: &str) -> Digest {
    Digest::of(Algorithm::Sha256, name.as_bytes())
}

fn manifest(media_type: &MediaType, list: &str, of: &MediaType, digests: &[Digest]) -> Arc<Manifest> {
    let named = digests
        .iter()
        .map(|digest| json!({ "mediaType": of.as_str(), "digest": digest.to_string(), "size": 1 }));
    let body = json!({ "schemaVersion": 2, "mediaType": media_type.as_str(), list: named.collect::<Vec<_>>() });
    Arc::new(Manifest::parse(Bytes::from(body.to_string()), None, Algorithm::Sha256).unwrap())
}

fn image(layers: &[Digest]) -> Arc<Manifest> {
    manifest(&MediaType::OCI_MANIFEST, "layers", &MediaType::OCTET_STREAM, layers)
}

fn index(images: &[&Manifest]) -> Arc<Manifest> {
    let digests: Vec<Digest> = images.iter().map(|image| image.digest()).collect();
    manifest(&MediaType::OCI_INDEX, "manifests", &MediaType::OCI_MANIFEST, &digests)
}

async fn put(store: &Store, repo: &str, tag: Option<&str>, manifest: &Arc<Manifest>) {
    let put = PutManifest {
        repo: repo.parse().unwrap(),
        mirror: Some("docker.io".to_owned()),
        manifest: Arc::clone(manifest),
        tag: tag.map(|tag| (tag.parse::<Tag>().unwrap(), now())),
    };
    store.put_manifest(put).await.unwrap();
}

async fn holds(store: &Store, digests: &[Digest]) -> bool {
    settle(&store.index).await.unwrap();
    digests.iter().all(|digest| store.index.held().holds(digest))
}

#[tokio::test]
async fn a_pin_holds_what_its_tags_point_to_down_to_the_last_layer() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (a, b) = (image(&[layer("a")]), image(&[layer("b")]));
    let both = index(&[&a, &b]);
    put(&store, ALPINE, Some("3"), &both).await;
    // A child that came by another repository, and by no tag.
    put(&store, "docker.io/org/other", None, &a).await;
    let other = image(&[layer("other")]);
    put(&store, ALPINE, Some("edge"), &other).await;

    assert!(!holds(&store, &[both.digest()]).await);
    store.add_pin(&pin("docker.io/alpine:3*"), now()).await.unwrap();
    assert!(holds(&store, &[both.digest(), a.digest(), b.digest(), layer("a")]).await);
    assert!(!holds(&store, &[layer("b")]).await, "nobody knows yet that it is named");
    assert!(!holds(&store, &[other.digest()]).await && !holds(&store, &[layer("other")]).await);

    put(&store, ALPINE, None, &b).await;
    assert!(holds(&store, &[layer("b")]).await);
    store.remove_pin(&pin("docker.io/alpine:3*")).await.unwrap();
    assert!(!holds(&store, &[layer("a")]).await && !holds(&store, &[both.digest()]).await);
}

#[tokio::test]
async fn a_tag_that_moves_takes_its_pin_along() {
    let dir = Dir::new();
    let store = dir.open().await;
    store.configure_pins(&[pin("docker.io/library/*:v*")]);
    let (old, new) = (image(&[layer("old")]), image(&[layer("new")]));
    put(&store, ALPINE, Some("v1"), &old).await;
    assert!(holds(&store, &[layer("old")]).await);
    put(&store, ALPINE, Some("v1"), &new).await;
    assert!(holds(&store, &[layer("new")]).await, "at once");
    let let_go = async {
        while holds(&store, &[layer("old")]).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), let_go)
        .await
        .unwrap();
    assert!(holds(&store, &[layer("new")]).await);

    put(&store, ALPINE, Some("v1"), &new).await;
    settle(&store.index).await.unwrap();
    store.index.held().end_all(Duration::ZERO);
    assert!(store.index.held().work().is_none(), "it has not moved");
}

#[tokio::test]
async fn without_tags_all_that_the_repository_has_is_pinned() {
    let dir = Dir::new();
    let store = dir.open().await;
    store.configure_pins(&[pin(ALPINE)]);
    let (one, two) = (image(&[layer("one")]), image(&[layer("two")]));
    put(&store, ALPINE, None, &one).await;
    assert!(holds(&store, &[one.digest(), layer("one")]).await);
    put(&store, ALPINE, None, &two).await;
    put(&store, "docker.io/org/other", Some("v1"), &image(&[layer("three")])).await;
    let repo = ALPINE.parse().unwrap();
    store.link_proven(&repo, "docker.io", &layer("alone")).await.unwrap();
    assert!(holds(&store, &[two.digest(), layer("two"), layer("alone")]).await);
    assert!(!holds(&store, &[layer("three")]).await);
}

#[tokio::test]
async fn a_digest_is_pinned_with_what_it_names_whoever_brings_it() {
    let dir = Dir::new();
    let store = dir.open().await;
    let it = image(&[layer("a")]);
    store.configure_pins(&[pin(&format!("{ALPINE}@{}", it.digest()))]);
    assert!(holds(&store, &[it.digest()]).await);
    put(&store, "docker.io/org/other", None, &it).await;
    assert!(holds(&store, &[layer("a")]).await);
}

#[tokio::test]
async fn a_pin_by_command_outlives_the_process_and_is_there_once() {
    let dir = Dir::new();
    let store = dir.open().await;
    let pins = ["quay.io/org/*:v1", ALPINE].map(pin);
    for pin in &pins {
        assert!(store.add_pin(pin, now()).await.unwrap());
        assert!(!store.add_pin(pin, now()).await.unwrap(), "it is there");
    }
    put(&store, ALPINE, None, &image(&[layer("a")])).await;
    store.close().await.unwrap();
    drop(store);
    let store = dir.open().await;
    store.configure_pins(&[pins[1].clone()]);
    let [one, two] = pins;
    let expected = [
        (two.clone(), Source::Configuration),
        (two, Source::Command),
        (one.clone(), Source::Command),
    ];
    assert_eq!(store.pins(), expected);
    assert!(holds(&store, &[layer("a")]).await);
    assert!(store.remove_pin(&one).await.unwrap());
    assert!(!store.remove_pin(&one).await.unwrap());
    assert_eq!(store.pins(), expected[..2]);
}

#[tokio::test]
async fn work_that_was_left_is_done_by_the_next() {
    let dir = Dir::new();
    let store = dir.open().await;
    put(&store, ALPINE, None, &image(&[layer("a")])).await;
    store.configure_pins(&[pin(ALPINE)]);
    assert!(matches!(store.index.held().work(), Some(Work::All(_))));
    assert!(holds(&store, &[layer("a")]).await);

    put(&store, ALPINE, None, &image(&[layer("b")])).await;
    assert!(matches!(store.index.held().work(), Some(Work::More(_))));
    assert!(holds(&store, &[layer("b")]).await);
}

#[tokio::test]
async fn more_than_a_page_of_everything_is_followed() {
    let dir = Dir::new();
    let store = dir.open().await;
    store.configure_pins(&[pin("docker.io/*")]);
    let mut layers = Vec::new();
    for number in 0..300 {
        let repo = format!("docker.io/org/app{number}");
        let (of_repo, of_tag) = (layer(&format!("repo {number}")), layer(&format!("tag {number}")));
        put(&store, &repo, None, &image(&[of_repo])).await;
        put(&store, ALPINE, Some(&format!("v{number}")), &image(&[of_tag])).await;
        layers.extend([of_repo, of_tag]);
    }
    assert!(holds(&store, &layers).await);
    let weight = store.weigh_pin(&pin("docker.io/*")).await.unwrap();
    assert_eq!(weight, (0, 0), "none of them is stored");
}

#[tokio::test]
async fn what_is_pinned_is_no_victim_and_nothing_goes_in_vain_beside_it() {
    const ONE: u64 = 300 * 1024;
    let (dir, blob) = (Dir::new(), |n: usize| content(BIG + n));
    let config = Config {
        max_size: Size::Bytes(3 * ONE),
        min_free: Size::Bytes(0),
        pins: [0, 1].map(|n| pin(&format!("{ALPINE}@{}", blob(n).1))).to_vec(),
        ..dir.config()
    };
    let store = Store::open(&config, Tasks::new()).await.unwrap();
    for n in 0..4 {
        let (bytes, digest) = blob(n);
        cache(&store, &bytes, &digest).await;
    }
    let kept = || (0..4).filter(|n| dir.blob(&blob(*n).1).exists()).collect::<Vec<_>>();
    assert_eq!(kept(), [0, 1, 3]);
    let stage = async || store.stage(MIRROR, &remote(), &layer("x"), Some(2 * ONE)).await;
    let refused = stage().await;
    assert!(matches!(refused, Err(Error::NoRoom { .. })), "{refused:?}");
    assert_eq!(kept(), [0, 1, 3]);
    store.configure_pins(&config.pins[1..]);
    drop(stage().await.unwrap());
    assert_eq!(kept(), [1]);
}
