//! A store that is filled as a fetch fills it: each blob staged, written, proven and committed, many at once, and ten of
//! them named by a manifest with a tag. One that is there already gets back what it has lost.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use wharf::clock::Clock;
use wharf::oci::{Algorithm, Digest, Manifest, RemoteName, RepoKey, RepoName};
use wharf::store::{Config, PutManifest, Size, Store};
use wharf::tasks::Tasks;

pub(crate) const MIRROR: &str = "hub";

/// Blobs that one manifest names.
const LAYERS: u64 = 10;
/// Tags in one repository.
const TAGS: u64 = 100;
/// Images on their way in at once.
const AT_ONCE: usize = 32;

/// A directory with a store of so many blobs.
#[derive(Debug)]
pub(crate) struct Filled {
    home: PathBuf,
    pub(crate) blobs: u64,
}

impl Filled {
    pub(crate) async fn make(home: &Path, blobs: u64) -> Self {
        let filled = Self {
            home: home.to_owned(),
            blobs,
        };
        println!("\na store of {blobs} blobs in {}", home.display());
        std::fs::create_dir_all(home).unwrap();
        let lacking: Vec<_> = (0..blobs / LAYERS).filter(|image| !filled.has(*image)).collect();
        let (store, tasks) = filled.open().await;
        let (begun, all) = (Instant::now(), lacking.len());
        let mut made = stream::iter(lacking)
            .map(|image| put(&store, image))
            .buffer_unordered(AT_ONCE);
        let mut done = 0;
        while made.next().await.is_some() {
            done += 1;
            if done % (all / 20).max(1) == 0 {
                let rate = done as f64 * LAYERS as f64 / begun.elapsed().as_secs_f64();
                println!("  {} % filled, {rate:.0} blobs a second", done * 100 / all);
            }
        }
        drop(made);
        close(store, tasks).await;
        filled
    }

    /// Whether the files of all blobs of an image are there.
    fn has(&self, image: u64) -> bool {
        let blobs = self.store().join("blobs/sha256");
        (0..LAYERS).all(|n| blobs.join(content(image * LAYERS + n).0.encoded()).exists())
    }

    /// Of this process, with room for all.
    pub(crate) async fn open(&self) -> (Store, Tasks) {
        let config = Config {
            path: self.store(),
            max_size: Size::Percent(100),
            min_free: Size::Bytes(0),
            ..Config::default()
        };
        let tasks = Tasks::new();
        (Store::open(&config, tasks.clone()).await.unwrap(), tasks)
    }

    /// Where the store and what belongs to it are.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.home.join("store")
    }
}

/// The blobs with these numbers, in an order of chance that is the same each time.
pub(crate) fn shuffled(of: Range<u64>) -> impl Iterator<Item = (RepoKey, Digest)> {
    // Any step that shares no factor with the length goes round through all.
    const STEP: u64 = 1_000_003;
    let length = of.end - of.start;
    (0..length).map(move |n| {
        let number = of.start + n * STEP % length;
        (RepoKey::mirrored(MIRROR, &remote(number / LAYERS)), content(number).0)
    })
}

pub(crate) async fn close(store: Store, tasks: Tasks) {
    assert!(tasks.close(Duration::from_mins(1)).await);
    store.close().await.unwrap();
}

async fn put(store: &Store, image: u64) {
    let remote = remote(image);
    let repo = RepoKey::mirrored(MIRROR, &remote);
    let blobs = (0..LAYERS).map(|n| content(image * LAYERS + n));
    let descriptors: Vec<_> = blobs
        .clone()
        .map(|(digest, bytes)| descriptor(&digest, &bytes))
        .collect();
    join_all(blobs.map(|(digest, bytes)| put_blob(store, &remote, &repo, digest, bytes))).await;
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        descriptors[0],
        descriptors[1..].join(",")
    );
    let manifest = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
    let tag = format!("t{}", image % TAGS).parse().unwrap();
    let put = PutManifest {
        repo,
        mirror: Some(MIRROR.to_owned()),
        manifest: manifest.into(),
        tag: Some((tag, Clock::system().now())),
    };
    store.put_manifest(put).await.unwrap();
}

async fn put_blob(store: &Store, remote: &RemoteName, repo: &RepoKey, digest: Digest, bytes: Bytes) {
    let length = bytes.len() as u64;
    let staged = store.stage(MIRROR, remote, &digest, Some(length)).await.unwrap();
    staged.write(0, vec![bytes]).await.unwrap();
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, repo).await.unwrap();
}

fn content(number: u64) -> (Digest, Bytes) {
    let bytes = Bytes::from(format!("blob {number} of very many"));
    (Digest::of(Algorithm::Sha256, &bytes), bytes)
}

fn remote(image: u64) -> RemoteName {
    let name: RepoName = format!("bench/r{}", image / TAGS).parse().unwrap();
    name.into()
}

fn descriptor(digest: &Digest, bytes: &Bytes) -> String {
    let size = bytes.len();
    format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}"#)
}
