//! What every request pays before anything else: its digest, its name, its reference.

use std::hint::black_box;
use std::str::FromStr;

use criterion::{Criterion, criterion_group, criterion_main};
use wharf::oci::{Digest, Reference, RepoName};

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
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
