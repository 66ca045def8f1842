use super::*;

fn nobody(_: u64) -> bool {
    false
}

fn wait(span: Range<u64>, since: Instant, streak: u32) -> Wait {
    Wait {
        waker: Waker::noop().clone(),
        span: Some(span),
        since,
        main_was_at: 0,
        streak,
    }
}

fn waiting(span: Range<u64>, since: Instant) -> Waiting {
    let mut waiting = Waiting::default();
    waiting.wait(0, wait(span, since, 0));
    waiting
}

#[test]
fn a_reader_far_ahead_of_a_stalled_main_stream_gets_its_own_after_a_moment() {
    let start = Instant::now();
    let far = waiting(50 * MIB..50 * MIB + 100, start);
    assert_eq!(far.demand(start, 0, nobody), Demand::LookAgain(start + PATIENCE));
    assert_eq!(
        far.demand(start + PATIENCE, 0, nobody),
        Demand::Fetch(50 * MIB..51 * MIB),
        "at least a MiB at a time"
    );
}

#[test]
fn a_reader_that_is_reached_soon_waits() {
    let start = Instant::now();
    let soon = waiting(50 * MIB..51 * MIB, start);
    // 10 MiB in 25 ms: the other 40 take 100 ms more.
    assert!(matches!(
        soon.demand(start + PATIENCE, 10 * MIB, nobody),
        Demand::LookAgain(_)
    ));
    // 1 MiB in 25 ms: they take more than a second.
    assert!(matches!(soon.demand(start + PATIENCE, MIB, nobody), Demand::Fetch(_)));
    let near = waiting(MIB - 1..MIB, start);
    assert!(
        matches!(
            near.demand(start + Duration::from_secs(5), 0, nobody),
            Demand::LookAgain(_)
        ),
        "near is never worth a request"
    );
}

#[test]
fn what_the_main_stream_has_passed_by_is_fetched() {
    let start = Instant::now();
    let behind = waiting(5 * MIB..6 * MIB, start);
    assert_eq!(
        behind.demand(start + PATIENCE, 60 * MIB, nobody),
        Demand::Fetch(5 * MIB..6 * MIB)
    );
}

#[test]
fn the_longest_wait_comes_first_and_claimed_spans_are_left_alone() {
    let start = Instant::now();
    let mut two = waiting(90 * MIB..91 * MIB, start);
    two.wait(7, wait(50 * MIB..51 * MIB, start + PATIENCE, 0));
    let now = start + 2 * PATIENCE;
    assert_eq!(two.demand(now, 0, nobody), Demand::Fetch(90 * MIB..91 * MIB));
    let claimed = |at: u64| at >= 90 * MIB;
    assert_eq!(two.demand(now, 0, claimed), Demand::Fetch(50 * MIB..51 * MIB));
    two.leave(7);
    assert_eq!(two.demand(now, 0, claimed), Demand::Nothing);
}

#[test]
fn the_window_doubles_for_a_reader_that_reads_on() {
    let start = Instant::now();
    let mut waiting = Waiting::default();
    let span = 100 * MIB..1000 * MIB;
    for (streak, window) in [(0, 4), (1, 8), (2, 16), (3, 32), (4, 64), (40, 64)] {
        waiting.leave(0);
        waiting.wait(0, wait(span.clone(), start, streak));
        assert_eq!(
            waiting.demand(start + PATIENCE, 0, nobody),
            Demand::Fetch(100 * MIB..(100 + window) * MIB)
        );
    }
}
