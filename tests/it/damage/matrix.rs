//! Each kind of file, harmed in each way, while wharf is down: what it says, what it serves, and what `wharf fsck` mends.
//! No case ends in wrong bytes, and none in a start that fails without a word on what to do.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::world::World;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    Deleted,
    Truncated,
    Flipped,
    Emptied,
    /// Wharf runs as somebody else, and this one file is root's alone.
    AnothersOwn,
    Directory,
}
use Harm::{AnothersOwn, Deleted, Directory, Emptied, Flipped, Truncated};

const HARMS: [Harm; 6] = [Deleted, Truncated, Flipped, Emptied, AnothersOwn, Directory];

/// What comes of it, harm by harm: `s` it serves, `r` it refuses to start; then the exit code of fsck; `?` it depends.
async fn holds(find: impl Fn(&World) -> PathBuf, expected: [&str; 6]) {
    for (harm, expected) in HARMS.into_iter().zip(expected) {
        if harm == AnothersOwn && !rustix::process::geteuid().is_root() {
            eprintln!("not shown: {harm:?}, which takes root");
            continue;
        }
        let mut world = World::new().await;
        let path = find(&world);
        let what = format!("{harm:?} {}", path.display());
        harm.is_done(&mut world, &path);
        let (start, code) = expected.split_at(1);

        let (found, said) = world.fsck(&[]).await;
        assert!(code == "?" || code == found.to_string(), "{what}: {found}\n{said}");
        assert!(found == 0 || says_what(&said), "{what}:\n{said}");
        let serves = world.wharf.may_restart(&["serve", "--config", "wharf.toml"]).await;
        assert!(
            start == "?" || (start == "s") == serves,
            "{what}:\n{}",
            world.wharf.log()
        );
        if serves {
            world.answers(false, &what).await;
            world.wharf.signal_term();
            assert!(world.wharf.ends().await.success(), "{what}");
        } else {
            assert!(says_remedy(&world.wharf.log()), "{what}:\n{}", world.wharf.log());
        }
        is_mended(world, harm, &path, &what).await;
    }
}

/// What the messages tell is done, and then all is well.
async fn is_mended(mut world: World, harm: Harm, path: &Path, what: &str) {
    if harm == AnothersOwn {
        world.take_back();
    }
    if path.ends_with("lock") && path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    }
    let (_, said) = world.fsck(&["--repair"]).await;
    if said.contains("`wharf restore`") {
        let (status, said) = world.wharf.run(&["restore", "--config", "wharf.toml"]).await;
        assert!(status.success(), "{what}:\n{said}");
        world.fsck(&["--repair"]).await;
    }
    world.wharf.restart().await;
    world.wharf.push_image("team/app", "v1", &world.pushed).await;
    world.answers(true, what).await;
    world.wharf.signal_term();
    assert!(world.wharf.ends().await.success(), "{what}");
    let (code, said) = world.fsck(&[]).await;
    assert_eq!(code, 0, "{what}:\n{said}");
}

impl Harm {
    fn is_done(self, world: &mut World, path: &Path) {
        let open = || OpenOptions::new().read(true).write(true).open(path).unwrap();
        let len = path.metadata().unwrap().len();
        match self {
            Deleted => std::fs::remove_file(path).unwrap(),
            Truncated => open().set_len(len / 2).unwrap(),
            Flipped if len == 0 => {}
            Flipped => {
                let mut byte = [0];
                open().read_exact_at(&mut byte, len / 2).unwrap();
                open().write_all_at(&[byte[0] ^ 1], len / 2).unwrap();
            }
            Emptied => open().set_len(0).unwrap(),
            AnothersOwn => world.give_all_but(path),
            Directory => {
                std::fs::remove_file(path).unwrap();
                std::fs::create_dir(path).unwrap();
                std::fs::write(path.join("somebody's"), "").unwrap();
            }
        }
    }
}

fn says_what(said: &str) -> bool {
    said.contains("trouble: ") || says_remedy(said)
}

fn says_remedy(said: &str) -> bool {
    ["`wharf restore`", "store.path", "store.index"]
        .iter()
        .any(|remedy| said.contains(remedy))
}

#[tokio::test]
async fn a_cached_blob() {
    holds(|world| world.blob(&world.big), ["s1"; 6]).await;
}

#[tokio::test]
async fn a_small_cached_blob() {
    holds(|world| world.blob(&world.small), ["s1"; 6]).await;
}

#[tokio::test]
async fn a_pushed_blob() {
    holds(|world| world.blob(&world.pushed.blobs[0]), ["s1"; 6]).await;
}

#[tokio::test]
async fn a_partial() {
    holds(|world| world.only("staging"), ["s0", "s0", "s0", "s0", "s0", "s1"]).await;
}

#[tokio::test]
async fn an_upload() {
    holds(|world| world.only("uploads"), ["s0", "s0", "s0", "s0", "s0", "s1"]).await;
}

#[tokio::test]
async fn the_index() {
    let expected = ["r1", "?1", "??", "r1", "r1", "r1"];
    holds(|world| world.in_store("index/index.sqlite3"), expected).await;
}

/// What was written last is lost with it: what it was about is found by the files.
#[tokio::test]
async fn the_log_of_the_index() {
    let expected = ["s?", "s?", "s?", "s?", "r1", "r1"];
    holds(|world| world.in_store("index/index.sqlite3-wal"), expected).await;
}

#[tokio::test]
async fn the_lock() {
    holds(|world| world.in_store("lock"), ["s0", "s0", "s0", "s0", "r1", "r1"]).await;
}

#[tokio::test]
async fn the_mark_of_a_process_that_runs() {
    holds(|world| world.in_store("running"), ["s0"; 6]).await;
}

#[tokio::test]
async fn the_copy_of_the_index() {
    let expected = ["s1", "s1", "s?", "s1", "s1", "s1"];
    holds(|world| world.in_store("backup/index.sqlite3"), expected).await;
}
