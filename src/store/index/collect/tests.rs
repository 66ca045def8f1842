use tokio::sync::mpsc;

use super::*;
use crate::oci::RepoKey;
use crate::store::UploadId;
use crate::store::index::tests::{MIRROR, beside, digest, fresh, pushed, repo};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn app() -> RepoKey {
    repo("team/app")
}

fn gone(of: &str) -> Gone {
    Gone {
        digest: digest(of),
        size: 5,
    }
}

/// What is told beforehand.
async fn foretold(index: &Index, second: i64) -> Vec<Gone> {
    let (to, mut told) = mpsc::channel(8);
    index.collectable(at(second), to).await.unwrap();
    let mut gone = Vec::new();
    told.recv_many(&mut gone, 8).await;
    gone
}

async fn upload(index: &Index, of: &str, second: i64) {
    let landing = pushed(UploadId::new(), digest(of), app().as_str(), at(second));
    index.land(landing).await.unwrap();
}

async fn is_there(index: &Index, of: &str) -> bool {
    let sight = index.sight(&app(), &digest(of)).await.unwrap();
    assert_eq!(sight.visible(), sight.link.is_some());
    sight.visible() && sight.blob.is_some()
}

#[tokio::test]
async fn the_oldest_go_first_and_none_before_its_time() {
    let (_dir, index) = fresh();
    assert_eq!(index.oldest_loose().await.unwrap(), None);
    for (of, second) in [("c", 30), ("a", 10), ("b", 20)] {
        upload(&index, of, second).await;
    }
    assert_eq!(index.oldest_loose().await.unwrap(), Some(at(10)));
    assert_eq!(index.collect(at(9), 64).await.unwrap(), Step::default());
    assert_eq!(foretold(&index, 9).await, []);
    assert_eq!(foretold(&index, 20).await.len(), 2);
    let step = index.collect(at(30), 2).await.unwrap();
    let freed = vec![gone("a"), gone("b")];
    assert_eq!(step, Step { due: 2, freed });
    assert!(!is_there(&index, "a").await && !is_there(&index, "b").await && is_there(&index, "c").await);
    assert_eq!(index.oldest_loose().await.unwrap(), Some(at(30)));
}

#[tokio::test]
async fn content_stays_while_any_repository_sees_it_and_its_origins_go_with_it() {
    let (dir, index) = fresh();
    upload(&index, "a", 10).await;
    let mirrored = repo("hub/a");
    index
        .link(&mirrored, Some(MIRROR), &digest("a"), false, None)
        .await
        .unwrap();
    beside(&dir)
        .execute("INSERT INTO origin VALUES (?1, ?2)", [&digest("a").to_string(), MIRROR])
        .unwrap();
    let step = index.collect(at(10), 64).await.unwrap();
    assert_eq!(step, Step { due: 1, freed: vec![] });
    assert!(!is_there(&index, "a").await);
    assert!(index.sight(&mirrored, &digest("a")).await.unwrap().blob.is_some());

    upload(&index, "a", 20).await;
    beside(&dir)
        .execute("UPDATE origin SET mirror = 'another'", [])
        .unwrap();
    let freed = vec![gone("a")];
    assert_eq!(index.collect(at(20), 64).await.unwrap(), Step { due: 1, freed });
    let origins: i64 = beside(&dir)
        .query_row("SELECT count(*) FROM origin", [], |row| row.get(0))
        .unwrap();
    assert_eq!(origins, 0);
}

#[tokio::test]
async fn what_no_repository_has_goes_like_what_is_loose() {
    let (dir, index) = fresh();
    for (of, second) in [("a", 10), ("b", 20), ("c", 30)] {
        upload(&index, of, second).await;
    }
    let unlinked = "
        INSERT INTO unlinked SELECT since, digest FROM loose WHERE since < 30000000;
        DELETE FROM link WHERE digest IN (SELECT digest FROM unlinked);
        DELETE FROM loose WHERE since < 30000000;
        INSERT INTO unlinked SELECT 20000000, digest FROM loose";
    beside(&dir).execute_batch(unlinked).unwrap();
    assert_eq!(index.oldest_loose().await.unwrap(), Some(at(10)));
    let mut all = foretold(&index, 29).await;
    all.sort_by_key(|gone| gone.digest != digest("a"));
    assert_eq!(all, [gone("a"), gone("b")]);
    let freed = vec![gone("a")];
    assert_eq!(index.collect(at(29), 1).await.unwrap(), Step { due: 1, freed });
    let freed = vec![gone("b")];
    assert_eq!(index.collect(at(29), 64).await.unwrap(), Step { due: 2, freed });
    assert!(is_there(&index, "c").await, "it was pushed again");
    assert_eq!(index.oldest_loose().await.unwrap(), Some(at(30)));
}

#[tokio::test]
async fn what_a_manifest_names_stays_also_when_it_is_called_loose() {
    let (dir, index) = fresh();
    upload(&index, "a", 10).await;
    let named = "INSERT INTO names SELECT id, ?1, 'sha256:x' FROM repository";
    beside(&dir).execute(named, [digest("a").to_string()]).unwrap();
    assert_eq!(foretold(&index, 10).await, []);
    let step = index.collect(at(10), 64).await.unwrap();
    assert_eq!(step, Step { due: 1, freed: vec![] });
    assert!(is_there(&index, "a").await);
    assert_eq!(index.oldest_loose().await.unwrap(), None, "it is not looked at again");
}
