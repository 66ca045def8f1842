use proptest::prelude::*;

use super::*;

/// Nothing else is on the file system.
const PLENTY: u64 = u64::MAX / 2;

fn ledger(max_size: u64, min_free: u64) -> Arc<Ledger> {
    let ledger = Ledger::new(Arc::default());
    ledger.set_limits(Limits { max_size, min_free });
    Arc::new(ledger)
}

fn partial(id: u64) -> Incoming {
    Incoming::Partial(id)
}

/// The sums as the entries have them.
fn sums(state: &State) -> Sums {
    let weights = state.incoming.iter().map(|(of, entry)| entry.weight(*of));
    weights.fold(Sums::default(), |sums, weight| Sums {
        held: sums.held + weight.held,
        idle: sums.idle + weight.idle,
        unwritten: sums.unwritten + weight.unwritten,
    })
}

#[test]
fn what_would_not_fit_is_not_given_and_what_must_go_for_it_is_told() {
    let ledger = ledger(100, 0);
    ledger.open(partial(1));
    assert_eq!(ledger.reserve(partial(1), 70, PLENTY), Ok(()));
    ledger.open(partial(2));
    assert_eq!(ledger.reserve(partial(2), 40, PLENTY), Err(10));
    assert_eq!(ledger.reserve(partial(2), 30, PLENTY), Ok(()));
    assert_eq!(ledger.reserve(partial(2), 10, PLENTY), Ok(()), "it has more");
    assert_eq!(ledger.held(partial(2)), 30);
    ledger.end(partial(1));
    assert_eq!(ledger.reserve(partial(2), 100, PLENTY), Ok(()));
}

#[test]
fn what_is_promised_and_not_written_is_not_free() {
    let ledger = ledger(1000, 50);
    ledger.open(partial(1));
    assert_eq!(ledger.reserve(partial(1), 60, 110), Ok(()));
    ledger.open(partial(2));
    assert_eq!(ledger.reserve(partial(2), 1, 110), Err(1));
    // The same file system, with 20 bytes of it written.
    ledger.wrote(partial(1), 20);
    assert_eq!(ledger.reserve(partial(2), 1, 90), Err(1));
    ledger.leave(partial(1));
    assert_eq!(ledger.reserve(partial(2), 40, 90), Ok(()));
}

#[test]
fn a_partial_that_is_left_holds_what_is_written_and_may_go() {
    let ledger = ledger(100, 0);
    ledger.open(partial(1));
    ledger.reserve(partial(1), 90, PLENTY).unwrap();
    ledger.wrote(partial(1), 40);
    assert_eq!((ledger.idle(1), ledger.evictable()), (None, 0));
    ledger.leave(partial(1));
    assert_eq!((ledger.idle(1), ledger.evictable()), (Some(40), 40));
    ledger.open(partial(1));
    assert_eq!(ledger.idle(1), None);
    ledger.end(partial(1));
    ledger.leave(partial(1));
    assert_eq!(ledger.held(partial(1)), 0, "it does not come back");
}

#[test]
fn an_upload_is_never_refused_and_reserves_little_ahead_of_little() {
    let ledger = ledger(256 * MIB, 0);
    let upload = Incoming::Upload(UploadId::new());
    ledger.open(upload);
    ledger.reserve_ahead(upload, 4096);
    assert_eq!(ledger.held(upload), 4096 + LEAST_AHEAD);
    ledger.reserve_ahead(upload, 8192);
    assert_eq!(ledger.held(upload), 4096 + LEAST_AHEAD, "it has room yet");
    ledger.reserve_ahead(upload, 300 * MIB);
    assert_eq!(ledger.held(upload), 316 * MIB);
    assert_eq!(ledger.excess(PLENTY), 64 * MIB, "and what is to be free ahead");
    ledger.wrote(upload, 300 * MIB);
    ledger.leave(upload);
    assert_eq!((ledger.held(upload), ledger.evictable()), (300 * MIB, 0));
}

#[test]
fn a_forgotten_blob_counts_until_its_file_is_gone() {
    let ledger = ledger(100, 0);
    ledger.open(partial(1));
    let leaving = ledger.leaving(30);
    assert_eq!(ledger.reserve(partial(1), 71, PLENTY), Err(1));
    drop(leaving);
    assert_eq!(ledger.reserve(partial(1), 71, PLENTY), Ok(()));
}

/// What can happen to what comes in: which, what, how many bytes.
fn steps() -> impl Strategy<Value = Vec<(u64, u8, u64)>> {
    prop::collection::vec((0..4_u64, 0..7_u8, 0..80_u64), 0..80)
}

proptest! {
    #[test]
    fn no_more_is_given_than_there_is_and_the_sums_are_those_of_the_entries(steps in steps()) {
        let ledger = ledger(100, 0);
        let mut found = 0;
        for (id, what, bytes) in steps {
            let of = partial(id);
            match what {
                0 => ledger.open(of),
                1 => ledger.leave(of),
                2 => ledger.end(of),
                3 if found + bytes <= 100 && ledger.held(of) == 0 => {
                    if ledger.reserve(of, bytes, PLENTY).is_ok() {
                        ledger.found(of, bytes);
                        found += bytes;
                    }
                }
                4 => ledger.wrote(of, bytes.min(ledger.held(of))),
                _ => drop(ledger.reserve(of, bytes, PLENTY)),
            }
            let state = ledger.state();
            prop_assert_eq!(state.sums, sums(&state));
            prop_assert!(state.sums.held <= 100);
        }
    }
}
