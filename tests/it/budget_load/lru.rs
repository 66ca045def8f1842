//! An exact LRU over whole blobs, to compare with. Its trace is what was pulled, in the order in which the pulls were complete:
//! what is not there then has been fetched, and whatever must go for it goes. Of clients that had the same fetch together
//! the first is told as its miss, as wharf tells it. Nobody reads what was pulled longest ago, so what is in use needs no
//! rule here; what is on its way in takes some room in wharf, and none here.

use std::collections::{BTreeMap, HashMap};

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    LeastRecentlyUsed,
    /// What came first: no use counts.
    In,
}

/// How many of the pulls have to be fetched where there is room for so many bytes.
pub(super) fn fetched(trace: &[usize], room: u64, takes: impl Fn(usize) -> u64, goes: First) -> usize {
    let (mut used, mut order) = (HashMap::new(), BTreeMap::new());
    let (mut full, mut misses) = (0, 0);
    for (now, n) in trace.iter().copied().enumerate() {
        match used.get(&n).copied() {
            Some(_) if goes == First::In => continue,
            Some(then) => drop(order.remove(&then)),
            None => {
                misses += 1;
                full += takes(n);
                while full > room
                    && let Some((_, gone)) = order.pop_first()
                {
                    used.remove(&gone);
                    full -= takes(gone);
                }
            }
        }
        order.insert(now, n);
        used.insert(n, now);
    }
    misses
}

#[test]
fn the_simulation_tells_what_was_used_from_what_came_first() {
    let trace = [0, 1, 0, 2, 0, 1];
    assert_eq!(fetched(&trace, 2, |_| 1, First::LeastRecentlyUsed), 4);
    assert_eq!(fetched(&trace, 2, |_| 1, First::In), 5);
    assert_eq!(fetched(&trace, 3, |_| 1, First::In), 3);
    assert_eq!(
        fetched(&[0, 1, 2, 0], 4, |n| n as u64 + 1, First::LeastRecentlyUsed),
        4,
        "sizes count"
    );
}
