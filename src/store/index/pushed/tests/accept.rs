use super::*;
use crate::store::index::pushed::facts::Entities;

#[tokio::test]
async fn a_manifest_comes_with_all_its_tags_and_what_it_is_about() {
    let (dir, index) = fresh();
    let subject = digest("subject");
    let manifest = parsed(&json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(), "manifests": [],
        "artifactType": "a/b", "annotations": { "x": "y" },
        "subject": { "mediaType": "a/b", "digest": subject.to_string(), "size": 5 },
    }));
    let mut pushing = push(APP, &manifest, "v1");
    pushing.tags = vec![tag("v1.2"), tag("latest")];
    assert_eq!(index.push_manifest(pushing).await.unwrap(), Pushed::Done);

    let told = index.pushed(&repo(APP), &manifest.digest()).await.unwrap();
    assert_eq!(told, Some(MediaType::OCI_INDEX));
    let stored = index.manifest(&manifest.digest()).await.unwrap().unwrap();
    assert_eq!(&stored.bytes, manifest.bytes());
    for name in ["v1", "v1.2", "latest"] {
        assert_eq!(pointed(&index, APP, name).await, Some(manifest.digest()), "{name}");
    }
    let row = index.tag(&repo(APP), &tag("v1")).await.unwrap().unwrap();
    let length = manifest.bytes().len() as u64;
    assert_eq!((row.media_type, row.size), (Some(MediaType::OCI_INDEX), Some(length)));
    assert_eq!(row.checked_at, at(1000));
    let read = "SELECT subject, artifact_type, descriptor FROM pushed";
    let columns: (String, String, String) = beside(&dir)
        .query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    let about = manifest.about().unwrap().unwrap();
    assert_eq!(columns, (subject.to_string(), "a/b".to_owned(), about.descriptor));
}

#[tokio::test]
async fn what_is_missing_is_told_once_each_and_leaves_no_trace() {
    let (dir, index) = fresh();
    // It is here, but not there; and there is nothing but a claim of it in a mirror.
    upload(&index, OTHER, "a", 1).await;
    index
        .link(&repo("hub/x"), Some("hub"), &digest("b"), false, Some(5))
        .await
        .unwrap();
    let foreign =
        json!({ "mediaType": "a/b", "digest": digest("far").to_string(), "size": 5, "urls": ["https://x.example"] });
    let layer = |digest: &str| json!({ "mediaType": "a/b", "digest": digest, "size": 5 });
    let [a, b] = ["a", "b"].map(|of| digest(of).to_string());
    let manifest = parsed(&json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "config": layer(&b),
        "layers": [layer(&a), layer("blake3:00"), layer(&b), layer("blake3:00"), layer(&a), foreign],
        "subject": layer(&digest("subject").to_string()),
    }));
    let refused = index.push_manifest(push(APP, &manifest, "v1")).await.unwrap();
    assert_eq!(refused, Pushed::Missing(vec![b, a, "blake3:00".to_owned()]));
    assert!(!has(&index, APP, &manifest.digest()).await);
    assert_eq!(pointed(&index, APP, "v1").await, None);
    assert_eq!(index.manifest(&manifest.digest()).await.unwrap(), None);
    assert_eq!(count(&dir, "names") + count(&dir, "tag"), 0);
    assert!(!index.knows(&repo(APP)).await.unwrap(), "not even a repository");
}

#[tokio::test]
async fn a_blob_without_its_content_is_missing() {
    let (dir, index) = fresh();
    let manifest = push_image(&index, APP, &["a"], "v1").await;
    beside(&dir)
        .execute("DELETE FROM blob WHERE digest = ?1", [digest("a").to_string()])
        .unwrap();
    let again = index.push_manifest(push(APP, &manifest, "v2")).await.unwrap();
    assert_eq!(again, Pushed::Missing(vec![digest("a").to_string()]));
}

#[tokio::test]
async fn an_index_names_manifests_of_its_repository_or_blobs() {
    let (_dir, index) = fresh();
    let here = push_image(&index, APP, &["a"], "").await;
    let elsewhere = push_image(&index, OTHER, &["b"], "").await;
    let blob = upload(&index, APP, "blob", 1).await;
    let fat = index_of(&[here.digest(), blob, elsewhere.digest()]);
    let refused = index.push_manifest(push(APP, &fat, "v1")).await.unwrap();
    assert_eq!(refused, Pushed::Missing(vec![elsewhere.digest().to_string()]));
    let fat = index_of(&[here.digest(), blob]);
    assert_eq!(index.push_manifest(push(APP, &fat, "v1")).await.unwrap(), Pushed::Done);

    let image_of_manifest = image([(here.digest(), 5)]);
    let refused = index.push_manifest(push(APP, &image_of_manifest, "v2")).await.unwrap();
    assert_eq!(
        refused,
        Pushed::Missing(vec![here.digest().to_string()]),
        "a manifest is no layer"
    );
}

#[tokio::test]
async fn where_missing_things_are_allowed_they_may_come_later_and_are_named_then() {
    let (_dir, index) = fresh();
    let manifest = layers(&["a"]);
    let mut sparse = push(APP, &manifest, "v1");
    sparse.allow_missing = true;
    assert_eq!(index.push_manifest(sparse).await.unwrap(), Pushed::Done);
    upload(&index, APP, "a", 1).await;
    upload(&index, OTHER, "a", 1).await;
    assert_eq!(loose(&index, APP, "a").await, None);
    assert_eq!(loose(&index, OTHER, "a").await, Some(1));
}

#[tokio::test]
async fn conditions_are_about_what_the_reference_means_before_the_push() {
    let (_dir, index) = fresh();
    let (old, new) = (index_of(&[]), push_image(&index, APP, &["a"], "").await);
    index.push_manifest(push(APP, &old, "v1")).await.unwrap();
    let these = |manifests: &[&Arc<Manifest>]| {
        Some(Entities::These(
            manifests.iter().map(|manifest| manifest.digest()).collect(),
        ))
    };
    let any = || Some(Entities::Any);
    // The reference, If-Match, If-None-Match, whether they are true.
    let cases = [
        ("v1", None, None, true),
        ("v1", any(), None, true),
        ("v1", these(&[&new, &old]), None, true),
        ("v1", these(&[&new]), None, false),
        ("v1", these(&[]), None, false),
        ("v1", None, any(), false),
        ("v1", None, these(&[&old]), false),
        ("v1", None, these(&[&new]), true),
        ("v1", these(&[&old]), any(), false),
        ("free", any(), None, false),
        ("free", these(&[&old]), None, false),
        ("free", None, any(), true),
        ("", any(), None, true),
        ("", None, any(), false),
        ("", these(&[&old]), None, false),
    ];
    for (reference, if_match, if_none_match, expected) in cases {
        let mut pushing = push(APP, &new, reference);
        pushing.tags = vec![tag("more")];
        pushing.conditions = Conditions {
            if_match,
            if_none_match,
        };
        let told = format!("{reference} {:?}", pushing.conditions);
        let outcome = index.push_manifest(pushing).await.unwrap();
        assert_eq!(outcome == Pushed::Done, expected, "{told}: {outcome:?}");
        assert_eq!(pointed(&index, APP, "more").await.is_some(), expected, "{told}");
        index.delete_tag(&repo(APP), &tag("more")).await.unwrap();
        index.delete_tag(&repo(APP), &tag("free")).await.unwrap();
        index.push_manifest(push(APP, &old, "v1")).await.unwrap();
    }
    assert_eq!(index.push_manifest(push(OTHER, &old, "")).await.unwrap(), Pushed::Done);
    let mut create = push(OTHER, &old, "");
    create.conditions.if_none_match = any();
    assert_eq!(index.push_manifest(create).await.unwrap(), Pushed::Precondition);
}

#[tokio::test]
async fn each_repository_has_the_type_that_was_last_pushed_there() {
    let (_dir, index) = fresh();
    let bytes = Bytes::from_static(br#"{"schemaVersion":2,"layers":[]}"#);
    let as_type = |told: &MediaType| Arc::new(Manifest::parse(bytes.clone(), Some(told), Algorithm::Sha256).unwrap());
    let digest = as_type(&MediaType::OCI_MANIFEST).digest();
    let told = async |name: &str| index.pushed(&repo(name), &digest).await.unwrap();
    assert_eq!(told(APP).await, None);
    for (name, media_type) in [
        (APP, MediaType::DOCKER_MANIFEST),
        (OTHER, MediaType::OCI_MANIFEST),
        (OTHER, MediaType::DOCKER_MANIFEST),
        (APP, MediaType::OCI_MANIFEST),
    ] {
        index
            .push_manifest(push(name, &as_type(&media_type), "v1"))
            .await
            .unwrap();
        assert_eq!(told(name).await, Some(media_type));
    }
    assert_eq!(told(OTHER).await, Some(MediaType::DOCKER_MANIFEST));
}

#[tokio::test]
async fn a_push_is_made_whole_or_not_at_all() {
    let (dir, index) = fresh();
    upload(&index, APP, "a", 1).await;
    upload(&index, APP, "config", 1).await;
    let manifest = layers(&["a"]);
    let fail = "CREATE TRIGGER t BEFORE INSERT ON tag BEGIN SELECT RAISE (ABORT, 'no'); END";
    beside(&dir).execute_batch(fail).unwrap();
    index.push_manifest(push(APP, &manifest, "v1")).await.unwrap_err();
    assert!(!has(&index, APP, &manifest.digest()).await);
    assert_eq!(loose(&index, APP, "a").await, Some(1));
    assert_eq!(count(&dir, "names") + count(&dir, "manifest"), 0);
    beside(&dir).execute_batch("DROP TRIGGER t").unwrap();
    index.push_manifest(push(APP, &manifest, "v1")).await.unwrap();
    assert!(has(&index, APP, &manifest.digest()).await);
}

#[tokio::test]
async fn a_name_that_was_a_mirrors_is_hosted_once_it_is_pushed_to() {
    let (dir, index) = fresh();
    index
        .link(&repo(APP), Some("team"), &digest("x"), true, None)
        .await
        .unwrap();
    index.push_manifest(push(APP, &index_of(&[]), "v1")).await.unwrap();
    assert_eq!(count(&dir, "repository WHERE mirror IS NOT NULL"), 0);
}
