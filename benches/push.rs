//! Blobs pushed in one request each, until wharf has said that they are durable: one of 64 MiB, and small ones by 1, 16 and
//! 64 pushers at the same moment.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up must fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the fences are wharf's: a bench owns its files and processes"
)]

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

use support::image::{Content, KIB, MIB};
use support::wharf::Setup;
use wire::Wire;

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the behaviour tests use the rest")]
mod support;
mod wire;

fn push(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let wharf = runtime.block_on(Setup::new().start());
    let mut group = c.benchmark_group("push");
    group.sample_size(10);
    let seed = Cell::new(0);
    for (size, pushers) in [(64 * MIB, 1), (4 * KIB, 1), (4 * KIB, 16), (4 * KIB, 64)] {
        let mut wires: Vec<_> = (0..pushers).map(|_| Wire::connect(wharf.address())).collect();
        group.throughput(Throughput::Bytes(size * pushers));
        group.bench_function(BenchmarkId::new(format!("{} KiB", size / KIB), pushers), |b| {
            b.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        let new: Vec<_> = (0..pushers).map(|n| Content::seeded(seed.get() + n, size)).collect();
                        seed.set(seed.get() + pushers);
                        push_new_blobs(&mut wires, &new)
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

/// One by each pusher, all at once.
fn push_new_blobs(wires: &mut [Wire], blobs: &[Content]) -> Duration {
    let blobs: Vec<_> = blobs
        .iter()
        .map(|blob| (blob.digest().to_owned(), blob.all()))
        .collect();
    let start = Instant::now();
    thread::scope(|scope| {
        for (wire, (digest, bytes)) in wires.iter_mut().zip(&blobs) {
            let target = format!("/v2/bench/push/blobs/uploads/?digest={digest}");
            scope.spawn(move || wire.ask("POST", &target, bytes, 201));
        }
    });
    start.elapsed()
}

criterion_group!(benches, push);
criterion_main!(benches);
