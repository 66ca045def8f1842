//! Whether the last process that used the store came to its end in good order.
//!
//! Owns the file `<store>/running`: there while a process uses the store, and for as long as what an unclean stop may
//! have left has not been looked for. Promises that it is on disk before anything else is written, and that a doubt is
//! settled only by a look that began after it. Never waits.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Error;
use crate::store::content::disk::{self, OpenFile};
use crate::store::content::layout::Layout;

/// The mark of a process that uses the store.
#[derive(Debug)]
pub(in crate::store) struct Running {
    /// None where the store is only read.
    path: Option<PathBuf>,
    in_order: bool,
    doubts: AtomicU64,
    /// How many of the doubts have been looked into.
    settled: AtomicU64,
}

impl Running {
    /// Sets the mark. Blocks.
    pub(in crate::store) fn mark(store: &Path) -> Result<Self, Error> {
        let path = store.join("running");
        let in_order = !disk::exists(&path);
        Layout::at(store).make_way(&path)?;
        if !disk::exists(&path) {
            OpenFile::create(path.clone())?;
            disk::sync_dir(store)?;
        }
        Ok(Self {
            path: Some(path),
            in_order,
            doubts: AtomicU64::new(u64::from(!in_order)),
            settled: AtomicU64::new(0),
        })
    }

    /// No mark: nothing will be written.
    pub(in crate::store) fn unmarked() -> Self {
        Self {
            path: None,
            in_order: true,
            doubts: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        }
    }

    /// Whether the last process came to its end in good order.
    pub(in crate::store) fn was_in_order(&self) -> bool {
        self.in_order
    }

    /// Says that something may be left which the next start has to look for.
    pub(in crate::store) fn set_in_doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// What a look that begins now can settle; `None` when nothing can be left.
    pub(in crate::store) fn doubts(&self) -> Option<u64> {
        let doubts = self.doubts.load(Ordering::Acquire);
        (doubts != self.settled.load(Ordering::Acquire)).then_some(doubts)
    }

    /// Says that what was left has been put right, as far as `doubts` goes.
    pub(in crate::store) fn settle(&self, doubts: u64) {
        self.settled.fetch_max(doubts, Ordering::AcqRel);
    }

    /// Takes the mark away: nothing more will be written. Blocks.
    pub(in crate::store) fn end(&self) -> Result<(), Error> {
        match &self.path {
            Some(path) if self.doubts().is_none() => disk::remove(path),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_end_in_good_order_takes_the_mark_away() {
        let store = tempfile::tempdir().unwrap();
        let mark = || Running::mark(store.path()).unwrap();
        let killed = mark();
        assert_eq!(killed.doubts(), None, "a new store");
        drop(killed);

        let not_put_right = mark();
        assert!(not_put_right.doubts().is_some());
        not_put_right.end().unwrap();

        let put_right = mark();
        put_right.settle(put_right.doubts().expect("nobody has looked yet"));
        put_right.end().unwrap();
        assert_eq!(mark().doubts(), None);
    }

    #[test]
    fn a_doubt_is_not_settled_by_a_look_that_began_before_it() {
        let store = tempfile::tempdir().unwrap();
        drop(Running::mark(store.path()).unwrap());
        let running = Running::mark(store.path()).unwrap();
        let look = running.doubts().unwrap();
        running.set_in_doubt();
        running.settle(look);
        running.end().unwrap();
        assert!(Running::mark(store.path()).unwrap().doubts().is_some());
    }
}
