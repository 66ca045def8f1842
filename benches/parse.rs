//! What requests pay before anything else: a digest, a name, a reference, their route, and for each new manifest its parsed
//! view.

use std::hint::black_box;
use std::str::FromStr;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use wharf::http::route;
use wharf::oci::{Algorithm, Digest, Manifest, Reference, RepoName};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NAME: &str = "docker.io/library/some-image_of/an.organisation";

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.bench_function("digest", |b| {
        b.iter(|| Digest::from_str(black_box(DIGEST)));
    });
    group.bench_function("name", |b| {
        b.iter(|| RepoName::from_str(black_box(NAME)));
    });
    group.bench_function("reference", |b| {
        b.iter(|| Reference::from_str(black_box("v1.2.3-alpine")));
    });
    for (of, method, path, query) in [
        ("ping", Method::GET, "/v2/".to_owned(), None),
        (
            "manifest",
            Method::GET,
            format!("/v2/{NAME}/manifests/v1"),
            Some("ns=docker.io"),
        ),
        ("blob", Method::GET, format!("/v2/{NAME}/blobs/{DIGEST}"), None),
        ("chunk", Method::PATCH, format!("/v2/{NAME}/blobs/uploads/8f7c"), None),
    ] {
        group.bench_function(format!("route of a {of}"), |b| {
            b.iter(|| route::parse(black_box(&method), black_box(&path), black_box(query)));
        });
    }
    for layers in [6, 1000] {
        let manifest = manifest(layers);
        group.bench_function(format!("manifest of {layers} layers"), |b| {
            b.iter(|| Manifest::parse(manifest.clone(), None, Algorithm::Sha256));
        });
    }
    group.finish();
}

fn manifest(layers: usize) -> Bytes {
    let layer =
        format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{DIGEST}","size":1000}}"#);
    let text = format!(
        r#"{{"schemaVersion":2,"config":{layer},"layers":[{}]}}"#,
        vec![layer.as_str(); layers].join(",")
    );
    text.into()
}

criterion_group!(benches, parse);
criterion_main!(benches);
