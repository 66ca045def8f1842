use super::*;
use crate::store::index::Deleted;
use crate::store::index::tests::put;

async fn delete(index: &Index, name: &str, digest: Digest) -> Deleted {
    index.delete_manifest(&repo(name), &digest, at(2000)).await.unwrap()
}

/// Also whether the content is forgotten.
async fn delete_blob(index: &Index, name: &str, of: &str) -> (Deleted, bool) {
    index.delete_blob(&repo(name), &digest(of)).await.unwrap()
}

#[tokio::test]
async fn a_tag_goes_alone() {
    let (_dir, index) = fresh();
    let manifest = push_image(&index, APP, &["a"], "v1").await;
    index.push_manifest(push(APP, &manifest, "v2")).await.unwrap();
    index.push_manifest(push(OTHER, &index_of(&[]), "v1")).await.unwrap();
    let delete = async |name: &str| index.delete_tag(&repo(name), &tag("v1")).await.unwrap();
    assert_eq!(delete(APP).await, Deleted::Done);
    assert_eq!(pointed(&index, APP, "v1").await, None);
    assert_eq!(pointed(&index, APP, "v2").await, Some(manifest.digest()));
    assert!(has(&index, APP, &manifest.digest()).await);
    assert!(pointed(&index, OTHER, "v1").await.is_some());
    assert_eq!(delete(APP).await, Deleted::Absent);
    assert_eq!(delete("nobody/knows").await, Deleted::Absent);
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags_and_loosens_what_it_named() {
    let (dir, index) = fresh();
    let gone = push_image(&index, APP, &["a", "shared"], "v1").await;
    index.push_manifest(push(APP, &gone, "v2")).await.unwrap();
    let stays = push_image(&index, APP, &["shared"], "v3").await;
    // What is remembered now must be forgotten.
    assert!(has(&index, APP, &gone.digest()).await);
    assert_eq!(pointed(&index, APP, "v1").await, Some(gone.digest()));
    assert_eq!(pointed(&index, APP, "v2").await, Some(gone.digest()));
    assert_eq!(loose(&index, APP, "a").await, None);
    assert_eq!(delete(&index, OTHER, gone.digest()).await, Deleted::Absent);
    assert_eq!(delete(&index, APP, gone.digest()).await, Deleted::Done);
    assert!(!has(&index, APP, &gone.digest()).await);
    for (name, expected) in [("v1", None), ("v2", None), ("v3", Some(stays.digest()))] {
        assert_eq!(pointed(&index, APP, name).await, expected, "{name}");
    }
    assert_eq!(loose(&index, APP, "a").await, Some(2000));
    assert_eq!(loose(&index, APP, "shared").await, None, "another one names it");
    assert!(
        index.sight(&repo(APP), &digest("a")).await.unwrap().visible(),
        "for now"
    );
    assert_eq!(count(&dir, "manifest"), 1, "its bytes are gone");
    assert_eq!(delete(&index, APP, gone.digest()).await, Deleted::Absent);
    assert_eq!(delete(&index, APP, stays.digest()).await, Deleted::Done);
    assert_eq!(loose(&index, APP, "shared").await, Some(2000));
}

#[tokio::test]
async fn a_manifest_that_another_repository_has_too_stays_there_with_all_it_has() {
    let (_dir, index) = fresh();
    let manifest = push_image(&index, APP, &["a"], "v1").await;
    push_image(&index, OTHER, &["a"], "v1").await;
    assert_eq!(delete(&index, APP, manifest.digest()).await, Deleted::Done);
    assert!(has(&index, OTHER, &manifest.digest()).await);
    assert_eq!(pointed(&index, OTHER, "v1").await, Some(manifest.digest()));
    let by = manifest.digest();
    assert_eq!(delete_blob(&index, OTHER, "a").await, (Deleted::Named { by }, false));
}

#[tokio::test]
async fn bytes_stay_for_as_long_as_somebody_has_them() {
    let (dir, index) = fresh();
    let manifest = push_image(&index, APP, &["a"], "v1").await;
    push_image(&index, OTHER, &["a"], "v1").await;
    index
        .put_manifest(put("docker.io/a", &manifest, Some("v1")))
        .await
        .unwrap();
    for (name, left) in [(APP, 1), (OTHER, 1)] {
        assert_eq!(delete(&index, name, manifest.digest()).await, Deleted::Done);
        assert_eq!(count(&dir, "manifest"), left, "{name}");
    }
    assert!(
        index
            .sight(&repo("docker.io/a"), &manifest.digest())
            .await
            .unwrap()
            .visible()
    );

    // The other way round: a hosted repository that has them as a blob does not need the row.
    let manifest = push_image(&index, APP, &["b"], "v1").await;
    let landing = pushed(UploadId::new(), manifest.digest(), OTHER, at(1));
    index.land(landing).await.unwrap();
    assert_eq!(delete(&index, APP, manifest.digest()).await, Deleted::Done);
    assert_eq!(count(&dir, "manifest"), 1);
}

#[tokio::test]
async fn the_child_of_an_index_stays_until_the_index_of_its_repository_is_gone() {
    let (_dir, index) = fresh();
    let child = push_image(&index, APP, &["a"], "").await;
    push_image(&index, OTHER, &["a"], "").await;
    let fat = index_of(&[child.digest()]);
    index.push_manifest(push(APP, &fat, "v1")).await.unwrap();
    assert_eq!(
        delete(&index, APP, child.digest()).await,
        Deleted::Named { by: fat.digest() }
    );
    assert!(has(&index, APP, &child.digest()).await);
    assert_eq!(delete(&index, OTHER, child.digest()).await, Deleted::Done);
    assert_eq!(delete(&index, APP, fat.digest()).await, Deleted::Done);
    assert!(
        has(&index, APP, &child.digest()).await,
        "an index takes no child with it"
    );
    assert_eq!(delete(&index, APP, child.digest()).await, Deleted::Done);
}

#[tokio::test]
async fn a_blob_that_a_manifest_of_its_repository_names_stays() {
    let (_dir, index) = fresh();
    let manifest = push_image(&index, APP, &["a"], "v1").await;
    upload(&index, OTHER, "a", 1).await;
    let named = Deleted::Named { by: manifest.digest() };
    assert_eq!(delete_blob(&index, APP, "a").await, (named, false));
    assert_eq!(
        delete_blob(&index, OTHER, "a").await,
        (Deleted::Done, false),
        "named elsewhere only"
    );
    assert_eq!(loose(&index, OTHER, "a").await, None);
    assert_eq!(delete_blob(&index, OTHER, "a").await, (Deleted::Absent, false));
    assert!(index.blob(&digest("a")).await.unwrap().is_some());
    delete(&index, APP, manifest.digest()).await;
    assert_eq!(delete_blob(&index, APP, "a").await, (Deleted::Done, true));
    assert_eq!(index.blob(&digest("a")).await.unwrap(), None);
    let sight = index.sight(&repo(APP), &digest("a")).await.unwrap();
    assert!(sight.link.is_none() && sight.blob.is_none() && sight.loose_since.is_none());
    assert_eq!(delete_blob(&index, "nobody/knows", "a").await, (Deleted::Absent, false));
}

#[tokio::test]
async fn content_that_a_mirror_has_is_not_thrown_away() {
    let (_dir, index) = fresh();
    for (of, sees_it) in [("a", true), ("b", false)] {
        upload(&index, APP, of, 1).await;
        index
            .link(&repo("docker.io/a"), Some("docker.io"), &digest(of), sees_it, None)
            .await
            .unwrap();
        assert_eq!(delete_blob(&index, APP, of).await, (Deleted::Done, !sees_it));
        assert_eq!(index.blob(&digest(of)).await.unwrap().is_some(), sees_it);
    }
}

#[tokio::test]
async fn a_link_that_was_never_noted_as_loose_goes_too() {
    let (_dir, index) = fresh();
    index.link(&repo(APP), None, &digest("a"), true, None).await.unwrap();
    let linked = async || index.sight(&repo(APP), &digest("a")).await.unwrap().link.is_some();
    assert!(linked().await);
    assert_eq!(delete_blob(&index, APP, "a").await, (Deleted::Done, false));
    assert!(!linked().await);
}

/// Pushes, deletes and mounts of one blob at once: what is accepted is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_accepted_manifest_never_loses_a_blob_whatever_runs_beside_it() {
    let (_dir, index) = fresh();
    upload(&index, OTHER, "a", 1).await;
    upload(&index, APP, "config", 1).await;
    let tasks = index.0.tasks.clone();
    let deletes = tasks.spawn({
        let index = index.clone();
        async move {
            for _ in 0..300 {
                delete_blob(&index, APP, "a").await;
            }
        }
    });
    let (mut accepted, mut refused) = (0, 0);
    let manifest = layers(&["a"]);
    while !deletes.is_finished() || accepted == 0 || refused == 0 {
        assert!(accepted + refused < 10_000, "{accepted} {refused}");
        let mounting = tasks.spawn({
            let index = index.clone();
            async move { index.mount(&digest("a"), &repo(OTHER), &repo(APP), at(5)).await }
        });
        match index.push_manifest(push(APP, &manifest, "v1")).await.unwrap() {
            Pushed::Done => {
                accepted += 1;
                let sight = index.sight(&repo(APP), &digest("a")).await.unwrap();
                assert!(sight.visible() && sight.blob.is_some() && sight.loose_since.is_none());
                delete(&index, APP, manifest.digest()).await;
            }
            Pushed::Missing(_) => refused += 1,
            Pushed::Precondition => panic!("there is none"),
        }
        mounting.await.unwrap().unwrap();
        if deletes.is_finished() {
            delete_blob(&index, APP, "a").await;
        }
    }
}
