//! Facts that need not be durable: the progress of partials, of which only the latest counts, and what was pulled when.
//!
//! Owns what has been noted and is not yet written: one entry per partial and per thing pulled, however often. Promises that
//! a note is in the first batch that begins after it. A crash, or a batch that fails, loses notes: until the next one, what
//! it told is forgotten, and after a restart some bytes are fetched again, or go a little early, no more.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::index::uses::Pulled;

/// How far a partial has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// The whole blob's length in bytes, once known.
    pub(super) length: Option<u64>,
    /// Which pieces are present.
    pub(super) pieces: Vec<u8>,
}

/// What has been noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// By the partial's id.
    pub(super) progress: HashMap<u64, Progress>,
    /// With the number of the pull.
    pub(super) pulls: HashMap<Pulled, u64>,
}

impl Noted {
    pub(super) fn is_empty(&self) -> bool {
        self.progress.is_empty() && self.pulls.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Board>);

#[derive(Debug, Default)]
struct Board {
    noted: Noted,
    last_use: u64,
}

impl Notes {
    /// An empty board; the next pull is the one after `last_use`.
    pub(super) fn behind(last_use: u64) -> Self {
        let noted = Noted::default();
        Self(Mutex::new(Board { noted, last_use }))
    }

    /// Replaces what was noted of `id`; tells whether the board was empty, so that the writer must be woken.
    pub(super) fn note(&self, id: u64, progress: Progress) -> bool {
        let mut board = self.board();
        let was_empty = board.noted.is_empty();
        board.noted.progress.insert(id, progress);
        was_empty
    }

    /// Notes a pull; tells whether the board was empty.
    pub(super) fn note_pull(&self, pulled: Pulled) -> bool {
        let mut board = self.board();
        let was_empty = board.noted.is_empty();
        board.last_use += 1;
        let number = board.last_use;
        board.noted.pulls.insert(pulled, number);
        was_empty
    }

    /// The number of a pull that is written otherwise.
    pub(super) fn next_use(&self) -> u64 {
        let mut board = self.board();
        board.last_use += 1;
        board.last_use
    }

    pub(super) fn last_use(&self) -> u64 {
        self.board().last_use
    }

    /// Takes everything down.
    pub(super) fn take(&self) -> Noted {
        mem::take(&mut self.board().noted)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(notes.take().progress, HashMap::from([(7, progress(100))]));
        assert!(notes.note(7, progress(0)), "and again after it took the notes");
    }

    #[test]
    fn what_is_pulled_often_is_one_note_with_the_last_number() {
        let notes = Notes::behind(10);
        assert!(notes.note_pull(Pulled::Partial(1)));
        assert!(!notes.note_pull(Pulled::Partial(2)));
        assert_eq!(notes.next_use(), 13);
        assert!(!notes.note_pull(Pulled::Partial(1)));
        let pulls = HashMap::from([(Pulled::Partial(1), 14), (Pulled::Partial(2), 12)]);
        assert_eq!(notes.take().pulls, pulls);
        assert_eq!(notes.last_use(), 14, "what is taken down was given");
    }
}
