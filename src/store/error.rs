//! The store layer's errors: each says what was being done, and to what.
//!
//! Owns the one `Error` of the layer. Promises that `Display` is one line about this level (the cause is in `source`),
//! and that a refusal to start says what to do next. Never holds bytes of content, and no status code.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

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
    /// A directory cannot be used as the store, or as its index.
    #[error("cannot use the directory {} ({key}): wharf must be able to write there; give it the right to, or set {key} to another one", path.display())]
    Unusable {
        /// "store.path" or "store.index".
        key: &'static str,
        /// The directory.
        path: PathBuf,
        /// What failed.
        source: Box<Error>,
    },
    /// A wharf serves the store that is to be checked.
    #[error(
        "the store {} is served by {holder}, which proves its content by itself (store.scrub): to check all of it now, stop that first",
        path.display()
    )]
    Served {
        /// The store's directory.
        path: PathBuf,
        /// Who holds it, as its lock file tells: pid and host.
        holder: String,
    },
    /// There is no store.
    #[error("there is no store in {}: is it the store.path that wharf serves with?", path.display())]
    NoStore {
        /// `store.path`.
        path: PathBuf,
    },
    /// No socket can have this path.
    #[error("the path {} is longer than a socket's may be, {longest} bytes: give store.path a shorter name", path.display())]
    LongSocket {
        /// Where it was to be.
        path: PathBuf,
        /// What the system accepts, in bytes.
        longest: usize,
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
    #[error(
        "cannot open the index {}: wharf must be able to write to it and to its directory (store.index); if that is so, `wharf restore` goes back to its last copy",
        path.display()
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The index is there, but cannot be read.
    #[error("the index {} is damaged: `wharf restore` goes back to its last copy", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The index is not there, although it has been.
    #[error(
        "the index {} is gone: `wharf restore` goes back to its copy {}; to begin with an empty one, take that away",
        path.display(), copy.display()
    )]
    Missing {
        /// The database file.
        path: PathBuf,
        /// Its last copy.
        copy: PathBuf,
    },
    /// A copy of the index cannot be made or read.
    #[error("cannot make or read the copy {} of the index", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// There is nothing to restore.
    #[error("there is no copy of the index at {}: name one with --from", path.display())]
    NoCopy {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is a database of something else.
    #[error("{} is no copy of an index of wharf", path.display())]
    NotACopy {
        /// The file.
        path: PathBuf,
    },
    /// The copy is not sound.
    #[error("the copy {} is damaged: {found}", path.display())]
    DamagedCopy {
        /// The copy.
        path: PathBuf,
        /// The first thing that SQLite found.
        found: String,
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
    /// An older wharf has written this index, and it is not to be changed now.
    #[error(
        "the index {} has schema {found}, and only `wharf serve` without --read-only brings it to {known}: run that once",
        path.display()
    )]
    Older {
        /// The database file.
        path: PathBuf,
        /// The schema in the file.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// There is no index, and none is to be made now.
    #[error("there is no index {}: is store.path right, and store.index?", path.display())]
    NoIndex {
        /// The database file.
        path: PathBuf,
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
    /// What may be evicted does not make enough room within `store.max_size` and `store.min_free`. Nothing was written, and
    /// nothing was evicted for it.
    #[error("there is no room for {needed} bytes more within store.max_size and store.min_free")]
    NoRoom {
        /// Bytes that were to be written next.
        needed: u64,
        /// Whether it is the disk that is full; the budget would allow them.
        full: bool,
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
    /// The index has been closed: wharf is winding down, or its writer has died. Or it takes no changes any more, because
    /// the disk did not take one: reading goes on then.
    #[error("the index is closed, so it does not take {fact}")]
    Closed {
        /// What was to be read or written.
        fact: Box<Fact>,
    },
    /// The store is only read.
    #[error("the store is only read, so it does not take {fact}")]
    ReadOnly {
        /// What was to be written.
        fact: Box<Fact>,
    },
    /// Work on the blocking pool did not come to its end.
    #[error("a step of the store was lost")]
    Lost(#[source] Lost),
}

impl Error {
    /// Of a start that a directory is in the way of; a disk that is full speaks for itself.
    pub(in crate::store) fn of_start(self, key: &'static str, path: &Path) -> Self {
        if !matches!(self, Self::Disk { .. }) || self.is_full() {
            return self;
        }
        Self::Unusable {
            key,
            path: path.to_path_buf(),
            source: Box::new(self),
        }
    }

    /// Whether a disk is full, or the quota on it: the way to go on is to make room, and to try again.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Disk { source, .. } | Self::Thread { source } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Open { source, .. }
            | Self::Damaged { source, .. }
            | Self::Copy { source, .. }
            | Self::Migrate { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Transaction { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Batch { source, .. } => source.is_full(),
            Self::Unusable { source, .. } => source.is_full(),
            Self::Locked { .. }
            | Self::Served { .. }
            | Self::NoStore { .. }
            | Self::LongSocket { .. }
            | Self::NetworkFileSystem { .. }
            | Self::Missing { .. }
            | Self::NoCopy { .. }
            | Self::NotACopy { .. }
            | Self::DamagedCopy { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::NoIndex { .. }
            | Self::ReadOnly { .. }
            | Self::NoRoom { .. }
            | Self::Closed { .. }
            | Self::Lost(_) => false,
        }
    }

    /// Whether wharf has to be restarted before it does this.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::ReadOnly { .. })
    }

    /// Whether it is one file that failed: a copy of it may do better. A process that is short of descriptors or memory
    /// is not of that kind.
    pub fn is_of_a_file(&self) -> bool {
        let Self::Disk { source, .. } = self else { return false };
        !matches!(
            Errno::from_io_error(source),
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(kind: io::ErrorKind) -> Error {
        Error::Disk {
            verb: "write to",
            path: "uploads/1".into(),
            source: kind.into(),
        }
    }

    fn sqlite(code: i32) -> Error {
        Error::Transaction {
            verb: "commit",
            source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
        }
    }

    #[test]
    fn a_file_that_fails_is_told_from_a_process_that_is_short_of_something() {
        let failed = |errno: Errno| Error::Disk {
            verb: "open",
            path: "blobs/sha256/1".into(),
            source: errno.into(),
        };
        for errno in [Errno::IO, Errno::ACCESS, Errno::STALE, Errno::LOOP] {
            assert!(failed(errno).is_of_a_file(), "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(!failed(errno).is_of_a_file(), "{errno}");
        }
        assert!(!sqlite(rusqlite::ffi::SQLITE_IOERR).is_of_a_file());
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one_wherever_it_shows() {
        let batch = |source| Error::Batch {
            fact: Box::new(Fact::Progress),
            source: Arc::new(source),
        };
        for full in [
            disk(io::ErrorKind::StorageFull),
            disk(io::ErrorKind::QuotaExceeded),
            sqlite(rusqlite::ffi::SQLITE_FULL),
            batch(sqlite(rusqlite::ffi::SQLITE_FULL)),
            batch(disk(io::ErrorKind::StorageFull)),
        ] {
            assert!(full.is_full(), "{full:?}");
        }
        for broken in [
            disk(io::ErrorKind::PermissionDenied),
            sqlite(rusqlite::ffi::SQLITE_IOERR),
            batch(sqlite(rusqlite::ffi::SQLITE_CORRUPT)),
        ] {
            assert!(!broken.is_full(), "{broken:?}");
        }
    }
}
