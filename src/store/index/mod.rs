//! Facts: which blobs are stored, who may see them, where tags point, and the manifests themselves.
//!
//! Owns the SQLite database. Promises that a write that was answered is durable, that a read that begins after the answer
//! sees it, and that opening takes no longer with a million rows. Never touches content: a file step is the caller's,
//! and is only run here, beside its row. Dropping a read's future costs nothing; a write that is queued is made whoever
//! listens. Dropping the last `Index` writes what is queued and waits for the writer thread.

mod batch;
mod blobs;
mod check;
mod collect;
pub(in crate::store) mod copy;
mod facts;
pub(in crate::store) mod forget;
mod generation;
mod idle;
mod links;
mod listings;
mod lists;
mod loose;
mod manifests;
mod notes;
pub(in crate::store) mod pins;
mod pushed;
mod readers;
pub(in crate::store) mod room;
mod schema;
mod sql;
mod staged;
mod tags;
mod tx;
mod uploads;
mod uses;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moka::future::Cache;
use rusqlite::Connection;

use self::batch::Batches;
pub(in crate::store) use self::blobs::Dropped;
pub(in crate::store) use self::check::Round;
pub(in crate::store) use self::facts::{Arrival, FileStep, Landing, StagedRow};
pub use self::facts::{
    BlobRow, Fact, Kept, Link, Part, PutManifest, Referrer, Sight, StoredManifest, TagRow, UploadRow,
};
use self::generation::{Generations, Remembered};
use self::idle::Waking;
pub use self::listings::{List, Listing};
use self::pins::Held;
pub use self::pushed::facts::{Conditions, Deleted, Entities, PushManifest, Pushed};
use self::readers::Readers;
use self::room::Counted;
pub(in crate::store) use self::uses::Pulled;
use self::writer::Writer;
use crate::oci::{Digest, MediaType, RepoKey, Tag};
use crate::store::Error;
use crate::store::content::disk;
use crate::store::content::file_system;
use crate::tasks::Tasks;

/// Answers that are remembered; some 300 bytes each.
const SIGHTS: u64 = 32_768;
const BLOBS: u64 = 16_384;
const TAGS: u64 = 16_384;
const PUSHED: u64 = 16_384;

/// The index of a store; clones share it.
#[derive(Clone)]
pub(in crate::store) struct Index(Arc<Shared>);

struct Shared {
    /// Given when the index was made; the same for as long as it exists.
    store_id: String,
    path: PathBuf,
    /// With whether it was idle.
    sights: Remembered<(RepoKey, Digest), (Sight, bool)>,
    blobs: Remembered<Digest, Option<BlobRow>>,
    /// With whether it was idle.
    tags: Remembered<(RepoKey, Tag), Option<(TagRow, bool)>>,
    pushed: Remembered<(RepoKey, Digest), Option<MediaType>>,
    listings: Remembered<(RepoKey, List), Option<Listing>>,
    manifests: Cache<Digest, StoredManifest>,
    waking: Waking,
    counted: Arc<Counted>,
    held: Arc<Held>,
    // In this order: the connection that is closed last empties the log, and only the writer's can.
    readers: Readers,
    writer: Arc<Writer>,
    tasks: Tasks,
}

impl Index {
    /// Opens the index in the directory `dir`, making both when they are missing, but not where the directory `copies`
    /// has a copy of it. Blocks.
    pub(in crate::store) fn open(dir: &Path, copies: &Path, tasks: Tasks) -> Result<Self, Error> {
        disk::create_dir(dir)?;
        if let Some(kind) = file_system::is_network(dir)? {
            return Err(Error::NetworkFileSystem {
                path: dir.to_path_buf(),
                kind,
            });
        }
        let path = dir.join(copy::FILE);
        if copy::is_there(&path, copies)?
            && let Some(found) = schema::behind(&path)?
        {
            copy::before_migration(&path, copies, found)?;
        }
        let connection = schema::open_writer(&path)?;
        let store_id = schema::store_id(&connection).map_err(schema::cannot_open(&path))?;
        let commanded = pins::commanded(&connection).map_err(schema::cannot_open(&path))?;
        let held = Arc::new(Held::new(commanded));
        let generations = Arc::new(Generations::new());
        let (counted, last_use) = books(&connection).map_err(schema::cannot_open(&path))?;
        let batches = Batches::new(
            connection,
            Arc::clone(&generations),
            Arc::clone(&counted),
            Arc::clone(&held),
        );
        let writer = Writer::start(batches, last_use)?;
        let readers = Readers::new(path.clone(), schema::open_reader, tasks.clone());
        Ok(Self::over(
            store_id,
            path,
            (readers, writer, counted, held),
            generations,
            tasks,
        ))
    }

    /// Opens the index in `dir` to read it only: whatever would change it is refused. `sealed` says that nobody else
    /// changes it meanwhile; then nothing is written beside it either. Blocks.
    pub(in crate::store) fn open_read_only(
        dir: &Path,
        copies: &Path,
        sealed: bool,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let path = dir.join(copy::FILE);
        if !copy::is_there(&path, copies)? {
            return Err(Error::NoIndex { path });
        }
        let open = if sealed {
            schema::open_sealed
        } else {
            schema::open_reader
        };
        let store_id = schema::look(&path, open)?;
        let readers = Readers::new(path.clone(), open, tasks.clone());
        let held = Arc::new(Held::new(Vec::new()));
        let parts = (readers, Writer::none(), Arc::default(), held);
        Ok(Self::over(store_id, path, parts, Arc::new(Generations::new()), tasks))
    }

    fn over(
        store_id: String,
        path: PathBuf,
        (readers, writer, counted, held): (Readers, Writer, Arc<Counted>, Arc<Held>),
        generations: Arc<Generations>,
        tasks: Tasks,
    ) -> Self {
        Self(Arc::new(Shared {
            store_id,
            sights: Remembered::new(SIGHTS, Arc::clone(&generations)),
            blobs: Remembered::new(BLOBS, Arc::clone(&generations)),
            tags: Remembered::new(TAGS, Arc::clone(&generations)),
            pushed: Remembered::new(PUSHED, Arc::clone(&generations)),
            listings: listings::remembered(generations),
            manifests: manifests::memory(),
            waking: Waking::default(),
            counted,
            held,
            readers,
            path,
            writer: Arc::new(writer),
            tasks,
        }))
    }

    /// Whether every change is refused.
    pub(in crate::store) fn is_read_only(&self) -> bool {
        self.0.writer.is_read_only()
    }

    /// Returns when all that was noted or queued before is written. `close` does so too.
    pub(in crate::store) async fn flush(&self) -> Result<(), Error> {
        self.0.writer.write(Fact::Progress, |_| Ok(())).await
    }

    /// Writes what is queued and closes the database; whatever comes later is refused.
    pub(in crate::store) async fn close(&self) -> Result<(), Error> {
        self.0.readers.close();
        let writer = Arc::clone(&self.0.writer);
        self.0.tasks.blocking(move || writer.close()).await.map_err(Error::Lost)
    }
}

/// What is counted, and the number of the last pull, as an earlier process has left them.
fn books(connection: &Connection) -> rusqlite::Result<(Arc<Counted>, u64)> {
    let counted = Counted::default();
    counted.refresh(connection, || ())?;
    Ok((Arc::new(counted), uses::last(connection)?))
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("store_id", &self.0.store_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
