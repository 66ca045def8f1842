use std::time::Duration;

use super::*;
use crate::oci::Algorithm;
use crate::store::index::tests::{beside, digest, fresh, image, open, pushed, put, repo};

const APP: &str = "team/app";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn session(moved_at: Timestamp) -> UploadRow {
    UploadRow {
        id: UploadId::new(),
        repo: repo(APP),
        owner: "anonymous".to_owned(),
        algorithm: Algorithm::Sha512,
        moved_at,
    }
}

/// Since when the blob is loose in `team/app`.
fn loose_since(dir: &tempfile::TempDir, of: &str) -> Option<i64> {
    let read = "SELECT since FROM loose JOIN repository ON repository.id = loose.repository
                WHERE repository.key = 'team/app' AND loose.digest = ?1";
    let row = beside(dir).query_row(read, [digest(of).to_string()], |row| row.get(0));
    row.optional().unwrap()
}

#[tokio::test]
async fn a_session_is_remembered_until_it_is_forgotten() {
    let (dir, index) = fresh();
    let row = session(at(7));
    index.begin_upload(&row).await.unwrap();
    index.note_upload(&row.id, at(9)).await.unwrap();
    index.note_upload(&row.id, at(8)).await.unwrap();
    drop(index);

    let index = open(&dir);
    let moved = UploadRow {
        moved_at: at(9),
        ..row.clone()
    };
    assert_eq!(
        index.upload(&row.id).await.unwrap(),
        Some(moved),
        "time moves forward only"
    );
    assert!(index.forget_upload(&row.id).await.unwrap());
    assert!(!index.forget_upload(&row.id).await.unwrap());
    assert_eq!(index.upload(&row.id).await.unwrap(), None);
    index.note_upload(&row.id, at(10)).await.unwrap();
    assert_eq!(
        index.upload(&row.id).await.unwrap(),
        None,
        "a late note revives nothing"
    );
}

#[tokio::test]
async fn only_what_has_not_moved_for_long_expires_the_oldest_first() {
    let (_dir, index) = fresh();
    let [old, older, new] = [20, 10, 30].map(|second| session(at(second)));
    for row in [&old, &older, &new] {
        index.begin_upload(row).await.unwrap();
    }
    assert_eq!(index.expired_uploads(at(30)).await.unwrap(), [older.id, old.id]);
    assert_eq!(index.expired_uploads(at(10)).await.unwrap(), []);
}

#[tokio::test]
async fn a_pushed_blob_is_seen_in_its_repository_and_loose_from_then_on() {
    let (dir, index) = fresh();
    let row = session(at(1));
    index.begin_upload(&row).await.unwrap();
    index.land(pushed(row.id, digest("layer"), APP, at(2))).await.unwrap();
    assert_eq!(index.upload(&row.id).await.unwrap(), None, "the session is over");
    let here = index.sight(&repo(APP), &digest("layer")).await.unwrap();
    assert!(here.visible() && here.blob.is_some());
    assert_eq!(here.link.unwrap().size, Some(5));
    let there = index.sight(&repo("team/other"), &digest("layer")).await.unwrap();
    assert!(!there.visible());
    assert_eq!(loose_since(&dir, "layer"), Some(2_000_000));

    index
        .land(pushed(UploadId::new(), digest("layer"), APP, at(3)))
        .await
        .unwrap();
    assert_eq!(loose_since(&dir, "layer"), Some(3_000_000), "a second push renews it");
    index
        .land(pushed(UploadId::new(), digest("layer"), APP, at(2)))
        .await
        .unwrap();
    assert_eq!(
        loose_since(&dir, "layer"),
        Some(3_000_000),
        "a clock that was set back does not"
    );
}

#[tokio::test]
async fn a_blob_that_a_manifest_of_its_repository_names_is_not_loose() {
    let (dir, index) = fresh();
    for (name, of, loose) in [("team/other", "elsewhere", true), (APP, "here", false)] {
        let manifest = image([(digest(of), 5)]);
        index.put_manifest(put(name, &manifest, None)).await.unwrap();
        // As a push of the manifest leaves it.
        let beside = beside(&dir);
        beside.busy_timeout(Duration::from_secs(5)).unwrap();
        let (text, layer) = (manifest.digest().to_string(), digest(of).to_string());
        let row = "INSERT INTO pushed (repository, digest, media_type)
                   SELECT id, ?2, 'x' FROM repository WHERE key = ?1";
        beside.execute(row, [name, &text]).unwrap();
        let names = "INSERT INTO names (repository, manifest, digest)
                     SELECT id, ?2, ?3 FROM repository WHERE key = ?1";
        beside.execute(names, [name, &text, &layer]).unwrap();
        let landing = pushed(UploadId::new(), digest(of), APP, at(1));
        index.land(landing).await.unwrap();
        assert_eq!(loose_since(&dir, of).is_some(), loose, "{of}");
    }
}
