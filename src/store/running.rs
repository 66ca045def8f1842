//! Whether the last process that used the store came to its end in good order.
//!
//! Owns the file `<store>/running`: there while a process uses the store, and for as long as what an unclean stop may
//! have left has not been looked for. Promises that it is on disk before anything else is written. Never waits.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::Error;
use crate::store::content::disk::{self, OpenFile};

/// The mark of a process that uses the store.
#[derive(Debug)]
pub(in crate::store) struct Running {
    path: PathBuf,
    in_order: AtomicBool,
}

impl Running {
    /// Sets the mark. Blocks.
    pub(in crate::store) fn mark(store: &Path) -> Result<Self, Error> {
        let path = store.join("running");
        let in_order = !disk::exists(&path);
        if in_order {
            OpenFile::create(path.clone())?;
            disk::sync_dir(store)?;
        }
        Ok(Self {
            path,
            in_order: AtomicBool::new(in_order),
        })
    }

    /// Whether nothing can be left of a stop that was not clean.
    pub(in crate::store) fn is_in_order(&self) -> bool {
        self.in_order.load(Ordering::Acquire)
    }

    /// Says that what was left has been put right.
    pub(in crate::store) fn set_in_order(&self) {
        self.in_order.store(true, Ordering::Release);
    }

    /// Takes the mark away: nothing more will be written. Blocks.
    pub(in crate::store) fn end(&self) -> Result<(), Error> {
        if self.is_in_order() {
            disk::remove(&self.path)?;
        }
        Ok(())
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
        assert!(killed.is_in_order(), "a new store");
        drop(killed);

        let not_put_right = mark();
        assert!(!not_put_right.is_in_order());
        not_put_right.end().unwrap();

        let put_right = mark();
        assert!(!put_right.is_in_order(), "nobody has looked yet");
        put_right.set_in_order();
        put_right.end().unwrap();
        assert!(mark().is_in_order());
    }
}
