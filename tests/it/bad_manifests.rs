//! Garbage in place of a manifest: a 502 that names the upstream, and nothing kept.

use crate::support::image::{Content, Image, MIB, OCI_INDEX, OCI_MANIFEST};
use crate::support::manifest_path;
use crate::support::script::{Act, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;

async fn harbour() -> (Upstream, Wharf, Image) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    (upstream, wharf, image)
}

async fn assert_serves(wharf: &Wharf, tag: &str, manifest: &Content) {
    let answer = wharf.get(&manifest_path("hub/a/b", tag)).await;
    assert_eq!((answer.status, answer.body == manifest.all()), (200, true), "{tag}");
}

/// A manifest with an annotation that makes it so long.
fn padded(len: u64) -> Content {
    let image = Image::oci(1, &[10]);
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest.all()).unwrap();
    manifest["annotations"] = serde_json::json!({ "padding": "" });
    let bare = serde_json::to_string(&manifest).unwrap().len() as u64;
    manifest["annotations"]["padding"] = "x".repeat(usize::try_from(len - bare).unwrap()).into();
    Content::of(serde_json::to_string(&manifest).unwrap())
}

#[tokio::test]
async fn four_mebibytes_of_manifest_are_served_and_much_more_is_a_502() {
    let (upstream, wharf, _) = harbour().await;
    let (large, huge) = (padded(4 * MIB), padded(5 * MIB));
    upstream.put_manifest("a/b", "large", OCI_MANIFEST, &large);
    upstream.put_manifest("a/b", "huge", OCI_MANIFEST, &huge);
    assert_serves(&wharf, "large", &large).await;
    let answer = wharf.get(&manifest_path("hub/a/b", "huge")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "UNAVAILABLE"));
}

#[tokio::test]
async fn garbage_in_place_of_a_manifest_is_a_502_and_is_not_kept() {
    let schema1 = r#"{"schemaVersion":1,"name":"a/b","tag":"v1","fsLayers":[],"history":[],"signatures":[]}"#;
    let deep = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","x":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let both = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[],"layers":[]}}"#);
    for garbage in [
        vec![Act::Html],
        vec![Act::Body(Content::of(schema1))],
        vec![Act::Body(Content::of(deep))],
        vec![Act::Body(Content::of(both))],
        vec![Act::Body(Content::of("not json"))],
        vec![Act::Body(Content::of(""))],
        vec![Act::Body(Content::seeded(9, 500))],
        vec![Act::Body(Content::endless()), Act::Chunked],
        vec![Act::Corrupt(20)],
    ] {
        let (upstream, mut wharf, image) = harbour().await;
        // What the digest header says must not matter.
        let mut acts = garbage.clone();
        acts.push(Act::Header("docker-content-digest", image.digest().to_owned()));
        upstream.script(On::manifests().get(), acts);
        for reference in ["v1", image.digest()] {
            let answer = wharf.get(&manifest_path("hub/a/b", reference)).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (502, "UNAVAILABLE"),
                "{reference} {garbage:?}"
            );
            assert!(
                answer.text().contains(&upstream.address().to_string()),
                "{}",
                answer.text()
            );
        }
        upstream.heal();
        // A restart forgives at once an upstream that sent wrong bytes; without one it takes 5 s.
        wharf.kill();
        wharf.restart().await;
        assert_serves(&wharf, "v1", &image.manifest).await;
    }
}
