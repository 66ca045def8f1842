//! `wharf serve --read-only`: a store on media that take no writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::image::{Content, Image, MIB};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const READ_ONLY: [&str; 4] = ["serve", "--config", "wharf.toml", "--read-only"];

/// A directory mounted read-only onto itself; undone when dropped.
struct Sealed(PathBuf);

impl Sealed {
    /// None where this machine does not let us.
    fn mount(path: &Path) -> Option<Self> {
        let path = path.to_str().unwrap();
        let mount = |arguments: &[&str]| {
            Command::new("mount")
                .args(arguments)
                .status()
                .is_ok_and(|status| status.success())
        };
        if !mount(&["--bind", path, path]) {
            eprintln!("not shown: a store on a read-only mount, which this machine does not allow");
            return None;
        }
        let sealed = Self(path.into());
        assert!(mount(&["-o", "remount,ro,bind", path]));
        Some(sealed)
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// All names and bytes below a directory.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(tree(&entry));
        } else if entry.is_file() {
            found.push((entry.clone(), std::fs::read(&entry).unwrap()));
        }
    }
    found.sort();
    found
}

struct Harbour {
    upstream: Upstream,
    wharf: Wharf,
    cached: Image,
    pushed: Image,
    other: Content,
}

/// A cached image, a pushed one with a blob that nothing names, and another blob upstream.
async fn harbour() -> Harbour {
    let (upstream, other) = (Upstream::start(), Content::seeded(9, MIB));
    let [cached, pushed] = [1, 2].map(|seed| Image::oci(seed, &[2 * MIB, 10]));
    upstream.put_image("a/b", "v1", &cached);
    upstream.put_blob("a/b", &other);
    let mirror = Mirror::of("hub", &upstream).set("fresh_for", "\"1ms\"");
    let hosted = "grace = \"2s\"";
    let wharf = Setup::new().mirror(mirror).table("hosted", hosted).start().await;
    wharf.push_image("team/app", "v1", &pushed).await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    for blob in &cached.blobs {
        assert_eq!(wharf.get(&blob_path("hub/a/b", blob)).await.status, 200);
        wharf.landed(&blob_path("hub/a/b", blob)).await;
    }
    Harbour {
        upstream,
        wharf,
        cached,
        pushed,
        other,
    }
}

impl Harbour {
    async fn serves_what_is_stored(&self, what: &str) {
        for (name, image) in [("hub/a/b", &self.cached), ("team/app", &self.pushed)] {
            let manifest = self.wharf.get(&manifest_path(name, "v1")).await;
            assert_eq!(
                (manifest.status, manifest.body == image.manifest.all()),
                (200, true),
                "{what}: {name}"
            );
            for blob in &image.blobs {
                let answer = self.wharf.get(&blob_path(name, blob)).await;
                assert_eq!(
                    (answer.status, answer.body == blob.all()),
                    (200, true),
                    "{what}: {name}"
                );
            }
        }
    }

    async fn keeps_nothing(&self, what: &str) {
        for _ in 0..2 {
            let answer = self.wharf.get(&blob_path("hub/a/b", &self.other)).await;
            assert_eq!((answer.status, answer.body == self.other.all()), (200, true), "{what}");
            let status = answer.header("cache-status").unwrap();
            assert!(status.contains("detail=relay"), "{what}: {status}");
        }
        for (method, target) in [
            ("POST", "/v2/team/app/blobs/uploads/".to_owned()),
            ("PUT", manifest_path("team/app", "v2")),
            ("DELETE", manifest_path("team/app", "v1")),
            ("DELETE", blob_path("team/app", &self.pushed.blobs[0])),
        ] {
            let refused = self.wharf.sends(method, &target, &[], b"").await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (405, "UNSUPPORTED"),
                "{what}: {method} {target}"
            );
            assert!(refused.text().contains("only read"), "{}", refused.text());
        }
    }
}

#[tokio::test]
async fn a_store_on_read_only_media_is_served_and_nothing_is_written() {
    for unclean in [false, true] {
        let mut harbour = harbour().await;
        let what = if unclean { "killed" } else { "ended" };
        if unclean {
            harbour.wharf.kill();
        } else {
            harbour.wharf.signal_term();
            harbour.wharf.ends().await;
        }
        let store = harbour.wharf.store();
        // A copy has no shared memory of SQLite's.
        drop(std::fs::remove_file(store.join("index/index.sqlite3-shm")));
        let Some(sealed) = Sealed::mount(&store) else { return };
        let before = tree(&store);
        assert!(!harbour.wharf.may_restart(&["serve", "--config", "wharf.toml"]).await);
        let said = harbour.wharf.log();
        assert!(said.contains("store.path") && said.contains("Read-only"), "{said}");

        assert!(
            harbour.wharf.may_restart(&READ_ONLY).await,
            "{what}:\n{}",
            harbour.wharf.log()
        );
        harbour.serves_what_is_stored(what).await;
        harbour.keeps_nothing(what).await;
        harbour.upstream.stop().await;
        harbour.serves_what_is_stored(what).await;
        harbour.wharf.signal_term();
        assert!(harbour.wharf.ends().await.success(), "{what}:\n{}", harbour.wharf.log());
        assert_eq!(tree(&store), before, "{what}");
        drop(sealed);
    }
}

#[tokio::test]
async fn beside_a_wharf_that_writes_it_reads_what_that_has() {
    let harbour = harbour().await;
    let store = harbour.wharf.store();
    let before: Vec<_> = tree(&store).into_iter().map(|(path, _)| path).collect();
    let mut beside = Setup::new().mirror(Mirror::of("hub", &harbour.upstream)).start().await;
    beside.signal_term();
    beside.ends().await;
    let toml = std::fs::read_to_string(beside.file()).unwrap();
    let theirs = beside.store().display().to_string();
    std::fs::write(beside.file(), toml.replace(&theirs, &store.display().to_string())).unwrap();
    assert!(beside.may_restart(&READ_ONLY).await, "{}", beside.log());
    let late = Content::seeded(7, MIB);
    harbour.wharf.push_blob("team/app", &late).await;
    let answer = beside.get(&blob_path("team/app", &late)).await;
    assert_eq!((answer.status, answer.body == late.all()), (200, true));
    beside.signal_term();
    assert!(beside.ends().await.success());
    let file = store.join("blobs").join(late.digest().replace(':', "/"));
    let left = tree(&store)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| *path != file);
    assert_eq!(left.collect::<Vec<_>>(), before, "and writes nothing");
}
