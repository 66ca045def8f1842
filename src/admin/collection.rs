//! `wharf gc`: one collection, by a running wharf or without one.
//!
//! Promises that what a dry run tells is what the run frees, if nothing happens in between. Dropped, it ends between two
//! steps.

use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};

use super::Error;
use super::conversation::{Conversation, Words};
use super::language::{Answer, Grace};
use crate::clock::Clock;
use crate::store::{self, Gone, Store};

/// Answers that wait for a caller who is slow to take them.
const AHEAD: usize = 64;

/// What a collection is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Collection {
    dry_run: bool,
    grace: Duration,
}

impl Collection {
    /// As [`super::Command::Gc`] says, where `hosted.grace` is `configured`.
    pub fn new(dry_run: bool, grace: Option<Grace>, configured: Duration) -> Self {
        let grace = grace.map_or(configured, |Grace(grace)| grace);
        Self { dry_run, grace }
    }

    /// Collects, or says what that would free; an [`Answer::Content`] for each blob.
    pub async fn run(self, store: &Store, clock: &Clock, mut told: impl FnMut(Answer)) -> Result<(), store::Error> {
        let (to, mut gone) = mpsc::channel(AHEAD);
        let telling = async {
            while let Some(gone) = gone.recv().await {
                told(Answer::from(gone));
            }
        };
        tokio::join!(self.collect(store, clock, to), telling).0
    }

    /// As `run`, for somebody who is on the line.
    pub(super) async fn run_for<S: Words>(
        self,
        with: &mut Conversation<S>,
        store: &Store,
        clock: &Clock,
    ) -> Result<(), Error> {
        let (to, mut gone) = mpsc::channel(AHEAD);
        // Owns its end: a caller who is gone ends the collection too.
        let telling = async move {
            while let Some(gone) = gone.recv().await {
                with.say(&Answer::from(gone)).await?;
            }
            Ok(())
        };
        let (collected, told) = tokio::join!(self.collect(store, clock, to), telling);
        collected?;
        told
    }

    async fn collect(self, store: &Store, clock: &Clock, to: Sender<Gone>) -> Result<(), store::Error> {
        if self.dry_run {
            store.collectable(clock.now(), self.grace, to).await
        } else {
            store.collect_telling(clock.now(), self.grace, &to).await
        }
    }
}
