//! Who flies and who rides: at most one flight for a key, and all its passengers hear the same ending.
//!
//! Owns the table of flights under way. Promises that one `Permit` exists for a key at a time, that dropping it clears
//! the way whatever happened, and that a passenger never waits for a flight that is over. Never does I/O, and holds
//! its lock for a look-up only. Dropping a passenger changes nothing for anybody.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;

// The table runs under a randomised scheduler in its tests.
#[cfg(test)]
use shuttle::sync::{Arc, Mutex};
#[cfg(not(test))]
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::tasks::Tasks;

type Table<K, P> = Arc<Mutex<HashMap<K, watch::Receiver<P>>>>;

/// Flights under way, by key; `P` is what a flight reports.
pub(super) struct Flights<K, P> {
    table: Table<K, P>,
}

/// Where one who boards sits.
pub(super) enum Seat<K: Eq + Hash, P> {
    /// Nobody flies for this key: the holder of the permit does, and rides along like everyone else.
    Pilot(Permit<K, P>, Passenger<P>),
    /// Somebody does.
    Passenger(Passenger<P>),
}

impl<K: Eq + Hash + Clone, P: Clone> Flights<K, P> {
    pub(super) fn new() -> Self {
        Self { table: Arc::default() }
    }

    /// Takes a seat; `start` is what a new flight reports at first.
    pub(super) fn board(&self, key: &K, start: impl FnOnce() -> P) -> Seat<K, P> {
        match lock(&self.table).entry(key.clone()) {
            Entry::Occupied(flight) => Seat::Passenger(Passenger(flight.get().clone())),
            Entry::Vacant(vacant) => {
                let (progress, passenger) = watch::channel(start());
                vacant.insert(passenger.clone());
                let permit = Permit {
                    key: Some(key.clone()),
                    table: Arc::clone(&self.table),
                    progress,
                };
                Seat::Pilot(permit, Passenger(passenger))
            }
        }
    }
}

impl<K: Eq + Hash, P: Clone> Flights<K, P> {
    /// The latest report of the flight under way for `key`, without boarding it.
    pub(super) fn look(&self, key: &K) -> Option<P> {
        lock(&self.table).get(key).map(|flight| flight.borrow().clone())
    }
}

impl<K, T, E> Flights<K, Option<Result<T, E>>>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + From<Lost> + 'static,
{
    /// Runs `work` once for all who ask for `key` at the same time, in a task of its own: callers may leave. When the
    /// process winds down they all have, and what still flies is given up.
    pub(super) async fn share<F>(&self, key: &K, tasks: &Tasks, work: impl FnOnce() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut passenger = match self.board(key, || None) {
            Seat::Passenger(passenger) => passenger,
            Seat::Pilot(permit, passenger) => {
                let (work, closing) = (work(), tasks.closing());
                tasks.spawn(async move {
                    if let Some(landed) = closing.run_until_cancelled(work).await {
                        permit.land(Some(landed));
                    }
                });
                passenger
            }
        };
        match passenger.until(Option::is_some).await? {
            Some(landed) => landed,
            None => Err(Lost.into()),
        }
    }
}

impl<K: Eq + Hash + Clone + Send + 'static> Flights<K, ()> {
    /// Runs `work` in a task that nobody waits for, unless the same is under way: thousands may ask for it.
    pub(super) fn aside<F>(&self, key: &K, tasks: &Tasks, work: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Seat::Pilot(permit, _) = self.board(key, || ()) {
            let work = work();
            tasks.spawn(async move {
                work.await;
                drop(permit);
            });
        }
    }
}

impl<K, P> Clone for Flights<K, P> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
        }
    }
}

impl<K, P> fmt::Debug for Flights<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// The right to fly for a key. The way is clear again when it is dropped.
#[must_use = "dropping the permit ends the flight"]
pub(super) struct Permit<K: Eq + Hash, P> {
    /// Gone with the landing.
    key: Option<K>,
    table: Table<K, P>,
    progress: watch::Sender<P>,
}

impl<K: Eq + Hash, P> Permit<K, P> {
    /// Tells every passenger.
    pub(super) fn report(&self, progress: P) {
        self.progress.send_replace(progress);
    }

    /// Whether anybody rides along: the table does too, until the flight ends.
    pub(super) fn has_passengers(&self) -> bool {
        self.progress.receiver_count() > usize::from(self.key.is_some())
    }

    /// As [`Permit::has_passengers`] while it flies, for who has no hold of the permit.
    pub(super) fn boarded(&self) -> impl Fn() -> bool + Send + use<K, P>
    where
        P: Send + Sync,
    {
        let progress = self.progress.clone();
        move || progress.receiver_count() > 1
    }

    /// What was reported last.
    pub(super) fn latest(&self) -> P
    where
        P: Clone,
    {
        self.progress.borrow().clone()
    }

    /// Ends the flight: clears the way, then tells every passenger. Who comes now starts anew.
    pub(super) fn land(mut self, progress: P) {
        self.clear();
        self.report(progress);
    }

    /// Clears the way: who comes now starts anew. The passengers still hear what is reported.
    pub(super) fn clear(&mut self) {
        // The entry is ours: nobody can have boarded as pilot while it was there.
        if let Some(key) = self.key.take() {
            lock(&self.table).remove(&key);
        }
    }
}

impl<K: Eq + Hash, P> Drop for Permit<K, P> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One who waits for a flight.
#[derive(Debug)]
pub(super) struct Passenger<P>(watch::Receiver<P>);

impl<P: Clone> Passenger<P> {
    /// The latest report.
    pub(super) fn latest(&self) -> P {
        self.0.borrow().clone()
    }

    /// The first report from now on that `enough` accepts.
    pub(super) async fn until(&mut self, mut enough: impl FnMut(&P) -> bool) -> Result<P, Lost> {
        self.0
            .wait_for(|progress| enough(progress))
            .await
            .map(|progress| progress.clone())
            .map_err(|_| Lost)
    }
}

/// The flight ended without a word: its task panicked or was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fetch was stopped")]
pub struct Lost;

fn lock<K, P>(table: &Table<K, P>) -> impl std::ops::DerefMut<Target = HashMap<K, watch::Receiver<P>>> {
    table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
