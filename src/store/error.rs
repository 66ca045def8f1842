//! The store layer's errors: each says what was being done, and to what.
//!
//! Owns the one `Error` of the layer. Promises that `Display` is one line about this level (the cause is in `source`),
//! and that a refusal to start says what to do next. Never holds bytes of content, and no status code.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::store::index::Fact;
use crate::tasks::Lost;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the file system failed.
    #[error("cannot {verb} {}", path.display())]
    Disk {
        /// What was tried: "open", "rename", "sync the directory".
        verb: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("the store {} is in use by {holder}: stop it, or set store.path to another directory", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
        /// Who holds it, as its lock file tells: pid and host.
        holder: String,
    },
    /// The index is on a file system on which SQLite's shared memory does not work.
    #[error("the index {} is on a network file system ({kind}): set store.index to a local directory", path.display())]
    NetworkFileSystem {
        /// The index's directory.
        path: PathBuf,
        /// What the file system is called.
        kind: &'static str,
    },
    /// The index cannot be opened.
    #[error("cannot open the index {}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is a database of something else.
    #[error("{} is a database, but not an index of wharf: set store.index to another directory", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// A newer wharf has written this index.
    #[error(
        "the index {} has schema {found}, but this wharf knows schemas up to {known}: run the newer wharf again, or start with an empty store.path",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema in the file.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// A step to a newer schema failed; the index is as it was.
    #[error("cannot bring the index {} to schema {to}", path.display())]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// The schema that was to be reached.
        to: i64,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The thread that writes the index cannot be started.
    #[error("cannot start the index writer")]
    Thread {
        /// The system's answer.
        source: io::Error,
    },
    /// A fact cannot be read.
    #[error("cannot read {fact} from the index")]
    Read {
        /// What was read.
        fact: Box<Fact>,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A fact cannot be written; nothing of it was.
    #[error("cannot write {fact} to the index")]
    Write {
        /// What was written.
        fact: Box<Fact>,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A transaction cannot be begun or committed.
    #[error("cannot {verb} a batch of facts")]
    Transaction {
        /// "begin" or "commit".
        verb: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The batch that this fact was part of did not become durable. A file step of it may have been done: recovery
    /// finds a file without a row.
    #[error("the index did not take {fact}")]
    Batch {
        /// What was to be written.
        fact: Box<Fact>,
        /// Why the batch failed, shared by all that were in it.
        source: Arc<Error>,
    },
    /// The index has been closed: wharf is winding down, or its writer has died.
    #[error("the index is closed, so it does not take {fact}")]
    Closed {
        /// What was to be read or written.
        fact: Box<Fact>,
    },
    /// Work on the blocking pool did not come to its end.
    #[error("a step of the store was lost")]
    Lost(#[source] Lost),
}
