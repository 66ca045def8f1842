//! The digests that are pinned, in memory.
//!
//! Promises that what a commit changes under the pins is known before the commit is answered, whoever still listens: what
//! is pinned by it waits in `todo` until it has been followed. What is pinned no longer stays until all is looked at anew.
//! Never reads; its lock is held across nothing.

use std::collections::HashSet;
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::oci::{Digest, Pin, RepoKey, Tag};

/// Looking at all anew takes no larger part of the time than one in this many.
const REST: u32 = 20;

/// Where a pin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `store.pins`.
    Configuration,
    /// `wharf pin add`.
    Command,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Command => "command",
        })
    }
}

/// What a commit has changed under the pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::index) enum Moved {
    /// The tag points to something else by now, or is gone.
    Tag(RepoKey, Tag, Option<Digest>),
    /// The repository has this content, or this manifest.
    Kept(RepoKey, Digest),
    /// There is a pin by command.
    Pinned(Pin),
    /// There is none any more.
    Unpinned(Pin),
}

/// The pins, and what they come to.
#[derive(Debug)]
pub(in crate::store) struct Held {
    state: Mutex<State>,
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    configured: Vec<Pin>,
    commanded: Vec<Pin>,
    digests: HashSet<Digest>,
    /// What is put together anew; it takes the place of `digests` when it is complete.
    anew: HashSet<Digest>,
    /// What is pinned, and may name more that is.
    todo: Vec<Digest>,
    /// The pins are others than those that `digests` was put together for.
    is_stale: bool,
    /// A tag that is pinned points to something else by now.
    has_moved: bool,
    /// Somebody works, or has left in the middle of it.
    is_at_work: bool,
    rests_until: Option<Instant>,
    /// What of `digests` is counted by the budget, and when that was found.
    counted: Option<(Instant, u64)>,
}

/// What is to be done before it is known what is pinned.
#[derive(Debug)]
pub(in crate::store) enum Work {
    /// Follow the pins, all anew.
    All(Vec<Pin>),
    /// Follow these.
    More(Vec<Digest>),
}

impl Held {
    /// With these pins by command, which have not been followed yet.
    pub(in crate::store::index) fn new(commanded: Vec<Pin>) -> Self {
        let state = State {
            is_stale: !commanded.is_empty(),
            commanded,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            turns: Semaphore::new(1),
        }
    }

    /// Other pins of the configuration from now on.
    pub(in crate::store) fn configure(&self, pins: &[Pin]) {
        let mut state = self.state();
        if state.configured != pins {
            pins.clone_into(&mut state.configured);
            state.is_stale = true;
        }
    }

    /// The pins, those of the configuration first.
    pub(in crate::store) fn pins(&self) -> Vec<(Pin, Source)> {
        let state = self.state();
        let configured = state.configured.iter().map(|pin| (pin.clone(), Source::Configuration));
        let commanded = state.commanded.iter().map(|pin| (pin.clone(), Source::Command));
        configured.chain(commanded).collect()
    }

    /// The right to work. An error would say that the semaphore was closed, which nobody does.
    pub(in crate::store) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// What is to be done next, by whoever has the turn; `None` when it is known what is pinned.
    pub(in crate::store) fn work(&self) -> Option<Work> {
        let mut state = self.state();
        let has_rested = state.rests_until.is_none_or(|until| Instant::now() >= until);
        if state.is_stale || state.is_at_work || (state.has_moved && has_rested) {
            // From here on changes count; those before are part of the whole.
            (state.is_stale, state.has_moved, state.is_at_work) = (false, false, true);
            state.todo.clear();
            state.anew.clear();
            return Some(Work::All(state.pins().cloned().collect()));
        }
        let todo = mem::take(&mut state.todo);
        state.is_at_work = !todo.is_empty();
        state.is_at_work.then_some(Work::More(todo))
    }

    /// Notes digests, before it is read what they name: so no change in between is missed. Gives those that are new.
    pub(in crate::store) fn add(&self, digests: Vec<Digest>, to_all: bool) -> Vec<Digest> {
        let mut state = self.state();
        let held = if to_all { &mut state.anew } else { &mut state.digests };
        digests.into_iter().filter(|digest| held.insert(*digest)).collect()
    }

    /// All is put together anew, and that took so long.
    pub(in crate::store) fn end_all(&self, took: Duration) {
        let mut state = self.state();
        state.digests = mem::take(&mut state.anew);
        state.counted = None;
        state.rests_until = Instant::now().checked_add(took * REST);
        state.is_at_work = false;
    }

    /// The rest is followed.
    pub(in crate::store) fn end_more(&self) {
        self.state().is_at_work = false;
    }

    /// Whether the digest is pinned, as far as is known.
    pub(in crate::store) fn holds(&self, digest: &Digest) -> bool {
        self.state().digests.contains(digest)
    }

    /// All that is pinned, as far as is known.
    pub(in crate::store) fn all(&self) -> Vec<Digest> {
        self.state().digests.iter().copied().collect()
    }

    /// What of it is counted, if that was found within this time.
    pub(in crate::store) fn counted(&self, within: Duration) -> Option<u64> {
        let counted = self.state().counted;
        counted
            .filter(|(when, _)| when.elapsed() < within)
            .map(|(_, bytes)| bytes)
    }

    pub(in crate::store) fn set_counted(&self, bytes: u64) {
        self.state().counted = Some((Instant::now(), bytes));
    }

    /// Hears what a commit has changed.
    pub(in crate::store::index) fn follow(&self, moved: Vec<Moved>) {
        let mut state = self.state();
        for moved in moved {
            state.follow(moved);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.configured.iter().chain(&self.commanded)
    }

    fn follow(&mut self, moved: Moved) {
        match moved {
            Moved::Tag(repo, tag, to) => {
                if self.pins().any(|pin| pin.holds(&repo, &tag)) {
                    self.has_moved = true;
                    self.todo.extend(to);
                }
            }
            Moved::Kept(repo, digest) => {
                let is_held = self.digests.contains(&digest) || self.anew.contains(&digest);
                if is_held || self.pins().any(|pin| pin.holds_all_of(&repo)) {
                    self.todo.push(digest);
                }
            }
            Moved::Pinned(pin) => {
                self.commanded.push(pin);
                self.is_stale = true;
            }
            Moved::Unpinned(pin) => {
                self.commanded.retain(|other| *other != pin);
                self.is_stale = true;
            }
        }
    }
}
