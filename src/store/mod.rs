//! What is kept: bytes in files (`content`), facts in rows (`index`).
//!
//! Owns the store directory while the process lives. Promises that only proven content is visible, that what was
//! acknowledged is durable, and that a damaged file is a miss, never a wrong answer. Never asks an upstream, and gives
//! out no path and no SQL. Dropping a future here leaves the step that was begun to finish on its own.

mod backup;
mod blobs;
mod budget;
mod collect;
mod config;
mod content;
mod control;
mod error;
mod forget;
mod fsck;
mod hosted;
mod index;
mod lists;
mod lock;
mod pins;
mod read_only;
mod recover;
mod restore;
mod rounds;
mod running;
mod trouble;
mod upload_id;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::oci::{Digest, RepoKey, Tag};
use crate::tasks::Tasks;

use budget::Budget;
use content::disk::{self, Stamp};
use content::layout::Layout;
use index::{Index, Pulled};
use lock::Lock;
use recover::Recovery;
use running::Running;

pub use budget::size::{InvalidSize, Size};
pub use collect::{Freed, Gone};
pub use config::{Config, InvalidConfig, Scrub};
pub use content::arriving::{Arriving, Ending};
pub use content::blob::{Attempt, Blob, Extent};
pub use content::reader::{Reader, Stopped};
pub use content::staging::{Staged, Unproven, Verified};
pub use content::upload::{Received, Unreceived, Upload};
pub use control::{Control, reach};
pub use error::Error;
pub use fsck::{Damage, Event, Finding, Fsck, Outcome, Report, Watch, fsck};
pub use index::pins::Source;
pub use index::{BlobRow, Fact, Kept, Link, Part, PutManifest, Referrer, Sight, StoredManifest, TagRow, UploadRow};
pub use index::{Conditions, Deleted, Entities, PushManifest, Pushed};
pub use index::{List, Listing};
pub use restore::{Restored, restore};
pub use trouble::Trouble;
pub use upload_id::{InvalidUploadId, UploadId};
pub use uploads::Uncommitted;

pub(crate) use content::arriving::{Claim, Gap, piece_end};
pub(crate) use content::readers::Demand;

/// Small blobs kept in memory, in KiB.
const SMALL_BLOBS_KIB: u64 = 32 * 1024;
/// Files proven again at a time: hashing must not take every core from the transfers.
const PROOFS: usize = 1;

/// Files proven again that are remembered where no row can be changed; some 100 bytes each.
const TOUCHED: u64 = 16_384;

/// The store of one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    index: Index,
    layout: Layout,
    tasks: Tasks,
    /// Proven bytes of small blobs; a digest means the same bytes for ever.
    small: Cache<Digest, Bytes>,
    proofs: Arc<Semaphore>,
    /// What was proven again where no row can be changed.
    touched: Cache<Digest, Stamp>,
    running: Arc<Running>,
    budget: Arc<Budget>,
    /// None where the store is only read.
    _lock: Option<Arc<Lock>>,
}

impl Store {
    /// As [`Store::open`], of a store that is there.
    pub async fn reopen(config: &Config, tasks: Tasks) -> Result<Self, Error> {
        let (path, mark) = (config.path.clone(), lock::file(&config.path));
        match tasks.blocking(move || disk::exists(&mark)).await {
            Ok(true) => Self::open(config, tasks).await,
            Ok(false) => Err(Error::NoStore { path }),
            Err(lost) => Err(Error::Lost(lost)),
        }
    }

    /// Opens the store, making it when there is none, and takes its lock. Recovery goes on in the background.
    pub async fn open(config: &Config, tasks: Tasks) -> Result<Self, Error> {
        let (path, index_path, background) = (config.path.clone(), config.index_path(), tasks.clone());
        let opened = tasks.blocking(move || {
            let made = || {
                disk::create_dir(&path)?;
                let lock = Lock::take(&path)?;
                Ok((lock, Running::mark(&path)?, Layout::create(&path)?))
            };
            let (lock, running, layout) = made().map_err(|error: Error| error.of_start("store.path", &path))?;
            let index = Index::open(&index_path, &layout.backup(), background)
                .map_err(|error| error.of_start("store.index", &index_path))?;
            Ok::<_, Error>((lock, running, layout, index))
        });
        let (lock, running, layout, index) = opened.await.map_err(Error::Lost)??;
        index.held().configure(&config.pins);
        let store = Self::over(config, index, layout, (running, Some(lock)), tasks.clone());
        let recovery = store.recovery();
        // Uploads first: what a client has sent is dearer than what can be fetched again.
        recovery.uploads().await?;
        let known = recovery.partials().await?;
        store.budget.take_stock(&known).await?;
        tasks.spawn(recovery.tidy(known));
        Ok(store)
    }

    fn over(
        config: &Config,
        index: Index,
        layout: Layout,
        (running, lock): (Running, Option<Lock>),
        tasks: Tasks,
    ) -> Self {
        let running = Arc::new(running);
        let budget = Budget::new(
            config,
            index.clone(),
            layout.clone(),
            Arc::clone(&running),
            tasks.clone(),
        );
        let small = Cache::builder()
            .weigher(|_, bytes: &Bytes| kib(bytes.len()))
            .max_capacity(SMALL_BLOBS_KIB)
            .build();
        Self {
            index,
            layout,
            tasks,
            small,
            proofs: Arc::new(Semaphore::new(PROOFS)),
            touched: Cache::new(TOUCHED),
            running,
            budget: Arc::new(budget),
            _lock: lock.map(Arc::new),
        }
    }

    fn recovery(&self) -> Recovery {
        Recovery {
            index: self.index.clone(),
            layout: self.layout.clone(),
            running: Arc::clone(&self.running),
            tasks: self.tasks.clone(),
        }
    }

    /// Says that work is cut before its end: the next start looks for what it has left.
    pub fn set_in_doubt(&self) {
        self.running.set_in_doubt();
    }

    /// Writes what is noted and closes the index; what comes later is refused. To be called when nothing works on the
    /// store any more, or after [`Store::set_in_doubt`].
    pub async fn close(&self) -> Result<(), Error> {
        self.index.close().await?;
        let running = Arc::clone(&self.running);
        self.tasks.blocking(move || running.end()).await.map_err(Error::Lost)?
    }

    /// What `repo` may see of `digest`.
    pub async fn sight(&self, repo: &RepoKey, digest: &Digest) -> Result<Sight, Error> {
        self.index.sight(repo, digest).await
    }

    /// A manifest's bytes. Whether a repository may have them is for [`Store::sight`] to say. Counts as a pull of all that
    /// it names.
    pub async fn manifest(&self, digest: &Digest) -> Result<Option<StoredManifest>, Error> {
        let stored = self.index.manifest(digest).await?;
        if stored.is_some() {
            self.index.note_pull(Pulled::Manifest(*digest));
        }
        Ok(stored)
    }

    /// Keeps a manifest, its links and perhaps a tag, in one transaction.
    pub async fn put_manifest(&self, put: PutManifest) -> Result<(), Error> {
        self.index.put_manifest(put).await
    }

    /// Where a tag points.
    pub async fn tag(&self, repo: &RepoKey, tag: &Tag) -> Result<Option<TagRow>, Error> {
        self.index.tag(repo, tag).await
    }

    /// Points a tag of a mirror's repository to what the upstream said; the manifest need not be stored.
    pub async fn put_tag(&self, repo: &RepoKey, mirror: &str, tag: &Tag, row: TagRow) -> Result<(), Error> {
        self.index.put_tag(repo, Some(mirror), tag, row).await
    }

    /// Deletes a tag of a mirror's repository; what it points to stays. A hosted one's is not touched.
    pub async fn forget_tag(&self, repo: &RepoKey, tag: &Tag) -> Result<(), Error> {
        self.index.forget_tag(repo, tag).await
    }

    /// Notes that the upstream of a mirror's repository answered for `digest`.
    pub async fn link_proven(&self, repo: &RepoKey, mirror: &str, digest: &Digest) -> Result<(), Error> {
        self.index.link(repo, Some(mirror), digest, true, None).await
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
