//! The shapes of content that are pushed to registries, each with its own test: images, indexes and artifacts of every
//! kind, by tag and by digest, pulled back with the same bytes and the same type.

use serde_json::{Value, json};

use crate::support::image::{Content, DOCKER_MANIFEST, Image, OCI_INDEX, OCI_MANIFEST, sha512};
use crate::support::manifest_path;
use crate::support::wharf::{Setup, Wharf};

const APP: &str = "team/app";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

async fn wharf() -> Wharf {
    Setup::new().start().await
}

fn empty() -> Content {
    Content::of("{}")
}

/// An image manifest with these fields on top of an empty config and no layers.
fn image(more: &Value) -> Value {
    let mut body = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": empty().descriptor(CONFIG),
        "layers": [],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn index(more: &Value) -> Value {
    let mut body = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

impl Wharf {
    /// Pushes the blobs and then the manifest, by tag and by digest, and reads it back.
    async fn round_trips(&self, blobs: &[&Content], media_type: &str, body: &Value) -> Content {
        for blob in blobs {
            self.push_blob(APP, blob).await;
        }
        let manifest = Content::of(serde_json::to_vec_pretty(body).unwrap());
        for reference in ["v1", manifest.digest()] {
            self.push_manifest(APP, reference, media_type, &manifest.all()).await;
            let pulled = self.get(&manifest_path(APP, reference)).await;
            assert_eq!(pulled.header("content-type"), Some(media_type));
            assert_eq!(pulled.header("docker-content-digest"), Some(manifest.digest()));
            assert!(pulled.body == manifest.all(), "{}", pulled.text());
        }
        manifest
    }

    /// An image whose config and layers have these types.
    async fn round_trips_artifact(&self, media_type: &str, config: (&str, &Content), layers: &[&str]) {
        let layers: Vec<_> = (1..)
            .zip(layers)
            .map(|(n, kind)| (*kind, Content::seeded(n, 10 * n)))
            .collect();
        let described: Vec<_> = layers.iter().map(|(kind, layer)| layer.descriptor(kind)).collect();
        let body = image(&json!({
            "mediaType": media_type, "config": config.1.descriptor(config.0), "layers": described,
        }));
        let blobs: Vec<_> = layers.iter().map(|(_, layer)| layer).chain([config.1]).collect();
        self.round_trips(&blobs, media_type, &body).await;
    }
}

#[tokio::test]
async fn an_image() {
    let layer = Content::seeded(1, 100);
    let body = image(&json!({ "layers": [layer.descriptor(LAYER), layer.descriptor(LAYER)] }));
    wharf()
        .await
        .round_trips(&[&empty(), &layer], OCI_MANIFEST, &body)
        .await;
}

#[tokio::test]
async fn an_image_as_docker_writes_it_and_a_list_of_it() {
    let (wharf, image) = (wharf().await, Image::docker(1, &[100]));
    wharf.push_image(APP, "v1", &image).await;
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let child = image.manifest.descriptor(DOCKER_MANIFEST);
    wharf
        .round_trips(&[], list, &index(&json!({ "mediaType": list, "manifests": [child] })))
        .await;
}

#[tokio::test]
async fn an_image_without_layers_or_even_a_list_of_them() {
    let (wharf, mut body) = (wharf().await, image(&json!({})));
    wharf.round_trips(&[&empty()], OCI_MANIFEST, &body).await;
    body.as_object_mut().unwrap().remove("layers");
    wharf.round_trips(&[], OCI_MANIFEST, &body).await;
}

#[tokio::test]
async fn an_image_without_a_media_type() {
    let mut body = image(&json!({}));
    body.as_object_mut().unwrap().remove("mediaType");
    wharf().await.round_trips(&[&empty()], OCI_MANIFEST, &body).await;
}

#[tokio::test]
async fn an_index_and_an_index_of_indexes() {
    let wharf = wharf().await;
    let child = wharf.round_trips(&[&empty()], OCI_MANIFEST, &image(&json!({}))).await;
    let platform = json!({ "architecture": "amd64", "os": "linux" });
    let mut described = child.descriptor(OCI_MANIFEST);
    described["platform"] = platform;
    let inner = wharf
        .round_trips(&[], OCI_INDEX, &index(&json!({ "manifests": [described] })))
        .await;
    let nested = index(&json!({ "manifests": [inner.descriptor(OCI_INDEX)] }));
    wharf.round_trips(&[], OCI_INDEX, &nested).await;
}

#[tokio::test]
async fn an_empty_index() {
    wharf().await.round_trips(&[], OCI_INDEX, &index(&json!({}))).await;
}

#[tokio::test]
async fn an_index_that_names_a_blob() {
    let blob = Content::seeded(1, 10);
    let body = index(&json!({ "manifests": [blob.descriptor("application/x-whatever")] }));
    wharf().await.round_trips(&[&blob], OCI_INDEX, &body).await;
}

#[tokio::test]
async fn an_artifact_with_a_type_and_an_empty_config() {
    let empty_type = "application/vnd.oci.empty.v1+json";
    let body = image(&json!({
        "artifactType": "application/vnd.example+type",
        "config": empty().descriptor(empty_type), "layers": [empty().descriptor(empty_type)],
        "annotations": { "org.example.a": "ü", "org.example.b": "" },
    }));
    wharf().await.round_trips(&[&empty()], OCI_MANIFEST, &body).await;
}

#[tokio::test]
async fn an_index_that_is_an_artifact() {
    let body = index(&json!({ "artifactType": "application/vnd.example+type", "annotations": { "a": "b" } }));
    wharf().await.round_trips(&[], OCI_INDEX, &body).await;
}

#[tokio::test]
async fn an_artifact_manifest_of_the_candidates_of_image_spec_1_1() {
    let (wharf, blob) = (wharf().await, Content::seeded(1, 10));
    let kind = "application/vnd.oci.artifact.manifest.v1+json";
    let body = json!({ "mediaType": kind, "artifactType": "a/b", "blobs": [blob.descriptor("a/b")] });
    wharf.round_trips(&[&blob], kind, &body).await;
    let missing = json!({ "mediaType": kind, "blobs": [Content::seeded(2, 10).descriptor("a/b")] });
    let put = wharf
        .put_manifest(&manifest_path(APP, "v2"), kind, missing.to_string().as_bytes())
        .await;
    assert_eq!((put.status, put.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
}

#[tokio::test]
async fn fields_that_nobody_knows() {
    let layer = Content::seeded(1, 10);
    let mut described = layer.descriptor(LAYER);
    described["org.example"] = json!({ "deep": [{ "er": null }] });
    let custom =
        json!({ "layers": [described], "org.example": [1, -2.5e300, "x", true], "blobs": "mine", "Layers": 7 });
    wharf()
        .await
        .round_trips(&[&empty(), &layer], OCI_MANIFEST, &image(&custom))
        .await;
    wharf()
        .await
        .round_trips(&[], OCI_INDEX, &index(&json!({ "x": { "manifests": 1 } })))
        .await;
}

#[tokio::test]
async fn a_descriptor_with_its_data() {
    let mut config = empty().descriptor(CONFIG);
    config["data"] = "e30=".into();
    wharf()
        .await
        .round_trips(&[&empty()], OCI_MANIFEST, &image(&json!({ "config": config })))
        .await;
}

#[tokio::test]
async fn layers_that_are_not_distributed_or_are_elsewhere() {
    let foreign = [
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ];
    let absent = Content::seeded(9, 10);
    let mut layers: Vec<_> = foreign.iter().map(|kind| absent.descriptor(kind)).collect();
    let mut elsewhere = absent.descriptor(LAYER);
    elsewhere["urls"] = json!(["https://elsewhere.example/layer"]);
    layers.push(elsewhere);
    wharf()
        .await
        .round_trips(&[&empty()], OCI_MANIFEST, &image(&json!({ "layers": layers })))
        .await;
}

#[tokio::test]
async fn a_subject_that_is_not_there() {
    let subject = Content::of("never pushed").descriptor(OCI_MANIFEST);
    let wharf = wharf().await;
    wharf
        .round_trips(&[&empty()], OCI_MANIFEST, &image(&json!({ "subject": subject })))
        .await;
    wharf
        .round_trips(&[], OCI_INDEX, &index(&json!({ "subject": subject })))
        .await;
}

#[tokio::test]
async fn an_image_of_blobs_that_are_known_by_sha512() {
    let (wharf, layer) = (wharf().await, Content::seeded(1, 10));
    let describe = |content: &Content, kind: &str| {
        let mut descriptor = content.descriptor(kind);
        descriptor["digest"] = sha512(&content.all()).into();
        descriptor
    };
    for blob in [&empty(), &layer] {
        wharf.push_bytes(APP, &sha512(&blob.all()), &blob.all()).await;
    }
    let body = image(&json!({ "config": describe(&empty(), CONFIG), "layers": [describe(&layer, LAYER)] }));
    let manifest = wharf.round_trips(&[], OCI_MANIFEST, &body).await;
    assert!(!wharf.has_blob(APP, &layer).await, "known by sha512 only");
    let pushed = wharf
        .push_manifest(APP, &sha512(&manifest.all()), OCI_MANIFEST, &manifest.all())
        .await;
    assert_eq!(pushed.header("docker-content-digest"), Some(&*sha512(&manifest.all())));
}

#[tokio::test]
async fn a_manifest_of_nearly_four_megabytes() {
    let annotations: serde_json::Map<_, _> = (0..3_900).map(|n| (format!("a{n}"), "x".repeat(1000).into())).collect();
    let body = index(&json!({ "annotations": annotations, "subject": empty().descriptor(OCI_MANIFEST) }));
    let manifest = wharf().await.round_trips(&[], OCI_INDEX, &body).await;
    assert!(
        manifest.len() > 3_900_000 && manifest.len() < 4_194_304,
        "{}",
        manifest.len()
    );
}

#[tokio::test]
async fn an_image_of_thousands_of_layers() {
    let (wharf, layer) = (wharf().await, Content::seeded(1, 10));
    let layers = vec![layer.descriptor(LAYER); 9_999];
    wharf
        .round_trips(&[&empty(), &layer], OCI_MANIFEST, &image(&json!({ "layers": layers })))
        .await;
}

#[tokio::test]
async fn a_descriptor_of_the_wrong_size() {
    let mut config = empty().descriptor(CONFIG);
    config["size"] = u64::MAX.into();
    wharf()
        .await
        .round_trips(&[&empty()], OCI_MANIFEST, &image(&json!({ "config": config })))
        .await;
}

#[tokio::test]
async fn images_of_singularity() {
    let wharf = wharf().await;
    let (sif, nothing) = ("application/vnd.sylabs.sif.layer.v1.sif", Content::of(""));
    for (config, content) in [
        ("application/vnd.sylabs.sif.config.v1+json", &empty()),
        ("application/vnd.sylabs.sif.config.v1", &empty()),
        ("application/vnd.unknown.config.v1+json", &nothing),
    ] {
        wharf
            .round_trips_artifact(OCI_MANIFEST, (config, content), &[sif])
            .await;
    }
    let misspelt = "appliciation/vnd.sylabs.sif.layer.tar";
    wharf
        .round_trips_artifact(
            OCI_MANIFEST,
            ("application/vnd.sylabs.sif.config.v1+json", &nothing),
            &[misspelt],
        )
        .await;
    wharf
        .round_trips_artifact(
            DOCKER_MANIFEST,
            ("application/vnd.sylabs.sif.config.v1+json", &empty()),
            &[sif],
        )
        .await;
}

#[tokio::test]
async fn charts_modules_signatures_and_whatever_else_there_is() {
    let (wharf, empty) = (wharf().await, empty());
    let cases: [(&str, &[&str]); 6] = [
        (
            "application/vnd.cncf.helm.config.v1+json",
            &[
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                "application/vnd.cncf.helm.chart.provenance.v1.prov",
            ],
        ),
        ("application/vnd.wasm.config.v0+json", &["application/wasm"]),
        (CONFIG, &["application/vnd.dev.cosign.simplesigning.v1+json"]),
        (
            CONFIG,
            &[
                "application/vnd.in-toto+json",
                "application/vnd.oci.image.layer.v1.tar+zstd",
            ],
        ),
        (CONFIG, &["application/vnd.sylabs.image.layer.v1.squashfs"]),
        ("application/vnd.docker.plugin.v1+json", &["not a media type", ""]),
    ];
    for (config, layers) in cases {
        wharf.round_trips_artifact(OCI_MANIFEST, (config, &empty), layers).await;
    }
    let manifest = image(&json!({})).to_string();
    let signature = format!("{}.sig", Content::of("x").digest().replace(':', "-"));
    for tag in [
        &*signature,
        signature.trim_end_matches(".sig"),
        &"t".repeat(128),
        "_",
        "_A-.9",
    ] {
        wharf.push_manifest(APP, tag, OCI_MANIFEST, manifest.as_bytes()).await;
        assert!(wharf.has_manifest(APP, tag).await, "{tag}");
    }
}
