//! The last copy of the index takes the index's place.
//!
//! Promises to touch nothing while another process has the store, nor before the copy is found sound; that the index
//! which was there is set aside, not deleted; and that no file of a blob is deleted: what the copy does not know is
//! taken in. Blocks, for as long as it takes to look at each blob's name.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::oci::{Algorithm, Digest};
use crate::store::content::disk::{self, Stamp};
use crate::store::content::layout::Layout;
use crate::store::index::copy::{self, Restoration};
use crate::store::lock::Lock;
use crate::store::{Config, Error};

/// What a restored index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copy that was put back.
    pub from: PathBuf,
    /// When it was made, as far as can be told.
    pub made_at: Option<Timestamp>,
    /// How long ago that was.
    pub age: Option<SignedDuration>,
    /// Repositories in it.
    pub repositories: u64,
    /// Manifests in it.
    pub manifests: u64,
    /// Tags in it.
    pub tags: u64,
    /// Pushed blobs in it whose files are gone.
    pub gone: u64,
    /// Files of blobs that were not in it.
    pub taken_in: u64,
    /// Where the index is now that was there; `None` when there was none.
    pub aside: Option<PathBuf>,
}

/// Puts the index back as it was when `from` was copied; without `from`, when wharf last made a copy by itself.
pub fn restore(config: &Config, from: Option<&Path>, now: Timestamp) -> Result<Restored, Error> {
    let _lock = Lock::take(&config.path)?;
    let layout = Layout::create(&config.path)?;
    let from = from.map_or_else(|| layout.backup().join(copy::FILE), Path::to_path_buf);
    let restoration = Restoration::prepare(&from, &config.index_path())?;
    let made_at = restoration.made_at();
    let blobs = blobs(&layout)?;
    let told = restoration.tell(blobs, last_partial(&layout)?, now)?;
    Ok(Restored {
        from,
        made_at,
        age: made_at.map(|then| now.duration_since(then)),
        repositories: told.repositories,
        manifests: told.manifests,
        tags: told.tags,
        gone: told.gone,
        taken_in: told.taken_in,
        aside: restoration.finish(now)?,
    })
}

/// The files that are named as blobs.
fn blobs(layout: &Layout) -> Result<impl Iterator<Item = Result<(Digest, Stamp), Error>>, Error> {
    let of = |algorithm: Algorithm| {
        let entries = disk::entries(&layout.blobs(algorithm))?;
        Ok::<_, Error>(entries.filter_map(move |path| {
            let digest = format!("{algorithm}:{}", path.file_name()?.to_str()?).parse().ok()?;
            let stamp = disk::stamp(&path).transpose()?;
            Some(stamp.map(|stamp| (digest, stamp)))
        }))
    };
    Ok(of(Algorithm::Sha256)?.chain(of(Algorithm::Sha512)?))
}

/// The largest id that the file of a partial has.
fn last_partial(layout: &Layout) -> Result<u64, Error> {
    let id = |path: PathBuf| path.file_name()?.to_str()?.parse::<u64>().ok();
    Ok(disk::entries(&layout.stagings())?.filter_map(id).max().unwrap_or(0))
}

#[cfg(test)]
mod tests;
