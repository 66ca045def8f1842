//! `wharf gc`: what it tells is what it frees, beside a running wharf and without one.

use std::collections::BTreeSet;

use crate::support::image::{Content, Image, MIB};
use crate::support::wharf::{Setup, Wharf};
use crate::support::{blob_path, manifest_path};

/// Its configuration keeps for an hour what no manifest names.
async fn patient() -> Wharf {
    Setup::new().table("hosted", "grace = \"1h\"").start().await
}

/// The digests that `wharf gc` with these options names, and its last line.
async fn gc(wharf: &Wharf, options: &[&str]) -> (BTreeSet<String>, String) {
    let arguments = [&["gc", "--config", "wharf.toml"], options].concat();
    let (status, said) = wharf.run(&arguments).await;
    assert!(status.success(), "{said}");
    let mut lines: Vec<&str> = said.lines().collect();
    let last = lines.pop().unwrap().to_owned();
    let digest = |line: &str| line.split_once(' ').unwrap().0.to_owned();
    (lines.into_iter().map(digest).collect(), last)
}

fn digests<'a>(blobs: impl IntoIterator<Item = &'a Content>) -> BTreeSet<String> {
    blobs.into_iter().map(|blob| blob.digest().to_owned()).collect()
}

fn files(wharf: &Wharf) -> BTreeSet<String> {
    let entries = std::fs::read_dir(wharf.store().join("blobs/sha256")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("sha256:{name}")).collect()
}

#[tokio::test]
async fn a_dry_run_names_what_the_run_frees_and_nothing_within_the_grace() {
    for running in [true, false] {
        let mut wharf = patient().await;
        let (kept, gone) = (Image::oci(1, &[MIB, 10]), Image::oci(2, &[MIB, 20]));
        for (tag, image) in [("kept", &kept), ("gone", &gone)] {
            wharf.push_image("team/app", tag, image).await;
        }
        let target = manifest_path("team/app", gone.digest());
        assert_eq!(wharf.delete(&target).await.status, 202);
        if !running {
            wharf.signal_term();
            assert!(wharf.ends().await.success());
        }
        let before = files(&wharf);
        let (named, last) = gc(&wharf, &["--dry-run"]).await;
        assert!(named.is_empty() && last.starts_with("0 blobs, 0 bytes"), "{last}");

        let (named, last) = gc(&wharf, &["--dry-run", "--grace", "0s"]).await;
        assert_eq!(named, digests(&gone.blobs), "running: {running}");
        assert_eq!(files(&wharf), before);
        let bytes: u64 = gone.blobs.iter().map(Content::len).sum();
        assert!(
            last.starts_with(&format!("{} blobs, {bytes} bytes", gone.blobs.len())),
            "{last}"
        );
        assert!(last.ends_with("would be freed"), "{last}");

        let (freed, last) = gc(&wharf, &["--grace", "0s"]).await;
        assert_eq!(freed, named);
        assert!(
            last.starts_with(&format!("{} blobs, {bytes} bytes", freed.len())),
            "{last}"
        );
        assert_eq!(files(&wharf), digests(&kept.blobs));
        if !running {
            wharf.restart().await;
        }
        for blob in &kept.blobs {
            assert_eq!(wharf.get(&blob_path("team/app", blob)).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made() {
    let (status, said) =
        crate::support::wharf::run(&["gc", "--config", "wharf.toml"], "[store]\npath = 'nowhere'\n").await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("there is no store in nowhere"), "{said}");
}

#[tokio::test]
async fn a_grace_that_is_none_is_refused() {
    let wharf = patient().await;
    let (status, said) = wharf.run(&["gc", "--grace", "soon"]).await;
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("--grace"), "{said}");
}
