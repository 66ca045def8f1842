//! What is wrong with the store, as an operator would say it: errors by their cause, whatever they were about.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rusqlite::ErrorCode;
use rustix::io::Errno;

use crate::store::Error;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The disk is full, or the quota on it.
    Full,
    /// What may be evicted does not make enough room in the budget.
    NoRoom,
    /// The file system takes no changes, or wharf makes none there.
    ReadOnly,
    /// The disk fails.
    Broken,
    /// The index takes no changes before a restart.
    Closed,
    /// Anything else.
    Other,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full",
            Self::NoRoom => "the store's budget has no room for it",
            Self::ReadOnly => "the file system is read-only",
            Self::Broken => "the disk fails",
            Self::Closed => "the index takes no changes before a restart",
            Self::Other => "the store failed",
        })
    }
}

impl Error {
    /// What is wrong, by its innermost cause.
    pub fn trouble(&self) -> Trouble {
        if self.is_full() {
            return Trouble::Full;
        }
        if let Self::NoRoom { full, .. } = self {
            return if *full { Trouble::Full } else { Trouble::NoRoom };
        }
        if matches!(self, Self::ReadOnly { .. }) {
            return Trouble::ReadOnly;
        }
        if self.is_closed() {
            return Trouble::Closed;
        }
        let mut cause: &dyn StdError = self;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let of_the_system = cause.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
        let of_sqlite = cause.downcast_ref::<rusqlite::ffi::Error>().map(|error| error.code);
        match (of_the_system, of_sqlite) {
            (Some(Errno::ROFS), _) | (_, Some(ErrorCode::ReadOnly)) => Trouble::ReadOnly,
            (Some(Errno::IO), _) | (_, Some(ErrorCode::SystemIoFailure)) => Trouble::Broken,
            _ => Trouble::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Fact;

    #[test]
    fn a_failure_is_known_by_its_cause_however_deep() {
        let disk = |errno: Errno| Error::Disk {
            verb: "write to",
            path: "staging/1".into(),
            source: errno.into(),
        };
        let sqlite = |code| Error::Transaction {
            verb: "commit",
            source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
        };
        let batch = |source| Error::Batch {
            fact: Box::new(Fact::Progress),
            source: Arc::new(source),
        };
        let closed = Error::Closed {
            fact: Box::new(Fact::Progress),
        };
        for (error, trouble) in [
            (disk(Errno::NOSPC), Trouble::Full),
            (disk(Errno::DQUOT), Trouble::Full),
            (batch(sqlite(rusqlite::ffi::SQLITE_FULL)), Trouble::Full),
            (disk(Errno::ROFS), Trouble::ReadOnly),
            (batch(sqlite(rusqlite::ffi::SQLITE_READONLY)), Trouble::ReadOnly),
            (disk(Errno::IO), Trouble::Broken),
            (batch(disk(Errno::IO)), Trouble::Broken),
            (sqlite(rusqlite::ffi::SQLITE_IOERR_WRITE), Trouble::Broken),
            (closed, Trouble::Closed),
            (disk(Errno::MFILE), Trouble::Other),
        ] {
            assert_eq!(error.trouble(), trouble, "{error:?}");
        }
    }
}
