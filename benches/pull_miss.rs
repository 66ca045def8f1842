//! A blob that wharf does not have yet, asked for by 1, 16 and 64 clients at the same moment, until all have it whole.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up must fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the fences are wharf's: a bench owns its files and processes"
)]

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

use support::image::{Content, MIB};
use support::upstream::Upstream;
use support::wharf::Wharf;
use wire::Wire;

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the behaviour tests use the rest")]
mod support;
mod wire;

const SIZE: u64 = 4 * MIB;

fn pull_miss(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut group = c.benchmark_group("pull_miss");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(SIZE));
    let seed = Cell::new(0);
    for clients in [1, 16, 64] {
        let upstream = Upstream::start();
        let wharf = runtime.block_on(Wharf::of(&upstream));
        let mut wires: Vec<_> = (0..clients).map(|_| Wire::connect(wharf.address())).collect();
        group.bench_function(format!("{clients} clients"), |b| {
            b.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        seed.set(seed.get() + 1);
                        pull_new_blob(&upstream, seed.get(), &mut wires)
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

fn pull_new_blob(upstream: &Upstream, seed: u64, wires: &mut [Wire]) -> Duration {
    let blob = Content::seeded(seed, SIZE);
    upstream.put_blob("bench/miss", &blob);
    let target = format!("/v2/hub/bench/miss/blobs/{}", blob.digest());
    let start = Instant::now();
    thread::scope(|scope| {
        for wire in wires {
            scope.spawn(|| wire.ask("GET", &target, &[], 200));
        }
    });
    start.elapsed()
}

criterion_group!(benches, pull_miss);
criterion_main!(benches);
