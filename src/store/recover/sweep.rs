//! Blobs that no row knows, after a stop that was not clean.
//!
//! A commit renames its file before its row is on disk; a crash in between leaves a file in `blobs/` that nobody will
//! ever ask for. Promises that such a file goes and no other: each is decided on the writer thread, where its row would
//! be written. Works in small steps while wharf serves; what it does not reach before the end is left to the next start.

use crate::oci::{Algorithm, Digest};
use crate::store::Error;
use crate::store::content::disk;
use crate::store::content::layout::Layout;
use crate::store::index::{FileStep, Index};
use crate::store::recover::Recovery;
use crate::tasks::Tasks;

/// Names that are looked at in one go.
const STEP: usize = 256;

impl Recovery {
    /// Removes the blobs without a row, if there can be any.
    pub(super) async fn sweep(&self) -> Result<(), Error> {
        let Some(doubts) = self.running.doubts() else {
            return Ok(());
        };
        let mut removed = 0;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            match self.sweep_one(algorithm).await? {
                Some(more) => removed += more,
                None => return Ok(()),
            }
        }
        self.running.settle(doubts);
        tracing::info!(removed, "looked for blobs that an unclean stop has left without a row");
        Ok(())
    }

    /// The number of files removed; `None` when wharf winds down.
    async fn sweep_one(&self, algorithm: Algorithm) -> Result<Option<usize>, Error> {
        let closing = self.tasks.closing();
        let directory = self.layout.blobs(algorithm);
        let list = move || disk::entries(&directory);
        let mut entries = self.tasks.blocking(list).await.map_err(Error::Lost)??;
        let mut removed = 0;
        while !closing.is_cancelled() {
            let step = move || {
                let names: Vec<_> = entries.by_ref().take(STEP).collect();
                (names, entries)
            };
            let (names, rest) = self.tasks.blocking(step).await.map_err(Error::Lost)?;
            entries = rest;
            if names.is_empty() {
                return Ok(Some(removed));
            }
            let digest = |name: &str| format!("{algorithm}:{name}").parse().ok();
            let found = names.iter().filter_map(|path| digest(path.file_name()?.to_str()?));
            for stray in self.index.unstored(found.collect()).await? {
                removed += usize::from(remove_stray(&self.index, &self.layout, &self.tasks, &stray).await?);
            }
        }
        Ok(None)
    }
}

/// Removes the file in a blob's place, unless a row knows it. Tells whether it was removed.
pub(in crate::store) async fn remove_stray(
    index: &Index,
    layout: &Layout,
    tasks: &Tasks,
    digest: &Digest,
) -> Result<bool, Error> {
    let (from, to) = (layout.blob(digest), layout.trash().join(digest.encoded()));
    let trash = to.clone();
    let step = FileStep::new([], move || disk::rename_if_present(&from, &trash).map(drop));
    let stray = index.unless_stored(digest, step).await?;
    if stray {
        let remove = tasks.blocking(move || disk::remove(&to));
        remove.await.map_err(Error::Lost)??;
    }
    Ok(stray)
}
