//! The connections that read.
//!
//! Owns a few read-only connections, opened when first needed. Promises that a read sees every write that was
//! acknowledged before it began, and that reads never wait for the writer. Never holds its lock while it reads.
//! Dropping a future lets the read end on the blocking pool; its connection comes back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::store::Error;
use crate::store::index::facts::Fact;
use crate::tasks::Tasks;

/// A read takes microseconds, and each connection keeps its own pages in memory.
const CONNECTIONS: usize = 4;

/// How a connection that reads is opened.
pub(super) type Open = fn(&Path) -> rusqlite::Result<Connection>;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    open: Open,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
    tasks: Tasks,
}

impl Readers {
    pub(super) fn new(path: PathBuf, open: Open, tasks: Tasks) -> Self {
        let turns = Arc::new(Semaphore::new(CONNECTIONS));
        Self {
            path,
            open,
            idle: Arc::default(),
            turns,
            tasks,
        }
    }

    /// Runs `query` on the blocking pool.
    pub(super) async fn read<R: Send + 'static>(
        &self,
        fact: Fact,
        query: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, Error> {
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
            return Err(Error::Closed { fact: Box::new(fact) });
        };
        let (idle, path, open) = (Arc::clone(&self.idle), self.path.clone(), self.open);
        let read = move || {
            let connection = match pop(&idle) {
                Some(connection) => connection,
                None => open(&path)?,
            };
            let answer = query(&connection)?;
            // Only a connection that has just worked is used again.
            push(&idle, connection);
            drop(turn);
            Ok(answer)
        };
        let answer = self.tasks.blocking(read).await.map_err(Error::Lost)?;
        answer.map_err(|source| Error::Read {
            fact: Box::new(fact),
            source,
        })
    }

    /// Ends reading; reads under way end as they would.
    pub(super) fn close(&self) {
        self.turns.close();
        while pop(&self.idle).is_some() {}
    }
}

fn pop(idle: &Mutex<Vec<Connection>>) -> Option<Connection> {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn push(idle: &Mutex<Vec<Connection>>, connection: Connection) {
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
}
