//! What a crash can leave behind, put right.
//!
//! Promises that no file stays that no row knows: a partial or an upload without a row, rubbish, and a blob whose rename
//! was done but whose row was not committed. Such a blob becomes the partial or the upload again that it was; one whose
//! client was never told of a byte goes. Only rows of what is under way are looked at before the first request, so a
//! start takes as long with a million blobs. Never touches a file that is not named as wharf names its own.

mod sweep;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::oci::Digest;
use crate::store::content::disk;
use crate::store::content::layout::Layout;
use crate::store::index::{FileStep, Index};
use crate::store::running::Running;
use crate::store::{Error, UploadId};
use crate::tasks::Tasks;

pub(super) use sweep::remove_stray;

/// What recovery works on; not the store's lock, which goes with the last handle of the store.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) index: Index,
    pub(super) layout: Layout,
    pub(super) running: Arc<Running>,
    pub(super) tasks: Tasks,
}

impl Recovery {
    /// Before the first request: every partial's row gets its file back, or goes. Gives the ids of the partials.
    pub(super) async fn partials(&self) -> Result<HashSet<u64>, Error> {
        let mut ids = HashSet::new();
        for (id, digest) in self.index.partials().await? {
            let file = self.layout.staging(id);
            if self.recover(&digest, file.clone()).await? {
                ids.insert(id);
            } else {
                // Nothing is here, or nothing is needed: it is stored, perhaps because somebody has pushed it.
                let remove = FileStep::new([], move || disk::remove(&file));
                self.index.unstage(id, remove).await?;
            }
        }
        Ok(ids)
    }

    /// Before the first request: every upload whose client was told of its bytes gets its file back.
    pub(super) async fn uploads(&self) -> Result<(), Error> {
        for (id, digest) in self.index.landings().await? {
            self.recover(&digest, self.layout.upload(&id)).await?;
        }
        Ok(())
    }

    /// Whether the file of what was to become a blob, and is not stored, is here: perhaps because it is taken back from a
    /// commit that did not come to its end.
    async fn recover(&self, digest: &Digest, file: PathBuf) -> Result<bool, Error> {
        // A blob with a row is stored; one without is what was to be committed.
        if self.index.blob(digest).await?.is_some() {
            return Ok(false);
        }
        let blob = self.layout.blob(digest);
        let is_here = move || Ok(disk::exists(&file) || disk::rename_if_present(&blob, &file)?);
        self.tasks.blocking(is_here).await.map_err(Error::Lost)?
    }

    /// While wharf serves: what no row explains goes. It only tidies, so a failure is logged and the next start tries
    /// again. `known`: the partials at the start.
    pub(super) async fn tidy(self, known: HashSet<u64>) {
        let tidied = async {
            self.empty_trash().await?;
            self.remove_orphaned_partials(known).await?;
            self.remove_orphaned_uploads().await?;
            self.sweep().await
        };
        if let Err(error) = tidied.await {
            tracing::warn!(%error, "cannot tidy the store");
        }
    }

    async fn empty_trash(&self) -> Result<(), Error> {
        let trash = self.layout.trash();
        let remove = move || disk::entries(&trash)?.try_for_each(|rubbish| disk::remove(&rubbish));
        self.tasks.blocking(remove).await.map_err(Error::Lost)?
    }

    async fn remove_orphaned_partials(&self, known: HashSet<u64>) -> Result<(), Error> {
        let found = self.files::<u64>(self.layout.stagings()).await?;
        // What is newer than the start has its row by now.
        let rows: HashSet<u64> = self.index.partials().await?.into_iter().map(|(id, _)| id).collect();
        let orphans = found.iter().filter(|id| !known.contains(id) && !rows.contains(id));
        self.remove(orphans.map(|id| self.layout.staging(*id)).collect()).await
    }

    async fn remove_orphaned_uploads(&self) -> Result<(), Error> {
        for id in self.files::<UploadId>(self.layout.uploads()).await? {
            // A row comes before its file, and goes before it.
            if self.index.upload(&id).await?.is_none() {
                self.remove(vec![self.layout.upload(&id)]).await?;
            }
        }
        Ok(())
    }

    /// The files in a directory whose names are such ids.
    async fn files<Id: FromStr + Send + 'static>(&self, directory: PathBuf) -> Result<Vec<Id>, Error> {
        let list = move || Ok(disk::entries(&directory)?.filter_map(|path| id(&path)).collect());
        self.tasks.blocking(list).await.map_err(Error::Lost)?
    }

    async fn remove(&self, files: Vec<PathBuf>) -> Result<(), Error> {
        let remove = move || files.iter().try_for_each(|file| disk::remove(file));
        self.tasks.blocking(remove).await.map_err(Error::Lost)?
    }
}

fn id<Id: FromStr>(path: &Path) -> Option<Id> {
    path.file_name()?.to_str()?.parse().ok()
}
