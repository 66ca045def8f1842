//! One transaction with the operations of many callers in it.
//!
//! Owns the order of a batch: what was pulled, file steps and row changes one operation after the other, then the touched
//! directories, then COMMIT, then the generations, and only then the answers. Promises that an operation that fails is undone alone
//! and harms no other; when the batch itself fails, everybody in it hears why. A file step that was done stays done
//! then, so a file may be without a row or a row without its file: recovery and the next open find out. After a sync
//! that may have failed nothing is written any more: a later one could succeed over a log with a hole in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::store::Error;
use crate::store::content::disk;
use crate::store::index::facts::Fact;
use crate::store::index::generation::Generations;
use crate::store::index::notes::Noted;
use crate::store::index::pins::Held;
use crate::store::index::room::Counted;
use crate::store::index::schema::{self, Durability};
use crate::store::index::tx::{Effects, Tx};
use crate::store::index::{staged, uses};

/// The loss of notes is told of once in so long.
const QUIET: Duration = Duration::from_mins(1);

/// What a caller wants done, how sure it must be of it, and where it waits for the answer.
pub(super) struct Op {
    pub(super) durability: Durability,
    pub(super) change: Change,
    pub(super) answer: Answer,
}

/// Makes the change; an `Err` undoes it.
pub(super) type Change = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), Error> + Send>;

/// Where a caller waits, and its place in the queue.
pub(super) struct Answer {
    pub(super) fact: Box<Fact>,
    pub(super) to: oneshot::Sender<Result<(), Error>>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Answer {
    /// A caller that no longer listens is no error: what it asked for is done.
    fn give(self, outcome: Result<(), Error>) {
        let _ = self.to.send(outcome);
    }

    fn refuse(self) {
        let fact = self.fact.clone();
        self.give(Err(Error::Closed { fact }));
    }
}

/// The connection that writes, and who is told of its commits.
#[derive(Debug)]
pub(super) struct Batches {
    connection: Connection,
    durability: Durability,
    generations: Arc<Generations>,
    counted: Arc<Counted>,
    held: Arc<Held>,
    /// What was committed last is perhaps not on disk, and no later sync would tell.
    is_unsure: bool,
    /// When it was said last that notes cannot be written: a full disk must not fill the log too.
    lost_notes_at: Option<Instant>,
}

impl Batches {
    /// Takes over a connection that syncs at each commit.
    pub(super) fn new(
        connection: Connection,
        generations: Arc<Generations>,
        counted: Arc<Counted>,
        held: Arc<Held>,
    ) -> Self {
        Self {
            connection,
            durability: Durability::Synced,
            generations,
            counted,
            held,
            is_unsure: false,
            lost_notes_at: None,
        }
    }

    /// Writes all that is given in one transaction, and answers. It is synced if anybody in it needs that: notes do not.
    pub(super) fn write(&mut self, ops: Vec<Op>, noted: Noted) {
        if self.is_unsure {
            for op in ops {
                op.answer.refuse();
            }
            return;
        }
        let durability = if ops.iter().any(|op| op.durability == Durability::Synced) {
            Durability::Synced
        } else {
            Durability::Lazy
        };
        let mut effects = Effects::default();
        let mut answers = Vec::with_capacity(ops.len());
        let Noted { progress, pulls } = noted;
        // Before what evicts: a blob that was pulled a moment ago must not go for it.
        let begun = self.begin(durability);
        let mut outcome = begun.and_then(|()| self.note(&mut effects, move |tx| uses::write(tx, &pulls)));
        for Op { change, answer, .. } in ops {
            // The changes after a lost transaction are not even begun.
            if outcome.is_ok() {
                match self.apply(change, &mut effects) {
                    Ok(Ok(())) => {}
                    Ok(Err(refused)) => {
                        answer.give(Err(refused));
                        continue;
                    }
                    Err(lost) => outcome = Err(lost),
                }
            }
            answers.push(answer);
        }
        let outcome = outcome
            .and_then(|()| self.note(&mut effects, move |tx| staged::write_progress(tx, &progress)))
            .and_then(|()| self.commit(&mut effects));
        self.conclude(outcome, effects, answers);
        if !self.is_unsure {
            // Nobody who has an answer waits for this.
            let shortened = schema::shorten_log(&self.connection);
            self.look_at(&shortened);
        }
    }

    fn begin(&mut self, durability: Durability) -> Result<(), Error> {
        if self.durability != durability {
            schema::set_durability(&self.connection, durability).map_err(failed_to("begin"))?;
            self.durability = durability;
        }
        self.execute("BEGIN IMMEDIATE").map_err(failed_to("begin"))
    }

    /// Makes one change. The outer error is the transaction's: SQLite gives up all of it when a disk is full or broken.
    fn apply(&self, change: Change, effects: &mut Effects) -> Result<Result<(), Error>, Error> {
        self.execute("SAVEPOINT op").map_err(failed_to("continue"))?;
        let changed = change(&mut Tx::new(&self.connection, effects));
        match changed {
            Err(lost) if self.connection.is_autocommit() => return Err(lost),
            Err(_) => self.execute("ROLLBACK TO op").map_err(failed_to("continue"))?,
            Ok(()) => {}
        }
        self.execute("RELEASE op").map_err(failed_to("continue"))?;
        Ok(changed)
    }

    /// A note that cannot be written is no reason to refuse what stands beside it.
    fn note(
        &mut self,
        effects: &mut Effects,
        write: impl FnOnce(&Tx<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let change: Change = Box::new(move |tx| {
            write(tx).map_err(|source| Error::Write {
                fact: Box::new(Fact::Progress),
                source,
            })
        });
        if let Err(error) = self.apply(change, effects)?
            && self.lost_notes_at.is_none_or(|at| at.elapsed() >= QUIET)
        {
            self.lost_notes_at = Some(Instant::now());
            tracing::warn!(error = %error, cause = ?std::error::Error::source(&error), "progress not noted");
        }
        Ok(())
    }

    /// The names on disk first: a row must not outlive the power cut that its file's name did not survive.
    fn commit(&mut self, effects: &mut Effects) -> Result<(), Error> {
        for directory in &effects.directories {
            disk::sync_dir(directory)?;
        }
        let committed = self.execute("COMMIT");
        self.look_at(&committed);
        committed.map_err(failed_to("commit"))?;
        let landed = std::mem::take(&mut effects.landed);
        let landed = || landed.into_iter().for_each(|landed| landed());
        if let Err(error) = self.counted.refresh(&self.connection, landed) {
            tracing::warn!(%error, "cannot read what is counted");
        }
        Ok(())
    }

    /// Writes nothing more after a failure that leaves the log in doubt.
    fn look_at(&mut self, synced: &rusqlite::Result<()>) {
        if let Err(error) = synced
            && schema::may_be_of_a_sync(error)
        {
            self.is_unsure = true;
            tracing::error!(%error, "the disk fails under the index, which takes no changes now: mend it, then restart wharf");
        }
    }

    fn conclude(&self, outcome: Result<(), Error>, effects: Effects, answers: Vec<Answer>) {
        let failure = outcome.err().map(Arc::new);
        if failure.is_some()
            && !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a batch of facts cannot be rolled back");
        }
        // Also after a failure: nobody can tell what a COMMIT that failed has left, and a raise costs only a read.
        effects.touched.iter().for_each(|shard| self.generations.raise(*shard));
        if failure.is_none() {
            self.held.follow(effects.moved);
        }
        for answer in answers {
            let outcome = match &failure {
                None => Ok(()),
                Some(source) => Err(Error::Batch {
                    fact: answer.fact.clone(),
                    source: Arc::clone(source),
                }),
            };
            answer.give(outcome);
        }
    }

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }
}

fn failed_to(verb: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error::Transaction { verb, source }
}

#[cfg(test)]
mod tests;
