//! The open transaction, as one operation in it sees it.
//!
//! Owns what an operation may do: statements, file steps, and to say whose answers have changed. Promises that what it
//! has read is what the transaction has come to. Opens, commits and undoes nothing: that is the batch's.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::oci::RepoKey;
use crate::store::Error;
use crate::store::index::facts::{Fact, FileStep};
use crate::store::index::generation::Shard;
use crate::store::index::pins::Moved;
use crate::store::index::sql;

/// Why a change is not made.
#[derive(Debug)]
pub(super) enum Refusal {
    Sql(rusqlite::Error),
    Step(Error),
}

impl Refusal {
    pub(super) fn of(self, fact: Box<Fact>) -> Error {
        match self {
            Self::Sql(source) => Error::Write { fact, source },
            Self::Step(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// The open transaction, as one operation sees it.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    effects: &'a mut Effects,
}

/// What is to be done once for a whole batch.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) touched: Vec<Shard>,
    /// To be called with the commit.
    pub(super) landed: Vec<Box<dyn FnOnce() + Send>>,
    pub(super) moved: Vec<Moved>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(connection: &'a Connection, effects: &'a mut Effects) -> Self {
        Self { connection, effects }
    }

    /// Runs a statement; tells how many rows it changed.
    pub(super) fn execute(&self, statement: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(statement)?.execute(params)
    }

    /// Runs a statement that yields one row.
    pub(super) fn one<R>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<R> {
        self.connection.prepare_cached(statement)?.query_row(params, read)
    }

    /// Runs a statement that yields any number of rows.
    pub(super) fn all<R>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<Vec<R>> {
        self.connection
            .prepare_cached(statement)?
            .query_map(params, read)?
            .collect()
    }

    /// Asks what a reader would, and hears what the transaction has come to.
    pub(super) fn read<R>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> rusqlite::Result<R> {
        query(self.connection)
    }

    /// The row of a repository, made when it is missing.
    pub(super) fn repository(&self, key: &RepoKey, mirror: Option<&str>) -> rusqlite::Result<i64> {
        // A name that was a mirror's, in an earlier configuration, is hosted once it is pushed to: never to be evicted.
        const ADD: &str = "
            INSERT INTO repository (key, mirror) VALUES (?1, ?2)
            ON CONFLICT (key) DO UPDATE SET mirror = NULL WHERE mirror IS NOT NULL AND excluded.mirror IS NULL";
        let key = sql::text(key);
        self.execute(ADD, (&key, mirror))?;
        self.one("SELECT id FROM repository WHERE key = ?1", [&key], |row| row.get(0))
    }

    /// The row of a repository; `None` when it is missing, and a comparison with that is never true.
    pub(super) fn known_repository(&self, key: &RepoKey) -> rusqlite::Result<Option<i64>> {
        const KNOWN: &str = "SELECT id FROM repository WHERE key = ?1";
        self.one(KNOWN, [sql::text(key)], |row| row.get(0)).optional()
    }

    /// Does a file step. Its directories count as touched even when it fails: it may have failed half-way.
    pub(super) fn run(&mut self, step: FileStep) -> Result<(), Refusal> {
        self.effects.directories.extend(step.directories);
        (step.run)().map_err(Refusal::Step)
    }

    /// Says that answers which `shard` covers have changed.
    pub(super) fn touch(&mut self, shard: Shard) {
        self.effects.touched.push(shard);
    }

    /// Says what has changed under the pins. To be said last: nothing takes it back.
    pub(super) fn tell_pins(&mut self, moved: Moved) {
        self.effects.moved.push(moved);
    }

    /// Has `then` called at the moment at which what is counted changes to what this transaction makes it; never, if it
    /// fails. It must not panic, and must not wait. To be said last: nothing takes it back.
    pub(super) fn when_counted(&mut self, then: impl FnOnce() + Send + 'static) {
        self.effects.landed.push(Box::new(then));
    }

    /// Whether this transaction, which is not committed yet, has changed what `shard` covers.
    pub(super) fn has_touched(&self, shard: Shard) -> bool {
        self.effects.touched.contains(&shard)
    }
}
