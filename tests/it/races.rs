//! Pushers, readers, deleters and the collector at the same moment: whoever sees a name can fetch everything below it.
//!
//! `WHARF_RACE_PUSHES` says how many pushes each pusher makes against the collector.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::image::{Content, Image, KIB, sha256};
use crate::support::push::{Pusher, Way};
use crate::support::wharf::Setup;
use crate::support::{manifest_path, soon};

const NAME: &str = "race/app";

/// Reads what the tag names and everything below it, once. None: there is no such tag.
async fn read_whole(pusher: Pusher, repository: &str, tag: &str) -> Option<String> {
    let answer = pusher.get(&manifest_path(repository, tag)).await.unwrap();
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 200, "{}", answer.text());
    let digest = answer.header("docker-content-digest").unwrap().to_owned();
    assert_eq!(digest, sha256(&answer.body));
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    for blob in layers.iter().chain([&manifest["config"]]) {
        let named = blob["digest"].as_str().unwrap();
        let answer = pusher.get(&format!("/v2/{repository}/blobs/{named}")).await.unwrap();
        if answer.status == 404 && pusher.get(&manifest_path(repository, &digest)).await.unwrap().status == 404 {
            return None; // deleted in the meantime
        }
        assert_eq!(answer.status, 200, "{tag} names {named}: {}", answer.text());
        assert_eq!(sha256(&answer.body), named);
    }
    Some(digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_pushers_one_has_the_tag_and_every_reader_sees_a_whole_image() {
    let wharf = Setup::new().start().await;
    let pusher = Pusher::at(wharf.address());
    let images: Vec<Image> = (0..50).map(|n| Image::oci(n, &[100 * KIB, 1])).collect();
    let mut pushers = JoinSet::new();
    let moves = Arc::new(AtomicUsize::new(0));
    for image in images.clone() {
        let moves = Arc::clone(&moves);
        pushers.spawn(async move {
            pusher.image(NAME, "latest", &image).await.unwrap();
            // All fifty may have come in one commit.
            while moves.load(Ordering::SeqCst) <= 8 {
                pusher.image(NAME, "latest", &image).await.unwrap();
            }
        });
    }
    let racing = Arc::new(AtomicBool::new(true));
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let (racing, moves) = (Arc::clone(&racing), Arc::clone(&moves));
        readers.spawn(async move {
            let mut seen = BTreeSet::new();
            while racing.load(Ordering::SeqCst) {
                let read = read_whole(pusher, NAME, "latest").await;
                assert!(
                    read.is_some() || seen.is_empty(),
                    "the tag was there, and is not any more"
                );
                let is_new = read.is_some_and(|read| seen.insert(read));
                moves.fetch_add(usize::from(is_new), Ordering::SeqCst);
            }
        });
    }
    while let Some(pushed) = soon("a push", pushers.join_next()).await {
        pushed.unwrap();
    }
    racing.store(false, Ordering::SeqCst);
    while let Some(read) = soon("a reader", readers.join_next()).await {
        read.unwrap();
    }

    let last = read_whole(pusher, NAME, "latest").await.unwrap();
    assert!(images.iter().any(|image| image.digest() == last));
    for image in &images {
        assert_eq!(
            read_whole(pusher, NAME, image.digest()).await.as_deref(),
            Some(image.digest())
        );
    }
}

/// One repository, written to by one pusher and emptied again by the next step; its layers are those of all the others.
struct Churn {
    pusher: Pusher,
    repository: String,
    layers: Vec<Content>,
    serial: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Churn {
    /// Pushes an image that has never been there, as a client does that asks first what is there already.
    async fn push(&self, round: u64) -> Image {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let config = Content::of(format!("{{\"serial\": {serial}}}"));
        let n = usize::try_from(serial).unwrap() % self.layers.len();
        let layers = [&self.layers[n], &self.layers[(n + 1) % self.layers.len()]];
        let image = Image::of(&config, &layers);
        loop {
            for blob in [layers[0], layers[1], &config] {
                if !self.pusher.has(&self.repository, blob).await.unwrap() {
                    let way = if round.is_multiple_of(2) {
                        Way::Put
                    } else {
                        Way::Streamed
                    };
                    assert_eq!(self.pusher.blob(&self.repository, blob, way).await.unwrap().status, 201);
                }
            }
            let put = self
                .pusher
                .manifest(&self.repository, "latest", image.media_type, &image.manifest);
            let answer = put.await.unwrap();
            if answer.status == 201 {
                return image;
            }
            // The grace is so short that a blob may go between the question and the manifest: then it must say so.
            assert_eq!((answer.status, answer.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The image that is there at the end.
    async fn run(self, pushes: u64) -> Image {
        for round in 0..pushes {
            let image = self.push(round).await;
            let read = read_whole(self.pusher, &self.repository, image.digest()).await;
            assert!(read.is_some(), "an accepted manifest is not whole");
            let deleted = self
                .pusher
                .delete(&manifest_path(&self.repository, image.digest()))
                .await
                .unwrap();
            assert_eq!(deleted.status, 202, "{}", deleted.text());
        }
        self.push(0).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_manifest_never_loses_a_blob_whatever_is_collected_beside_it() {
    let times = std::env::var("WHARF_RACE_PUSHES").map_or(40, |text| text.parse().unwrap());
    let wharf = Setup::new().table("hosted", "grace = \"20ms\"").start().await;
    let pusher = Pusher::at(wharf.address());
    let layers: Vec<Content> = (0..6).map(|n| Content::seeded(n, (n + 1) * 30 * KIB)).collect();
    let (serial, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let repositories: Vec<String> = (0..6).map(|n| format!("race/of-{n}")).collect();
    let mut churns = JoinSet::new();
    for repository in &repositories {
        let churn = Churn {
            pusher,
            repository: repository.clone(),
            layers: layers.clone(),
            serial: Arc::clone(&serial),
            refused: Arc::clone(&refused),
        };
        churns.spawn(churn.run(times));
    }
    let racing = Arc::new(AtomicBool::new(true));
    let mut readers = JoinSet::new();
    for repository in repositories.clone() {
        let racing = Arc::clone(&racing);
        readers.spawn(async move {
            while racing.load(Ordering::SeqCst) {
                read_whole(pusher, &repository, "latest").await;
            }
        });
    }
    let mut lasts = Vec::new();
    while let Some(churned) = churns.join_next().await {
        lasts.push(churned.unwrap());
    }
    racing.store(false, Ordering::SeqCst);
    while let Some(read) = soon("a reader", readers.join_next()).await {
        read.unwrap();
    }
    for repository in &repositories {
        let read = read_whole(pusher, repository, "latest").await;
        assert!(read.is_some(), "{repository} has lost its image");
    }
    // It has collected indeed: of all that was pushed, the layers and the last image of each repository are left.
    let last: Vec<String> = lasts
        .iter()
        .flat_map(|image| &image.blobs)
        .map(|blob| blob.digest().replace(':', "/"))
        .collect();
    wharf.clears(|file| !last.iter().any(|last| file.ends_with(last))).await;
    eprintln!(
        "{} refused for a blob that had been collected",
        refused.load(Ordering::SeqCst)
    );
}
