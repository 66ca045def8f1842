//! Content damaged behind our back is found when it matters, and never answered as whole.

mod matrix;
mod world;

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::support::blob_path;
use crate::support::client::Ended;
use crate::support::image::{Content, MIB};
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;

const LEN: u64 = 3 * MIB + 11;

struct Harbour {
    upstream: Upstream,
    wharf: Wharf,
    blob: Content,
    target: String,
    file: PathBuf,
}

/// A stored blob and the file that holds it.
async fn harbour() -> Harbour {
    harbour_of(LEN).await
}

async fn harbour_of(len: u64) -> Harbour {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, len));
    upstream.put_blob("a/b", &blob);
    let wharf = Wharf::of(&upstream).await;
    let target = blob_path("hub/a/b", &blob);
    assert_eq!(wharf.get(&target).await.status, 200);
    wharf.landed(&target).await;
    let file = file_of(&wharf.store(), len).expect("the file of the stored blob");
    Harbour {
        upstream,
        wharf,
        blob,
        target,
        file,
    }
}

fn file_of(folder: &Path, len: u64) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    entries.into_iter().map(|entry| entry.path()).find_map(|path| {
        let meta = std::fs::symlink_metadata(&path).ok()?;
        if meta.is_dir() {
            file_of(&path, len)
        } else {
            (meta.len() == len).then_some(path)
        }
    })
}

impl Harbour {
    fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.file).unwrap()
    }

    fn touch(&self) {
        self.open()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
            .unwrap();
    }

    fn truncate(&self) {
        self.open().set_len(LEN / 2).unwrap();
    }

    /// As a file system does that lost the end of a file in a crash, but not its times.
    fn truncate_quietly(&self) {
        let file = self.open();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_len(LEN / 2).unwrap();
        file.set_modified(modified).unwrap();
    }

    fn flip(&self) {
        let mut file = self.open();
        file.seek(SeekFrom::Start(LEN / 2)).unwrap();
        file.write_all(&[self.blob.bytes(LEN / 2..LEN / 2 + 1)[0] ^ 1]).unwrap();
        drop(file);
        self.touch();
    }

    fn delete(&self) {
        std::fs::remove_file(&self.file).unwrap();
    }

    /// It is fetched again, and is whole again.
    async fn assert_mended(&self, what: &str) {
        let answer = self.wharf.get(&self.target).await;
        assert_eq!((answer.status, answer.body == self.blob.all()), (200, true), "{what}");
        assert_eq!(
            self.upstream.count(&On::blobs().get()),
            2,
            "{what}: {}",
            self.upstream.story()
        );
        self.wharf.landed(&self.target).await;
        self.upstream.stop().await;
        assert!(self.wharf.get(&self.target).await.body == self.blob.all(), "{what}");
    }

    /// With the upstream gone there is no whole answer, and none pretends to be.
    async fn assert_no_lie(&self, what: &str) {
        self.upstream.stop().await;
        for range in ["bytes=0-", "bytes=0-99", "bytes=-99"] {
            let answer = self.wharf.range(&self.target, range).await;
            assert!(answer.status >= 500, "{what} {range}: {}", answer.status);
        }
        let answer = self.wharf.get(&self.target).await;
        assert!(
            answer.status >= 500 && answer.ended == Ended::Clean,
            "{what}: {}",
            answer.status
        );
        assert!(self.wharf.head(&self.target).await.status >= 500, "{what}");
    }
}

/// A file that is there and that the disk does not give, be it small and kept in memory when it is read, or big. Root may
/// open anything, so a link to itself stands for a file that nobody can.
#[tokio::test]
async fn a_blob_that_cannot_be_read_is_fetched_again_and_left_where_it_is_until_then() {
    for len in [1000, LEN] {
        let mut harbour = harbour_of(len).await;
        std::fs::remove_file(&harbour.file).unwrap();
        std::os::unix::fs::symlink(&harbour.file, &harbour.file).unwrap();
        // What it has in memory.
        harbour.wharf.kill();
        harbour.wharf.restart().await;
        harbour.upstream.stop().await;
        let told = harbour.wharf.get(&harbour.target).await;
        assert_eq!((told.status, told.code().as_str()), (502, "UNAVAILABLE"), "{len}");
        assert!(std::fs::symlink_metadata(&harbour.file).unwrap().is_symlink(), "{len}");
        let log = harbour.wharf.log();
        assert!(
            log.contains("cannot be read") && log.contains(harbour.blob.digest()),
            "{log}"
        );
        harbour.upstream.resume().await;
        // It is left alone for a moment.
        let mut steps = tokio::time::interval(std::time::Duration::from_millis(100));
        let back = async {
            while harbour.wharf.head(&harbour.target).await.status != 200 {
                steps.tick().await;
            }
        };
        crate::support::soon("the upstream to be asked again", back).await;
        harbour.assert_mended("unreadable").await;
    }
}

type Damage = fn(&Harbour);

const DAMAGES: [(&str, Damage); 4] = [
    ("deleted", Harbour::delete),
    ("truncated", Harbour::truncate),
    ("truncated, its time unchanged", Harbour::truncate_quietly),
    ("flipped", Harbour::flip),
];

#[tokio::test]
async fn a_damaged_blob_is_fetched_again_and_served_whole() {
    for (what, damage) in DAMAGES {
        let harbour = harbour().await;
        damage(&harbour);
        harbour.assert_mended(what).await;
    }
}

#[tokio::test]
async fn a_damaged_blob_with_the_upstream_gone_is_never_a_200() {
    for (what, damage) in DAMAGES {
        let harbour = harbour().await;
        damage(&harbour);
        harbour.assert_no_lie(what).await;
    }
}

#[tokio::test]
async fn damage_done_while_wharf_was_down_is_found_too() {
    for (what, damage) in DAMAGES {
        let mut harbour = harbour().await;
        harbour.wharf.kill();
        damage(&harbour);
        harbour.wharf.restart().await;
        harbour.assert_mended(what).await;
    }
}

#[tokio::test]
async fn a_blob_that_was_only_touched_is_proven_again_and_costs_no_fetch() {
    let harbour = harbour().await;
    harbour.touch();
    for _ in 0..3 {
        let answer = harbour.wharf.get(&harbour.target).await;
        assert_eq!((answer.status, answer.body == harbour.blob.all()), (200, true));
    }
    assert_eq!(harbour.upstream.count(&On::any()), 1, "{}", harbour.upstream.story());
}

#[tokio::test]
async fn a_blob_that_was_stored_survives_kill_9() {
    let mut harbour = harbour().await;
    harbour.upstream.stop().await;
    harbour.wharf.kill();
    harbour.wharf.restart().await;
    let answer = harbour.wharf.get(&harbour.target).await;
    assert_eq!((answer.status, answer.body == harbour.blob.all()), (200, true));
    assert_eq!(answer.header("cache-status"), Some("wharf; hit"));
}
