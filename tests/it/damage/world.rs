//! A store with something of every kind in it, left by a kill -9, and what a client sees of it.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::client::Ended;
use crate::support::image::{Content, Image, MIB};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path, soon};

/// Who owns nothing.
const NOBODY: u32 = 65534;
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

pub(super) struct World {
    upstream: Upstream,
    pub(super) wharf: Wharf,
    pub(super) big: Content,
    pub(super) small: Content,
    halved: Content,
    pub(super) pushed: Image,
    upload: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let upstream = Upstream::start();
        let [big, small, halved] =
            [(1, 3 * MIB + 11), (2, 1000), (3, 4 * MIB)].map(|(seed, len)| Content::seeded(seed, len));
        for blob in [&big, &small, &halved] {
            upstream.put_blob("a/b", blob);
        }
        let mut wharf = Setup::new().mirror(Mirror::of("hub", &upstream)).start().await;
        let pushed = Image::oci(4, &[2 * MIB, 10]);
        wharf.push_image("team/app", "v1", &pushed).await;
        // The next start finds no copy of the index, and makes one at once.
        wharf.signal_term();
        wharf.ends().await;
        let copy = wharf.store().join("backup/index.sqlite3");
        std::fs::remove_file(&copy).unwrap();
        wharf.restart().await;
        let mut steps = tokio::time::interval(Duration::from_millis(5));
        let copied = async {
            while !copy.exists() {
                steps.tick().await;
            }
        };
        soon("a copy of the index", copied).await;
        for blob in [&big, &small] {
            assert_eq!(wharf.get(&blob_path("hub/a/b", blob)).await.status, 200);
            wharf.landed(&blob_path("hub/a/b", blob)).await;
        }
        let gate = Gate::at(MIB);
        upstream.script(On::blobs().of(halved.digest()), [Act::Hold(gate.clone())]);
        let mut answer = wharf.open(&blob_path("hub/a/b", &halved)).await;
        answer.exactly(MIB).await;
        let upload = wharf.begin("team/app").await;
        assert_eq!(wharf.chunk(&upload, 0, &big.bytes(0..MIB)).await.status, 202);
        wharf.kill();
        gate.open();
        Self {
            upstream,
            wharf,
            big,
            small,
            halved,
            pushed,
            upload,
        }
    }

    pub(super) fn in_store(&self, name: &str) -> PathBuf {
        self.wharf.store().join(name)
    }

    pub(super) fn blob(&self, blob: &Content) -> PathBuf {
        self.in_store("blobs").join(blob.digest().replace(':', "/"))
    }

    /// The only file in a directory of the store.
    pub(super) fn only(&self, name: &str) -> PathBuf {
        let mut files = std::fs::read_dir(self.in_store(name)).unwrap();
        files.next().unwrap().unwrap().path()
    }

    /// Gives all but `path` to nobody, as whom wharf runs from now on; `path` is root's alone.
    pub(super) fn give_all_but(&mut self, path: &Path) {
        self.own(NOBODY);
        self.wharf.under(&AS_NOBODY);
        chown(path, Some(0), Some(0)).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Gives all back.
    pub(super) fn take_back(&mut self) {
        self.own(0);
        self.wharf.under(&[]);
    }

    fn own(&self, who: u32) {
        let mut left = vec![self.wharf.store().parent().unwrap().to_path_buf()];
        while let Some(path) = left.pop() {
            chown(&path, Some(who), Some(who)).unwrap();
            if path.is_dir() {
                left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }

    pub(super) async fn fsck(&self, more: &[&str]) -> (i32, String) {
        let (status, said) = self
            .wharf
            .run(&[&["fsck", "--config", "wharf.toml"], more].concat())
            .await;
        (status.code().unwrap(), said)
    }

    /// Whatever is answered is right, or no answer. With `all`, everything is answered.
    pub(super) async fn answers(&self, all: bool, what: &str) {
        for blob in [&self.big, &self.small, &self.halved] {
            self.is_right("hub/a/b", blob, all, what).await;
        }
        for blob in &self.pushed.blobs {
            self.is_right("team/app", blob, all, what).await;
        }
        let manifest = self.wharf.get(&manifest_path("team/app", "v1")).await;
        let whole = manifest.body == self.pushed.manifest.all();
        assert!(manifest.status != 200 && !all || whole, "{what}: {}", manifest.status);
        let upload = self.wharf.get(&self.upload).await;
        assert!(
            [204, 404, 500, 503].contains(&upload.status),
            "{what}: {}",
            upload.status
        );
        assert!(self.upstream.connections() > 0);
    }

    /// What is cut short is no answer: a partial with a wrong byte may cost one client its download.
    async fn is_right(&self, name: &str, blob: &Content, all: bool, what: &str) {
        let mut answer = self.wharf.get(&blob_path(name, blob)).await;
        if all && answer.ended != Ended::Clean {
            answer = self.wharf.get(&blob_path(name, blob)).await;
        }
        if all || (answer.status == 200 && answer.ended == Ended::Clean) {
            let right = answer.body == blob.all();
            assert_eq!((answer.status, right), (200, true), "{what}: {name} {}", blob.digest());
        }
    }
}
