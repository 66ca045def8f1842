//! Whole copies of the index: made while it is in use, and put back in its place.
//!
//! Owns no rows but a copy's note of when it was made. Promises that a copy has its name only once it is whole and on
//! disk, that making one keeps no writer waiting, and that only a sound copy of an index that this wharf knows is put
//! back. Never looks at content. Dropping the future of a copy leaves it to its own end.

mod restore;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio_util::sync::CancellationToken;

use crate::store::Error;
use crate::store::content::disk::{self, OpenFile};
use crate::store::index::Index;

pub(in crate::store) use restore::{Restoration, look};

/// The index in its directory, and the copy in its own.
pub(in crate::store) const FILE: &str = "index.sqlite3";

/// After how many of SQLite's steps it is asked whether to go on: some rows.
const LOOK_EVERY: i32 = 1000;

/// A copy on its way back, beside the index.
const RESTORING: &str = ".restoring";

/// What a path may hold in a URI as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

impl Index {
    /// Copies the index as it is now to `to`, in place of an earlier copy. Given up when `stop` is cancelled: then it is
    /// an error, and the earlier copy stays.
    pub(in crate::store) async fn copy_to(
        &self,
        to: PathBuf,
        now: Timestamp,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let path = self.0.path.clone();
        let copy = move || {
            let mut connection = reader(&path)?;
            let stopped = move || stop.is_cancelled();
            let watched = connection.progress_handler(LOOK_EVERY, Some(stopped));
            watched.map_err(cannot_copy(&to))?;
            let new = beside(&to, ".new");
            let copied = write(&connection, &new)
                .and_then(|()| sign(&new, now))
                .and_then(|()| make_durable(&new));
            if copied.is_err() {
                // As large as the index, perhaps, and on a disk that is full.
                disk::remove(&new)?;
            }
            copied.and_then(|()| place(&new, &to))
        };
        self.0.tasks.blocking(copy).await.map_err(Error::Lost)?
    }
}

/// Whether the index is there at all. One that is gone, although there is a copy of it, is an error: beginning with an
/// empty one would make everything in the store rubbish.
pub(super) fn is_there(path: &Path, copies: &Path) -> Result<bool, Error> {
    let there = disk::stamp(path)?.is_some_and(|stamp| stamp.size > 0);
    let (copy, restoring) = (copies.join(FILE), beside(path, RESTORING));
    if !there && (disk::exists(&copy) || disk::exists(&restoring)) {
        return Err(Error::Missing {
            path: path.to_path_buf(),
            copy,
        });
    }
    Ok(there)
}

/// Copies the index at `path`, which nobody writes to now, before its schema goes on from `found`: kept beside the daily
/// copy for good.
pub(super) fn before_migration(path: &Path, copies: &Path, found: i64) -> Result<(), Error> {
    disk::create_dir(copies)?;
    let to = copies.join(format!("{FILE}.schema-{found}"));
    let new = beside(&to, ".new");
    write(&reader(path)?, &new)?;
    make_durable(&new)?;
    place(&new, &to)
}

/// When a copy was made; `None` when there is no usable one.
pub(in crate::store) fn made_at(copy: &Path) -> Option<Timestamp> {
    let file = OpenFile::open(copy.to_path_buf()).ok()??;
    let noted = reader(copy).and_then(|connection| noted(&connection).map_err(cannot_copy(copy)));
    // One that was made before a migration has no note.
    let modified = || Timestamp::from_nanosecond(file.stamp().ok()?.modified_ns.into()).ok();
    noted.ok()?.or_else(modified)
}

fn noted(copy: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    const READ: &str = "SELECT value FROM meta WHERE key = 'copied'";
    let noted: Option<String> = copy.query_row(READ, [], |row| row.get(0)).optional()?;
    Ok(noted.and_then(|noted| noted.parse().ok()))
}

/// Notes in a copy when it was made: a file's own time does not survive every way of keeping it.
fn sign(copy: &Path, now: Timestamp) -> Result<(), Error> {
    const SIGN: &str = "
        INSERT INTO meta (key, value) VALUES ('copied', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let signed = Connection::open_with_flags(
        uri(copy, "nolock=1"),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .and_then(|connection| connection.execute(SIGN, [now.to_string()]));
    signed.map(drop).map_err(cannot_copy(copy))
}

/// Writes what `from` sees at one moment to the file `to`, which is not durable yet.
fn write(from: &Connection, to: &Path) -> Result<(), Error> {
    disk::remove(to)?;
    // Nobody else knows the file, and locks do not work on every network file system.
    let written = from.execute("VACUUM INTO ?1", [uri(to, "nolock=1")]);
    written.map(drop).map_err(cannot_copy(to))
}

fn make_durable(new: &Path) -> Result<(), Error> {
    OpenFile::open(new.to_path_buf())?.map_or(Ok(()), |file| file.sync())
}

/// Gives a durable file its name.
fn place(new: &Path, to: &Path) -> Result<(), Error> {
    disk::rename(new, to)?;
    to.parent().map_or(Ok(()), disk::sync_dir)
}

fn reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri(path, "mode=ro"), flags).map_err(cannot_copy(path))
}

/// SQLite's name for a file, whatever bytes are in its path.
pub(super) fn uri(path: &Path, parameters: &str) -> String {
    let path = percent_encode(path.as_os_str().as_bytes(), PLAIN);
    format!("file:{path}?{parameters}")
}

/// A file whose name goes on with `suffix`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn cannot_copy(path: &Path) -> impl FnOnce(rusqlite::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Copy { path, source }
}

#[cfg(test)]
mod tests;
