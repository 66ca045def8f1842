//! Manifests that are pushed (distribution-spec end-7): kept byte for byte, with everything that they name, all at once.

use serde_json::{Value, json};

use crate::support::client::{Answer, Ended};
use crate::support::image::{Content, DOCKER_MANIFEST, Image, OCI_INDEX, OCI_MANIFEST, sha512};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Setup, Wharf};
use crate::support::{blob_path, manifest_path, soon};

const APP: &str = "team/app";

async fn harbour() -> (Wharf, Image) {
    let (wharf, image) = (Setup::new().start().await, Image::oci(1, &[1000]));
    wharf.push_image(APP, "v1", &image).await;
    (wharf, image)
}

fn assert_is(answer: &Answer, manifest: &Content, media_type: &str, digest: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((answer.body == manifest.all(), answer.ended), (true, Ended::Clean));
    assert_eq!(answer.header("content-type"), Some(media_type));
    assert_eq!(answer.header("docker-content-digest"), Some(digest));
    assert_eq!(answer.header("etag"), Some(&*format!("\"{digest}\"")));
    assert_eq!(answer.header("cache-status"), Some("wharf; hit"));
}

fn index(children: &[&Image]) -> Vec<u8> {
    Image::index(children).all()
}

#[tokio::test]
async fn a_pushed_image_is_pulled_back_byte_for_byte() {
    let (wharf, image) = harbour().await;
    let (by_tag, by_digest) = (manifest_path(APP, "v1"), manifest_path(APP, image.digest()));
    let bytes = image.manifest.all();
    for target in [&by_tag, &by_digest] {
        let pushed = wharf.put_manifest(target, OCI_MANIFEST, &bytes).await;
        assert_eq!((pushed.status, pushed.header("content-length")), (201, Some("0")));
        assert_eq!(pushed.header("location"), Some(by_digest.as_str()));
        assert_eq!(pushed.header("docker-content-digest"), Some(image.digest()));
        assert_eq!((pushed.header("oci-subject"), pushed.header("oci-tag")), (None, None));
    }
    for target in [&by_tag, &by_digest] {
        assert_is(&wharf.get(target).await, &image.manifest, OCI_MANIFEST, image.digest());
        let head = wharf.head(target).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some(OCI_MANIFEST)));
        assert_eq!(head.header("content-length"), Some(&*bytes.len().to_string()));
    }
    assert_eq!(wharf.get(&by_tag).await.header("cache-control"), Some("no-cache"));
    for blob in &image.blobs {
        let answer = wharf.get(&blob_path(APP, blob)).await;
        assert_eq!((answer.status, answer.body == blob.all()), (200, true));
        assert_eq!(answer.header("cache-status"), Some("wharf; hit"));
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let (mut wharf, image) = harbour().await;
    wharf.kill();
    wharf.restart().await;
    let answer = wharf.get(&manifest_path(APP, "v1")).await;
    assert_is(&answer, &image.manifest, OCI_MANIFEST, image.digest());
    assert_eq!(
        wharf.get(&blob_path(APP, image.layer(0))).await.body,
        image.layer(0).all()
    );
}

#[tokio::test]
async fn a_pushed_blob_is_read_in_ranges_and_not_sent_twice_like_any_other() {
    let (wharf, image) = harbour().await;
    let (layer, target) = (image.layer(0), blob_path(APP, image.layer(0)));
    let part = wharf.range(&target, "bytes=10-19").await;
    assert_eq!((part.status, part.body), (206, layer.bytes(10..20)));
    assert_eq!(wharf.range(&target, "bytes=0-1,4-5").await.status, 206);
    assert_eq!(
        wharf.range(&target, "bytes=1000-").await.header("content-range"),
        Some("bytes */1000")
    );
    let has = [("If-None-Match", layer.digest())];
    assert_eq!(wharf.send("GET", &target, &has).await.status, 304);
    let head = wharf.head(&target).await;
    assert_eq!(
        (head.header("content-length"), head.header("accept-ranges")),
        (Some("1000"), Some("bytes"))
    );
    let has = [("If-None-Match", image.digest())];
    for reference in ["v1", image.digest()] {
        assert_eq!(
            wharf.send("GET", &manifest_path(APP, reference), &has).await.status,
            304
        );
    }
}

#[tokio::test]
async fn no_repository_sees_what_another_one_has() {
    let (wharf, image) = harbour().await;
    wharf.push_blob("team/other", &Content::of("other")).await;
    for (target, code) in [
        (manifest_path("team/other", image.digest()), "MANIFEST_UNKNOWN"),
        (manifest_path("team/other", "v1"), "MANIFEST_UNKNOWN"),
        (blob_path("team/other", image.layer(0)), "BLOB_UNKNOWN"),
        (manifest_path("team/nobody", image.digest()), "NAME_UNKNOWN"),
        (manifest_path("team/nobody", "v1"), "NAME_UNKNOWN"),
        (blob_path("team/nobody", image.layer(0)), "NAME_UNKNOWN"),
        // A manifest is no blob, and a blob no manifest.
        (format!("/v2/{APP}/blobs/{}", image.digest()), "BLOB_UNKNOWN"),
        (manifest_path(APP, image.layer(0).digest()), "MANIFEST_UNKNOWN"),
    ] {
        let answer = wharf.get(&target).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, code), "{target}");
        assert_eq!(wharf.status(&target).await, 404, "{target}");
    }
}

#[tokio::test]
async fn a_sha512_push_is_known_by_that_digest_wherever_it_is_told() {
    let (wharf, image) = harbour().await;
    let bytes = image.manifest.all();
    let digest = sha512(&bytes);
    let other = "team/other";
    for blob in &image.blobs {
        wharf.push_blob(other, blob).await;
    }
    let pushed = wharf
        .push_manifest(other, &format!("{digest}?tag=v512"), OCI_MANIFEST, &bytes)
        .await;
    assert_eq!(pushed.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(pushed.header("location"), Some(&*manifest_path(other, &digest)));
    for reference in [digest.as_str(), "v512"] {
        assert_is(
            &wharf.get(&manifest_path(other, reference)).await,
            &image.manifest,
            OCI_MANIFEST,
            &digest,
        );
    }
    assert!(
        !wharf.has_manifest(other, image.digest()).await,
        "never pushed by that one"
    );
}

#[tokio::test]
async fn several_tags_come_with_one_push_and_are_all_told() {
    let (wharf, image) = harbour().await;
    let bytes = image.manifest.all();
    let target = format!("{}?tag=a&tag=b.1&tag=_", manifest_path(APP, image.digest()));
    let mut client = wharf.connect().await;
    let length = bytes.len().to_string();
    client
        .ask(
            "PUT",
            &target,
            &[("Content-Type", OCI_MANIFEST), ("Content-Length", &length)],
        )
        .await;
    client.write(&bytes).await.unwrap();
    let pushed = client.answer(false).await.unwrap();
    assert_eq!(pushed.status, 201);
    assert_eq!(pushed.all("oci-tag"), ["a", "b.1", "_"]);
    for tag in ["a", "b.1", "_", "v1"] {
        assert!(wharf.has_manifest(APP, tag).await, "{tag}");
    }
    let many = "&tag=x".repeat(101);
    for (reference, status, code) in [
        (format!("{}?tag=-", image.digest()), 400, "MANIFEST_INVALID"),
        ("v2?tag=v3".to_owned(), 400, "MANIFEST_INVALID"),
        (format!("{}?{many}", image.digest()), 414, "MANIFEST_INVALID"),
    ] {
        let answer = wharf
            .put_manifest(&manifest_path(APP, &reference), OCI_MANIFEST, &bytes)
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{reference}");
    }
    assert!(!wharf.has_manifest(APP, "v2").await && !wharf.has_manifest(APP, "v3").await);
}

#[tokio::test]
async fn every_push_of_a_manifest_with_a_subject_hears_of_it() {
    let (wharf, image) = harbour().await;
    let absent = sha512(b"never pushed");
    for subject in [image.digest(), &absent] {
        let subject = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 7 });
        let about = |mut body: Value| {
            body["subject"] = subject.clone();
            Content::of(body.to_string())
        };
        let sbom = about(serde_json::from_slice(&image.manifest.all()).unwrap());
        let list = about(json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }));
        for (manifest, media_type) in [(&sbom, OCI_MANIFEST), (&list, OCI_INDEX)] {
            for reference in [manifest.digest(), "sbom", manifest.digest()] {
                let pushed = wharf.push_manifest(APP, reference, media_type, &manifest.all()).await;
                assert_eq!(pushed.header("oci-subject"), subject["digest"].as_str());
            }
        }
        let referrers = format!("/v2/{APP}/referrers/{}", subject["digest"].as_str().unwrap());
        let listed: Value = serde_json::from_slice(&wharf.get(&referrers).await.body).unwrap();
        assert_eq!(listed["manifests"].as_array().unwrap().len(), 2, "{listed}");
    }
}

#[tokio::test]
async fn a_push_happens_only_if_its_conditions_are_true() {
    let (wharf, old) = harbour().await;
    let new = Content::of(index(&[&old]));
    let put = async |reference: &str, name: &str, value: &str| {
        let headers = [("Content-Type", OCI_INDEX), (name, value)];
        let answer = wharf
            .sends("PUT", &manifest_path(APP, reference), &headers, &new.all())
            .await;
        if answer.status == 412 {
            assert_eq!(answer.code(), "DENIED");
        }
        answer.status
    };
    let [old_tag, new_tag] = [old.digest(), new.digest()].map(|digest| format!("\"{digest}\""));
    assert_eq!(put("v1", "If-None-Match", "*").await, 412);
    assert_eq!(put("v1", "If-Match", &new_tag).await, 412);
    assert_eq!(put("new", "If-Match", "*").await, 412);
    assert_eq!(put(new.digest(), "If-Match", "*").await, 412);
    assert!(!wharf.has_manifest(APP, "new").await && !wharf.has_manifest(APP, new.digest()).await);
    assert_eq!(wharf.get(&manifest_path(APP, "v1")).await.body, old.manifest.all());
    assert_eq!(put("new", "If-None-Match", "*").await, 201);
    assert_eq!(put("new", "If-None-Match", "*").await, 412);
    assert_eq!(put("v1", "If-Match", &old_tag).await, 201);
    assert_eq!(put("v1", "If-Match", &old_tag).await, 412, "it is another one by now");
    assert_eq!(wharf.get(&manifest_path(APP, "v1")).await.body, new.all());
}

#[tokio::test]
async fn a_tag_moves_and_what_it_meant_stays() {
    let (wharf, old) = harbour().await;
    let new = Image::docker(2, &[10]);
    wharf.push_image(APP, "v1", &new).await;
    let now = wharf.get(&manifest_path(APP, "v1")).await;
    assert_is(&now, &new.manifest, DOCKER_MANIFEST, new.digest());
    let before = wharf.get(&manifest_path(APP, old.digest())).await;
    assert_is(&before, &old.manifest, OCI_MANIFEST, old.digest());
}

#[tokio::test]
async fn what_a_manifest_names_must_be_in_its_repository() {
    let (wharf, image) = harbour().await;
    let other = "team/other";
    wharf.push_blob(other, &image.blobs[0]).await;
    let child = Image::oci(2, &[]);
    let fat = index(&[&image, &child]);
    let layer = image.layer(0).digest();
    let cases = [(other, image.media_type, image.manifest.all(), vec![layer])];
    let index_cases = [
        (other, OCI_INDEX, fat.clone(), vec![image.digest(), child.digest()]),
        (APP, OCI_INDEX, fat.clone(), vec![child.digest()]),
    ];
    for (name, media_type, bytes, expected) in cases.into_iter().chain(index_cases) {
        let answer = wharf.put_manifest(&manifest_path(name, "v9"), media_type, &bytes).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let errors = body["errors"].as_array().unwrap();
        let told: Vec<_> = errors
            .iter()
            .map(|error| error["detail"]["digest"].as_str().unwrap())
            .collect();
        assert_eq!(told, expected);
        assert!(errors.iter().all(|error| error["code"] == "MANIFEST_BLOB_UNKNOWN"));
        assert!(!wharf.has_manifest(name, "v9").await);
    }
    let digest = Content::of(fat).digest().to_owned();
    assert!(!wharf.has_manifest(APP, &digest).await);
}

#[tokio::test]
async fn what_is_missing_may_be_missing_where_that_is_configured() {
    let setup = Setup::new().table("hosted", "allow_missing = [\"mirrors/*\"]");
    let (wharf, image) = (setup.start().await, Image::oci(1, &[10]));
    let fat = index(&[&image]);
    for (name, status) in [("mirrors/app", 201), (APP, 400)] {
        let target = manifest_path(name, "v1");
        assert_eq!(
            wharf.put_manifest(&target, OCI_INDEX, &fat).await.status,
            status,
            "{name}"
        );
        let target = manifest_path(name, "v2");
        let put = wharf.put_manifest(&target, OCI_MANIFEST, &image.manifest.all()).await;
        assert_eq!(put.status, status, "{name}");
    }
    assert!(wharf.has_manifest("mirrors/app", "v1").await && !wharf.has_blob("mirrors/app", image.layer(0)).await);
}

#[tokio::test]
async fn a_hosted_repository_asks_no_upstream() {
    let upstream = Upstream::start();
    let wharf = Wharf::of(&upstream).await;
    let image = Image::oci(1, &[10]);
    upstream.put_image(APP, "v1", &image);
    wharf.push_blob(APP, &Content::of("x")).await;
    for target in [
        manifest_path(APP, "v1"),
        manifest_path(APP, image.digest()),
        blob_path(APP, image.layer(0)),
    ] {
        assert_eq!(wharf.status(&target).await, 404);
    }
    assert_eq!(upstream.connections(), 0);
}

/// Each pusher's manifest names a config of its own; whoever reads the tag can read that one too.
#[tokio::test]
async fn fifty_pushers_race_for_one_tag_and_nobody_reads_half_an_image() {
    let wharf = std::sync::Arc::new(Setup::new().start().await);
    let images: Vec<_> = (1..=50).map(|seed| Image::oci(seed, &[])).collect();
    wharf.push_image(APP, "v1", &images[0]).await;
    let pushers = images.iter().cloned().map(|image| {
        let wharf = std::sync::Arc::clone(&wharf);
        tokio::spawn(async move { wharf.push_image(APP, "v1", &image).await })
    });
    let pushers: Vec<_> = pushers.collect();
    while pushers.iter().any(|pusher| !pusher.is_finished()) {
        let answer = wharf.get(&manifest_path(APP, "v1")).await;
        let image = images
            .iter()
            .find(|image| answer.header("docker-content-digest") == Some(image.digest()));
        let image = image.unwrap_or_else(|| panic!("{}", answer.text()));
        assert!(answer.body == image.manifest.all());
        assert!(wharf.has_blob(APP, &image.blobs[0]).await);
    }
    for pusher in pushers {
        soon("a pusher's end", pusher).await.unwrap();
    }
    for image in &images {
        assert!(
            wharf.has_manifest(APP, image.digest()).await,
            "whoever lost the race is stored too"
        );
    }
}
