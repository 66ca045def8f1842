//! Facts that need not be durable: the progress of partials, of which only the latest counts.
//!
//! Owns what has been noted and is not yet written: one entry per partial, however often it reports. Promises that a
//! note is in the first batch that begins after it. A crash, or a batch that fails, loses notes: until the next one, what
//! it told is forgotten, and after a restart some bytes are fetched again, no more.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// How far a partial has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// The whole blob's length in bytes, once known.
    pub(super) length: Option<u64>,
    /// Which pieces are present.
    pub(super) pieces: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    progress: Mutex<HashMap<u64, Progress>>,
}

impl Notes {
    /// Replaces what was noted of `id`; tells whether the board was empty, so that the writer must be woken.
    pub(super) fn note(&self, id: u64, progress: Progress) -> bool {
        let mut noted = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = noted.is_empty();
        noted.insert(id, progress);
        was_empty
    }

    /// Takes everything down.
    pub(super) fn take(&self) -> HashMap<u64, Progress> {
        mem::take(&mut *self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_that_reports_often_is_one_note() {
        let notes = Notes::default();
        let progress = |n: u8| Progress {
            length: None,
            pieces: vec![n],
        };
        assert!(notes.note(7, progress(0)));
        for n in 1..=100 {
            assert!(!notes.note(7, progress(n)), "the writer is woken once");
        }
        assert_eq!(notes.take(), HashMap::from([(7, progress(100))]));
        assert!(notes.note(7, progress(0)), "and again after it took the notes");
    }
}
