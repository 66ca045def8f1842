//! What is counted and what is promised, in a few numbers.
//!
//! Owns what no row counts: reservations, idle partials, uploads, and files that are being removed. Promises that nothing is
//! given that would not fit, that a partial which lands is counted once at every moment, and that a blob which goes is
//! counted until its file is gone. Never does I/O, and never waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::UploadId;
use crate::store::index::room::Counted;

const MIB: u64 = 1024 * 1024;

/// What is reserved at a time for a fill whose length is not known, where the budget is not a small one.
const STEP: u64 = 64 * MIB;
/// What an upload of a few bytes reserves ahead of them.
const LEAST_AHEAD: u64 = MIB / 4;
/// What is kept free ahead of need, at most.
const SLACK: u64 = 256 * MIB;

/// What is on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum Incoming {
    /// A partial, by its id.
    Partial(u64),
    /// An upload.
    Upload(UploadId),
}

/// What the store may take, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// All that is counted together.
    pub(super) max_size: u64,
    /// What is to stay free on the file system.
    pub(super) min_free: u64,
}

impl Limits {
    /// What is reserved at a time where the length is not known.
    fn step(self) -> u64 {
        (self.max_size / 16).clamp(1, STEP)
    }

    /// What is kept free ahead of need.
    fn slack(self) -> u64 {
        (self.max_size / 64).min(SLACK)
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    counted: Arc<Counted>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    incoming: HashMap<Incoming, Entry>,
    /// The three sums over `incoming`.
    sums: Sums,
    /// Bytes of forgotten blobs whose files are still there.
    leaving: u64,
}

/// Bytes of what comes in.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// On the disk or promised.
    held: u64,
    /// On the disk.
    written: u64,
    /// Who writes it now.
    writers: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    held: u64,
    /// Of partials that nobody writes: they can be evicted.
    idle: u64,
    /// Promised, and not yet on the disk.
    unwritten: u64,
}

impl Entry {
    fn weight(&self, of: Incoming) -> Sums {
        let writing = self.writers > 0;
        Sums {
            held: self.held,
            idle: match of {
                Incoming::Partial(_) if !writing => self.held,
                Incoming::Partial(_) | Incoming::Upload(_) => 0,
            },
            unwritten: if writing {
                self.held.saturating_sub(self.written)
            } else {
                0
            },
        }
    }
}

impl State {
    /// Changes what `of` has, and the sums with it.
    fn change<R>(&mut self, of: Incoming, change: impl FnOnce(&mut Entry) -> R) -> R {
        let entry = self.incoming.entry(of).or_default();
        let before = entry.weight(of);
        let result = change(entry);
        let after = entry.weight(of);
        self.sums.held = self.sums.held - before.held + after.held;
        self.sums.idle = self.sums.idle - before.idle + after.idle;
        self.sums.unwritten = self.sums.unwritten - before.unwritten + after.unwritten;
        result
    }

    /// How many bytes must go for `ask` more to fit, besides `counted`, where the file system has `available`.
    fn lack(&self, counted: u64, ask: u64, available: u64) -> u64 {
        let held = self.sums.held.saturating_add(self.leaving);
        let used = counted.saturating_add(held).saturating_add(ask);
        let written = self.sums.unwritten.saturating_add(ask);
        let short = written.saturating_add(self.limits.min_free).saturating_sub(available);
        used.saturating_sub(self.limits.max_size).max(short)
    }
}

impl Ledger {
    pub(super) fn new(counted: Arc<Counted>) -> Self {
        let state = Mutex::default();
        Self { counted, state }
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        self.state().limits = limits;
    }

    /// Says that somebody writes it from now on.
    pub(super) fn open(&self, of: Incoming) {
        self.state().change(of, |entry| entry.writers += 1);
    }

    /// Says that nobody writes it any more: what was promised beyond its bytes is free again.
    pub(super) fn leave(&self, of: Incoming) {
        let mut state = self.state();
        // One that has ended is not to come back.
        if state.incoming.contains_key(&of) {
            state.change(of, |entry| {
                entry.writers = entry.writers.saturating_sub(1);
                if entry.writers == 0 {
                    entry.held = entry.written;
                }
            });
        }
    }

    /// Says that it is not there any more: landed and counted as a blob, or removed.
    pub(super) fn end(&self, of: Incoming) {
        let mut state = self.state();
        state.change(of, |entry| *entry = Entry::default());
        state.incoming.remove(&of);
    }

    /// Says that a file of an earlier process takes so many bytes.
    pub(super) fn found(&self, of: Incoming, bytes: u64) {
        self.state().change(of, |entry| {
            entry.held = bytes;
            entry.written = bytes;
        });
    }

    /// Says that its file takes so many bytes by now.
    pub(super) fn wrote(&self, of: Incoming, bytes: u64) {
        self.state().change(of, |entry| {
            entry.written = entry.written.max(bytes);
            entry.held = entry.held.max(entry.written);
        });
    }

    /// What is reserved for it.
    pub(super) fn held(&self, of: Incoming) -> u64 {
        self.state().incoming.get(&of).map_or(0, |entry| entry.held)
    }

    /// Reserves `total` bytes for it in place of what it has, where the file system has `available`. An error says how many
    /// bytes must go first.
    pub(super) fn reserve(&self, of: Incoming, total: u64, available: u64) -> Result<(), u64> {
        let (counted, mut state) = self.both();
        let held = state.incoming.get(&of).map_or(0, |entry| entry.held);
        if total > held {
            match state.lack(*counted, total - held, available) {
                0 => state.change(of, |entry| entry.held = total),
                lack => return Err(lack),
            }
        }
        Ok(())
    }

    /// How many bytes must go for it to have `total`, where the file system has `available`.
    pub(super) fn lack(&self, of: Incoming, total: u64, available: u64) -> u64 {
        let (counted, state) = self.both();
        let held = state.incoming.get(&of).map_or(0, |entry| entry.held);
        state.lack(*counted, total.saturating_sub(held), available)
    }

    /// Sees to it that an upload has room for `total` bytes, and for some more ahead, whether there is any or not.
    pub(super) fn reserve_ahead(&self, of: Incoming, total: u64) {
        let mut state = self.state();
        if state.incoming.get(&of).is_none_or(|entry| entry.held < total) {
            let step = state.limits.step();
            let ahead = total.clamp(LEAST_AHEAD.min(step), step);
            state.change(of, |entry| entry.held = total + ahead);
        }
    }

    /// How many bytes must go for there to be some free ahead of need.
    pub(super) fn excess(&self, available: u64) -> u64 {
        let (counted, state) = self.both();
        state.lack(*counted, state.limits.slack(), available)
    }

    /// What is reserved at a time where the length is not known, in bytes.
    pub(super) fn step(&self) -> u64 {
        self.state().limits.step()
    }

    /// What could be evicted, whether in use or not, and what is going already.
    pub(super) fn evictable(&self) -> u64 {
        let (counted, state) = self.both();
        *counted + state.sums.idle + state.leaving
    }

    /// The bytes of a partial, if nobody writes it.
    pub(super) fn idle(&self, id: u64) -> Option<u64> {
        let state = self.state();
        let entry = state.incoming.get(&Incoming::Partial(id)).copied().unwrap_or_default();
        (entry.writers == 0).then_some(entry.held)
    }

    /// Goes on counting a blob that is forgotten until its file is gone.
    pub(super) fn leaving(self: &Arc<Self>, bytes: u64) -> Leaving {
        self.state().leaving += bytes;
        Leaving {
            ledger: Arc::clone(self),
            bytes,
        }
    }

    /// At one moment; in this order, because a commit that counts a blob ends its reservation.
    fn both(&self) -> (MutexGuard<'_, u64>, MutexGuard<'_, State>) {
        (self.counted.bytes(), self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A blob that is forgotten, and whose file is there until this is dropped.
#[derive(Debug)]
pub(super) struct Leaving {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.ledger.state().leaving -= self.bytes;
    }
}

#[cfg(test)]
mod tests;
