//! The flight table under shuttle's randomised scheduler.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::sync::Arc;
use shuttle::{check_random, future, thread};

use super::{Flights, Seat};

const SCHEDULES: usize = 2_000;

/// Many board one key at once; each flight is flown by one pilot, and everybody hears an ending of its own flight.
#[test]
fn one_pilot_at_a_time_and_everybody_hears_the_ending() {
    check_random(
        || {
            let flights: Flights<u8, Option<usize>> = Flights::new();
            let flying = Arc::new(AtomicUsize::new(0));
            let flown = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (flights, flying, flown) = (flights.clone(), Arc::clone(&flying), Arc::clone(&flown));
                    thread::spawn(move || {
                        let mut passenger = match flights.board(&1, || None) {
                            Seat::Passenger(passenger) => passenger,
                            Seat::Pilot(permit, passenger) => {
                                assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "two pilots fly one key");
                                thread::yield_now();
                                let flight = flown.fetch_add(1, Ordering::SeqCst);
                                assert_eq!(flying.fetch_sub(1, Ordering::SeqCst), 1);
                                permit.land(Some(flight));
                                passenger
                            }
                        };
                        future::block_on(passenger.until(Option::is_some)).unwrap().unwrap()
                    })
                })
                .collect();
            let heard: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert!(heard.iter().all(|flight| *flight < flown.load(Ordering::SeqCst)));
        },
        SCHEDULES,
    );
}

/// A pilot that vanishes strands nobody: its passengers hear so, and the way is clear.
#[test]
fn a_pilot_that_vanishes_strands_nobody() {
    check_random(
        || {
            let flights: Flights<u8, Option<usize>> = Flights::new();
            let Seat::Pilot(permit, mut passenger) = flights.board(&1, || None) else {
                panic!("the table is empty")
            };
            let leaver = thread::spawn(move || drop(permit));
            let boarder = {
                let flights = flights.clone();
                thread::spawn(move || match flights.board(&1, || None) {
                    Seat::Pilot(permit, _) => drop(permit),
                    Seat::Passenger(mut passenger) => {
                        assert!(future::block_on(passenger.until(Option::is_some)).is_err());
                    }
                })
            };
            assert!(future::block_on(passenger.until(Option::is_some)).is_err());
            leaver.join().unwrap();
            boarder.join().unwrap();
            assert!(
                matches!(flights.board(&1, || None), Seat::Pilot(..)),
                "the way is clear"
            );
        },
        SCHEDULES,
    );
}
