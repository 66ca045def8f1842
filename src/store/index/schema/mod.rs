//! The shape of the index on disk: how it came about (`steps`), and how a connection to it is set up.
//!
//! Promises that opening looks at a few pages whatever the number of rows; that steps only lead forward, each in its own
//! transaction; that a file of a newer wharf or of another program is refused before it is touched.

mod steps;

use std::cmp::Ordering;
use std::ffi::c_int;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::store::Error;
use crate::store::content::disk;
use crate::store::index::copy;
use crate::store::index::readers::Open;

use steps::STEPS;

/// Marks the file as ours (`file(1)`, `PRAGMA application_id`): "whrf".
const APPLICATION_ID: i64 = 0x7768_7266;

const MIB: i64 = 1024 * 1024;

/// Pages in the log from which on it is copied into the database.
const LONG_LOG: c_int = 1000;

/// How long to wait for an operator who writes with `sqlite3` beside us.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the connection that writes, creating the file and bringing it to the newest schema.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(cannot_open(path))?;
    connection.busy_timeout(BUSY).map_err(cannot_open(path))?;
    if is_foreign(&connection).map_err(cannot_open(path))? {
        return Err(Error::Foreign {
            path: path.to_path_buf(),
        });
    }
    migrate(&connection, path, STEPS)?;
    set_up_writer(&connection).map_err(cannot_open(path))?;
    Ok(connection)
}

/// Opens a copy of an index, which nobody else uses, and brings it to the newest schema.
pub(super) fn open_copy(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(cannot_open(path))?;
    migrate(&connection, path, STEPS)?;
    Ok(connection)
}

/// The schema of the index at `path`, where steps are ahead of it.
pub(super) fn behind(path: &Path) -> Result<Option<i64>, Error> {
    let found = || {
        let connection = open_reader(path)?;
        let ours = is_ours(&connection)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(ours.then_some(found))
    };
    let found = found().map_err(cannot_open(path))?;
    Ok(found.filter(|found| usize::try_from(*found).is_ok_and(|found| found < STEPS.len())))
}

/// Opens a connection that only reads; the one that writes must be open.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    set_up_memory(&connection, 4)?;
    Ok(connection)
}

/// Opens a connection to an index that nobody changes meanwhile. Nothing is written beside it, not even where a log was
/// left that is not in the database yet: that is read into memory.
pub(super) fn open_sealed(path: &Path) -> rusqlite::Result<Connection> {
    let log = disk::length(&copy::beside(path, "-wal")).ok().flatten();
    let has_log = log.is_some_and(|length| length > 0);
    // Without locks a log can be read only by whoever has the database alone; that is asked for below.
    let parameters = if has_log { "vfs=unix-none" } else { "immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy::uri(path, parameters), flags)?;
    if has_log {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    }
    set_up_memory(&connection, 4)?;
    Ok(connection)
}

/// Whether the index at `path` can be read as it is; gives the store's identity.
pub(super) fn look(path: &Path, open: Open) -> Result<String, Error> {
    let read = || {
        let connection = open(path)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let store = connection.query_row("SELECT value FROM meta WHERE key = 'store'", [], |row| row.get(0));
        Ok((is_ours(&connection)?, found, store))
    };
    let (ours, found, store) = read().map_err(cannot_open(path))?;
    let (path, known) = (path.to_path_buf(), i64::try_from(STEPS.len()).unwrap_or(i64::MAX));
    if !ours {
        return Err(Error::Foreign { path });
    }
    match found.cmp(&known) {
        Ordering::Less => Err(Error::Older { path, found, known }),
        Ordering::Greater => Err(Error::Newer { path, found, known }),
        Ordering::Equal => store.map_err(cannot_open(&path)),
    }
}

/// How durable the next commits of the writing connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// On disk before the commit returns.
    Synced,
    /// Whole after a crash, but perhaps not there.
    Lazy,
}

/// Takes effect with the next transaction; must not be called within one.
pub(super) fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let level = match durability {
        Durability::Synced => "FULL",
        Durability::Lazy => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", level)
}

/// Whether the file is an index of wharf.
pub(super) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let mark: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(mark == APPLICATION_ID)
}

/// Whether somebody else made this file. A new one has neither a mark nor tables.
fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    let mark: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(mark != APPLICATION_ID && (mark != 0 || tables != 0))
}

fn migrate(connection: &Connection, path: &Path, steps: &[&str]) -> Result<(), Error> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let found: i64 = version.map_err(cannot_open(path))?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let Some(ahead) = usize::try_from(found).ok().and_then(|found| steps.get(found..)) else {
        return Err(Error::Newer {
            path: path.to_path_buf(),
            found,
            known,
        });
    };
    for (to, step) in (found + 1..).zip(ahead) {
        advance(connection, to, step).map_err(|source| Error::Migrate {
            path: path.to_path_buf(),
            to,
            source,
        })?;
    }
    Ok(())
}

fn advance(connection: &Connection, to: i64, step: &str) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()
}

/// Foreign keys are checked: a link costs one more look at a cached page, and a delete that forgets one fails loudly.
fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update_and_check(None, "journal_size_limit", MIB * 64, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    set_durability(connection, Durability::Synced)?;
    set_up_memory(connection, 8)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    // What is in the log need not be on disk, if a process before this one could not sync it: here it is written anew.
    empty_log(connection, CheckpointMode::TRUNCATE)
}

/// Copies the log into the database once it is long. SQLite can do that by itself, but would keep a disk that fails to
/// itself.
pub(super) fn shorten_log(connection: &Connection) -> rusqlite::Result<()> {
    match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP) {
        Ok((pages, _)) if pages >= LONG_LOG => empty_log(connection, CheckpointMode::PASSIVE),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Where somebody reads the log, or the disk is full, it stays for now.
fn empty_log(connection: &Connection, mode: CheckpointMode) -> rusqlite::Result<()> {
    match connection.wal_checkpoint_v2(None::<&str>, mode) {
        Err(error) if may_be_of_a_sync(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether a failure leaves open how much of the log is on disk: what the kernel has lost it tells only once.
pub(super) fn may_be_of_a_sync(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// The store's identity; made up at the first call.
pub(super) fn store_id(connection: &Connection) -> rusqlite::Result<String> {
    let made_up = uuid::Uuid::new_v4().to_string();
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('store', ?1) ON CONFLICT DO NOTHING",
        [made_up],
    )?;
    connection.query_row("SELECT value FROM meta WHERE key = 'store'", [], |row| row.get(0))
}

/// Nothing is mapped into memory: a bad sector is an error then, not a SIGBUS. The kernel caches the file anyway.
fn set_up_memory(connection: &Connection, mib: i64) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -1024 * mib) // negative: KiB
}

pub(super) fn cannot_open(path: &Path) -> impl FnOnce(rusqlite::Error) -> Error {
    let path = path.to_path_buf();
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Damaged { path, source },
        _ => Error::Open { path, source },
    }
}

#[cfg(test)]
mod tests;
