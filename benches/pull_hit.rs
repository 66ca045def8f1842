//! A cached blob through a socket: 1 KiB, 1 MiB and 256 MiB, one client on one connection.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up must fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the fences are wharf's: a bench owns its files and processes"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

use support::image::{Content, KIB, MIB};
use support::upstream::Upstream;
use support::wharf::Wharf;
use wire::Wire;

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the behaviour tests use the rest")]
mod support;
mod wire;

fn pull_hit(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let upstream = Upstream::start();
    let wharf = runtime.block_on(Wharf::of(&upstream));
    let mut client = Wire::connect(wharf.address());
    let mut group = c.benchmark_group("pull_hit");
    group.sample_size(20);
    for (name, size) in [("1 KiB", KIB), ("1 MiB", MIB), ("256 MiB", 256 * MIB)] {
        let blob = Content::seeded(size, size);
        upstream.put_blob("bench/hit", &blob);
        let target = format!("/v2/hub/bench/hit/blobs/{}", blob.digest());
        client.ask("GET", &target, &[], 200);
        group.throughput(Throughput::Bytes(size));
        group.bench_function(name, |b| b.iter(|| client.ask("GET", &target, &[], 200)));
    }
    group.finish();
}

criterion_group!(benches, pull_hit);
criterion_main!(benches);
