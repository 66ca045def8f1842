//! Random histories of a store that is too small, against a small model: what was pushed is there until it is deleted, what a
//! hosted repository shows has its content, of what is cached and not pinned the least recently pulled goes, and never is more on
//! the disk than may be; also where a step is left, or cut by the end of the process.
//!
//! `WHARF_HISTORIES` says how many; `WHARF_HISTORY_SEED` begins them elsewhere.

mod check;
mod model;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use model::{BLOBS, REPOSITORIES};
use world::World;

/// What can happen. Blobs and hosted repositories are numbers.
#[derive(Debug, Clone)]
enum Step {
    Pull(usize),
    /// Of a manifest that names these two.
    PullManifest(usize, usize),
    /// A fetch that ends half way.
    Half(usize),
    /// A fetch that stands still half way, until `Land`.
    Fetch(usize),
    Land,
    /// A client that begins to read, until `Close`.
    Open(usize),
    Close,
    Push(usize, usize),
    /// An upload of which half comes, until `Cancel`.
    Upload(usize, usize),
    Cancel,
    MountCached(usize, usize),
    /// From the repository before.
    Mount(usize, usize),
    /// A manifest that names these two, under the one tag.
    Tag(usize, usize, usize),
    Untag(usize),
    DeleteManifest(usize),
    DeleteBlob(usize, usize),
    Collect,
    Pin(usize),
    Unpin(usize),
    Restart,
    Crash,
    /// A pull that nobody waits for any more, after so many times that it was looked at.
    Leave(usize, u8),
    /// The process ends within a step, after so many times that it was looked at.
    CrashIn(Box<Step>, u8),
}

fn single() -> impl Strategy<Value = Step> {
    let (n, r) = (0..BLOBS, 0..REPOSITORIES);
    prop_oneof![
        8 => n.clone().prop_map(Step::Pull),
        1 => (n.clone(), n.clone()).prop_map(|(n, m)| Step::PullManifest(n, m)),
        2 => n.clone().prop_map(Step::Half),
        1 => n.clone().prop_map(Step::Fetch),
        1 => Just(Step::Land),
        2 => n.clone().prop_map(Step::Open),
        1 => Just(Step::Close),
        2 => (r.clone(), n.clone()).prop_map(|(r, n)| Step::Push(r, n)),
        1 => (r.clone(), n.clone()).prop_map(|(r, n)| Step::Upload(r, n)),
        1 => Just(Step::Cancel),
        3 => (r.clone(), n.clone()).prop_map(|(r, n)| Step::MountCached(r, n)),
        1 => (r.clone(), n.clone()).prop_map(|(r, n)| Step::Mount(r, n)),
        3 => (r.clone(), n.clone(), n.clone()).prop_map(|(r, n, m)| Step::Tag(r, n, m)),
        1 => r.clone().prop_map(Step::Untag),
        1 => r.clone().prop_map(Step::DeleteManifest),
        2 => (r, n.clone()).prop_map(|(r, n)| Step::DeleteBlob(r, n)),
        1 => n.clone().prop_map(Step::Pin),
        1 => n.prop_map(Step::Unpin),
        1 => Just(Step::Collect),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => single(),
        2 => (0..BLOBS, 0..40_u8).prop_map(|(n, looks)| Step::Leave(n, looks)),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => (single(), 0..40_u8).prop_map(|(step, looks)| Step::CrashIn(Box::new(step), looks)),
    ]
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the tests run is no configuration of wharf"
)]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_nothing_pushed_is_lost_and_nothing_is_over_the_budget() {
    let seed = number("WHARF_HISTORY_SEED").unwrap_or(1);
    let histories = number("WHARF_HISTORIES").unwrap_or(12);
    eprintln!("WHARF_HISTORY_SEED={seed}");
    let config = Config {
        cases: u32::try_from(histories).unwrap(),
        failure_persistence: None,
        // Each is a store of its own.
        max_shrink_iters: 200,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let history = prop::collection::vec(step(), 10..60);
    let run = |steps: Vec<Step>| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(World::lives(steps));
        Ok(())
    };
    let held = TestRunner::new_with_rng(config, rng).run(&history, run);
    held.unwrap_or_else(|broken| panic!("{broken}"));
}
