//! A copy of the index takes the index's place.
//!
//! Promises that nothing changes before the copy is found sound, and that the index which was there is set aside whole.
//! Broken off at any moment, it leaves the index as it was, or none, which is refused until it is run again. What the copy
//! does not know of the files beside it, it is told: since it was made, files have come and gone.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::oci::Digest;
use crate::store::Error;
use crate::store::content::disk::{self, Stamp};
use crate::store::content::file_system;
use crate::store::index::copy::{FILE, RESTORING, beside, cannot_copy, made_at, make_durable, place, reader, write};
use crate::store::index::{schema, sql};

/// A checked copy on its way, in a file of its own beside the index.
#[derive(Debug)]
pub(in crate::store) struct Restoration {
    connection: Connection,
    new: PathBuf,
    index: PathBuf,
    made_at: Option<Timestamp>,
}

/// What a restored index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Told {
    pub(in crate::store) repositories: u64,
    pub(in crate::store) manifests: u64,
    pub(in crate::store) tags: u64,
    /// Pushed blobs whose files are gone.
    pub(in crate::store) gone: u64,
    /// Files that it did not know.
    pub(in crate::store) taken_in: u64,
}

impl Restoration {
    /// Checks the copy `from` and lays it ready in the directory `dir` of the index, which is not touched.
    pub(in crate::store) fn prepare(from: &Path, dir: &Path) -> Result<Self, Error> {
        if !disk::exists(from) {
            return Err(Error::NoCopy {
                path: from.to_path_buf(),
            });
        }
        disk::create_dir(dir)?;
        if let Some(kind) = file_system::is_network(dir)? {
            return Err(Error::NetworkFileSystem {
                path: dir.to_path_buf(),
                kind,
            });
        }
        let index = dir.join(FILE);
        let new = beside(&index, RESTORING);
        let copy = reader(from)?;
        check(&copy, from)?;
        write(&copy, &new)?;
        // A copy of an older wharf: what it lacks is made before anything is told to it.
        let connection = schema::open_copy(&new)?;
        Ok(Self {
            connection,
            new,
            index,
            made_at: made_at(from),
        })
    }

    /// When the copy was made.
    pub(in crate::store) fn made_at(&self) -> Option<Timestamp> {
        self.made_at
    }

    /// Brings the copy in line with the files that are there: `blobs` with their stamps, and the partials up to
    /// `last_partial`. A blob whose file is gone, or another one, is forgotten. A file that it does not know becomes a
    /// blob that no repository has yet, to be proven when it is first asked for. What no manifest names, or no repository
    /// has, begins its grace now.
    pub(in crate::store) fn tell(
        &self,
        blobs: impl Iterator<Item = Result<(Digest, Stamp), Error>>,
        last_partial: u64,
        now: Timestamp,
    ) -> Result<Told, Error> {
        self.find(blobs)?;
        self.reconcile(last_partial, now).map_err(cannot_copy(&self.new))
    }

    fn find(&self, blobs: impl Iterator<Item = Result<(Digest, Stamp), Error>>) -> Result<(), Error> {
        const TABLE: &str = "
            CREATE TEMP TABLE found (
                digest TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL, allocated INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID;
            BEGIN";
        const ADD: &str = "INSERT INTO found (digest, size, allocated) VALUES (?1, ?2, ?3)";
        let wrong = || cannot_copy(&self.new);
        self.connection.execute_batch(TABLE).map_err(wrong())?;
        for blob in blobs {
            let (digest, stamp) = blob?;
            let mut add = self.connection.prepare_cached(ADD).map_err(wrong())?;
            add.execute((sql::text(&digest), sql::size(stamp.size), sql::size(stamp.allocated)))
                .map_err(wrong())?;
        }
        self.connection.execute_batch("COMMIT").map_err(wrong())
    }

    fn reconcile(&self, last_partial: u64, now: Timestamp) -> rusqlite::Result<Told> {
        const FORGET: &str = "
            DELETE FROM blob
            WHERE NOT EXISTS (SELECT 1 FROM found WHERE found.digest = blob.digest AND found.size = blob.size)";
        // No file is of 1970: another time than the file's own costs a proof. As nobody knows what it is, it goes last.
        const TAKE_IN: &str = "
            INSERT INTO blob (digest, size, modified, allocated, used)
            SELECT digest, size, 0, allocated, (SELECT coalesce(max(used), 0) + 1 FROM blob) FROM found WHERE TRUE
            ON CONFLICT DO NOTHING";
        const GONE: &str = "
            SELECT count(*) FROM blob
            WHERE NOT EXISTS (SELECT 1 FROM found WHERE found.digest = blob.digest AND found.size = blob.size)
                  AND EXISTS (SELECT 1 FROM link JOIN repository ON repository.id = link.repository
                              WHERE link.digest = blob.digest AND repository.mirror IS NULL)";
        const LOOSE: &str = "UPDATE loose SET since = ?1";
        const KNOWN: &str = "DELETE FROM unlinked";
        const UNLINKED: &str = "
            INSERT INTO unlinked (since, digest)
            SELECT ?1, digest FROM blob WHERE NOT EXISTS (SELECT 1 FROM visible WHERE visible.digest = blob.digest)";
        const NEVER_AGAIN: &str = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'staged'";
        const FIRST: &str = "INSERT INTO sqlite_sequence (name, seq) SELECT 'staged', ?1
                             WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'staged')";
        let it = self.connection.unchecked_transaction()?;
        let gone = it.query_row(GONE, [], |row| sql::unsigned(row, 0))?;
        it.execute(FORGET, [])?;
        let taken_in = it.execute(TAKE_IN, [])? as u64;
        it.execute(LOOSE, [now.as_microsecond()])?;
        it.execute(KNOWN, [])?;
        it.execute(UNLINKED, [now.as_microsecond()])?;
        it.execute(NEVER_AGAIN, [sql::size(last_partial)])?;
        it.execute(FIRST, [sql::size(last_partial)])?;
        let count = |what: &str| it.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| sql::unsigned(row, 0));
        let told = Told {
            repositories: count("repository")?,
            manifests: count("manifest")?,
            tags: count("tag")?,
            gone,
            taken_in,
        };
        it.commit()?;
        Ok(told)
    }

    /// Sets the present index aside under a name with the time, and puts the copy in its place. Gives the name.
    pub(in crate::store) fn finish(self, now: Timestamp) -> Result<Option<PathBuf>, Error> {
        let Self {
            connection, new, index, ..
        } = self;
        connection.close().map_err(|(_, source)| cannot_copy(&new)(source))?;
        make_durable(&new)?;
        let aside = beside(&index, &now.strftime(".aside-%Y%m%dT%H%M%S%.6fZ").to_string());
        // The index first: without its log it would be opened as if nothing were missing, and without an index nothing is.
        let was = disk::rename_if_present(&index, &aside)?;
        for log in ["-wal", "-shm"] {
            disk::rename_if_present(&beside(&index, log), &beside(&aside, log))?;
        }
        // A log that comes back beside another database would be taken for its own.
        aside.parent().map_or(Ok(()), disk::sync_dir)?;
        place(&new, &index)?;
        Ok(was.then_some(aside))
    }
}

/// Whether one could go back to the copy.
pub(in crate::store) fn look(copy: &Path) -> Result<(), Error> {
    check(&reader(copy)?, copy)
}

fn check(copy: &Connection, path: &Path) -> Result<(), Error> {
    if !schema::is_ours(copy).map_err(cannot_copy(path))? {
        return Err(Error::NotACopy {
            path: path.to_path_buf(),
        });
    }
    let found: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(cannot_copy(path))?;
    if found != "ok" {
        return Err(Error::DamagedCopy {
            path: path.to_path_buf(),
            found,
        });
    }
    Ok(())
}
