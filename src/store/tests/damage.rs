//! Files that change behind the store's back.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::SystemTime;

use super::*;

fn later(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
}

type Damage = (&'static str, fn(&Path));

/// What can happen to a blob's file behind our back.
fn damages() -> [Damage; 6] {
    fn flip(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
        later(path);
    }
    [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("truncated", |path| {
            fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
        }),
        ("emptied", |path| fs::write(path, b"").unwrap()),
        ("longer", |path| {
            fs::write(path, [fs::read(path).unwrap(), b"x".to_vec()].concat()).unwrap();
        }),
        ("flipped", flip),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ]
}

#[tokio::test]
async fn damage_behind_our_back_is_a_miss_and_the_content_can_come_again() {
    for length in [1000, BIG] {
        for (how, damage) in damages() {
            let dir = Dir::new();
            let (bytes, digest) = content(length);
            {
                let store = dir.open().await;
                put(&store, &bytes, &digest).await;
                store.close().await.unwrap();
            }
            damage(&dir.blob(&digest));
            let store = dir.open().await;
            assert_eq!(get(&store, &digest).await, None, "{how}, {length} bytes");
            assert!(
                store.sight(&repo(), &digest).await.unwrap().blob.is_none(),
                "{how}: the row is gone"
            );
            put(&store, &bytes, &digest).await;
            assert_eq!(get(&store, &digest).await, Some(bytes), "{how}, {length} bytes");
        }
    }
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_proven_and_served() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    put(&store, &bytes, &digest).await;
    let before = store.sight(&repo(), &digest).await.unwrap().blob.unwrap();
    later(&dir.blob(&digest));
    assert_eq!(get(&store, &digest).await, Some(bytes));
    let after = store.sight(&repo(), &digest).await.unwrap().blob.unwrap();
    assert_ne!(before.modified_ns, after.modified_ns, "the proof is kept");
}

#[tokio::test]
async fn a_damaged_blob_leaves_no_rubbish_whenever_who_asked_for_it_leaves() {
    for polls in 1..8 {
        let dir = Dir::new();
        let rubbish = dir.0.path().join("store/trash/old");
        fs::create_dir_all(rubbish.parent().unwrap()).unwrap();
        fs::write(&rubbish, "old").unwrap();
        let store = dir.open().await;
        while rubbish.exists() {
            tokio::task::yield_now().await;
        }
        let (bytes, digest) = content(BIG);
        put(&store, &bytes, &digest).await;
        fs::write(dir.blob(&digest), "short").unwrap();
        let row = store.index.blob(&digest).await.unwrap().unwrap();
        let mut left = polls;
        let mut opening = pin!(store.open_blob(&digest, &row));
        poll_fn(|cx| {
            left -= 1;
            let opened = opening.as_mut().poll(cx).is_ready();
            if opened || left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert!(store.tasks.close(Duration::from_secs(30)).await);
        store.close().await.unwrap();
        assert!(dir.files("trash").is_empty(), "{polls}");
    }
}
