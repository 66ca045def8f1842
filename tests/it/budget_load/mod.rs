//! P7 under load: many clients pull twenty times what fits, a few things often and many seldom, and the disk is looked at all
//! the time.
//!
//! `WHARF_BUDGET_SEED` repeats the dice of a run, though not its timing.

mod books;
mod clients;
mod kills;
mod lru;

use std::sync::Arc;

use self::books::Watch;
use self::clients::{Load, Stock};
use self::lru::{First, fetched};
use crate::support::dice::{Dice, seed};
use crate::support::image::MIB;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup};

const SEED: &str = "WHARF_BUDGET_SEED";
/// What a file may take besides its pages: a block of its own for where they lie. Much less than what the promise allows,
/// a reservation step per running fill: all lengths are known here.
const MAP: u64 = 4096;

fn within(upstream: &Upstream, max_size: u64) -> Setup {
    let setup = Setup::new().mirror(Mirror::of("hub", upstream));
    setup.store("max_size", &max_size.to_string()).store("min_free", "0")
}

/// What part of the pulls was not fetched, in percent.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn rate(pulls: usize, fetched: usize) -> f64 {
    100.0 - 100.0 * fetched as f64 / pulls as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_of_20_times_the_budget_stay_within_it_and_hit_as_often_as_with_an_exact_lru() {
    const BUDGET: u64 = 24 * MIB;
    const CLIENTS: u64 = 32;
    let mut dice = Dice::of(seed(SEED));
    let (upstream, stock) = (Upstream::start(), Arc::new(Stock::of(600, &mut dice)));
    stock.offer(&upstream);
    let wharf = within(&upstream, BUDGET).start().await;
    let watch = Watch::of(wharf.store(), Vec::new());
    let load = Load::of(Arc::clone(&stock), 20 * BUDGET);
    load.run(wharf.address(), CLIENTS, &mut dice).await;
    let seen = watch.end().await;
    assert!(
        seen.most <= BUDGET + CLIENTS * MAP,
        "{} bytes over, in {} looks",
        seen.most - BUDGET,
        seen.looks
    );
    assert!(seen.looks > 100, "only {} looks", seen.looks);

    let (trace, misses) = load.trace();
    let pulls = trace.len();
    let simulated = |goes| rate(pulls, fetched(&trace, BUDGET, |n| stock.takes(n), goes));
    let (found, exact, worse) = (
        rate(pulls, misses),
        simulated(First::LeastRecentlyUsed),
        simulated(First::In),
    );
    let story =
        format!("{found:.1} % of {pulls} pulls hit, and {exact:.1} % would with an exact LRU, {worse:.1} % without");
    eprintln!(
        "{story}; at most {} of {BUDGET} bytes in {} looks",
        seen.most, seen.looks
    );
    assert!((found - exact).abs() < 5.0, "{story}");
    // That alone would be true of most caches.
    assert!(found > f64::midpoint(exact, worse), "{story}");
}
