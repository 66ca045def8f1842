//! Every blob and every manifest, read and proven.
//!
//! Promises that a blob which is damaged is told by its digest and by who has it, and that with `repair` what is left of it
//! is put aside, so that a cached one is fetched again. Goes by the index, page by page.

use crate::oci::{Digest, RepoKey};
use crate::store::Error;
use crate::store::fsck::Run;
use crate::store::fsck::examine::{Damage, Verdict};
use crate::store::fsck::finding::{Event, Finding, Outcome};
use crate::store::fsck::place::Place;
use crate::store::index::{BlobRow, Dropped};

/// Rows in a page.
const PAGE: usize = 256;
/// Manifests in a page: they come with their bytes.
const FEW: usize = 16;

impl Run {
    /// Reads all blobs, from where the last check was broken off. False when this one is.
    pub(super) async fn content(&mut self, mut place: Place) -> Result<bool, Error> {
        let (_, total) = self.store.index.stored().await?;
        (self.watch)(Event::Total(total));
        if place.behind().is_some() {
            (self.watch)(Event::GoesOn(place.done.bytes));
        }
        for damaged in std::mem::take(&mut place.done.damaged) {
            if let Ok(digest) = damaged.parse()
                && let Some(row) = self.store.index.blob(&digest).await?
                && self.blob(&digest, row).await? == Some(true)
            {
                place.done.damaged.push(damaged);
            }
        }
        loop {
            let page = self.store.index.blobs_behind(place.behind(), PAGE).await?;
            if page.is_empty() {
                break;
            }
            for (digest, row) in page {
                let Some(damaged) = self.blob(&digest, row).await? else {
                    place.save()?;
                    return Ok(false);
                };
                place.pass(&digest, row.size, damaged)?;
                (self.report.blobs, self.report.bytes) = (place.done.blobs, place.done.bytes);
            }
        }
        place.end()?;
        Ok(true)
    }

    /// Whether a blob is damaged, and still there; `None` when the check is broken off.
    async fn blob(&mut self, digest: &Digest, row: BlobRow) -> Result<Option<bool>, Error> {
        let Some(verdict) = self.store.examine(digest, row, &mut self.pace).await? else {
            return Ok(None);
        };
        match verdict {
            Verdict::Good => Ok(Some(false)),
            Verdict::Touched(modified_ns) => {
                if self.how.repair {
                    self.store.index.reprove_blob(digest, row, modified_ns).await?;
                }
                self.tell(&Finding::Touched(*digest), self.mended("noted"));
                Ok(Some(false))
            }
            Verdict::Damaged(damage) => {
                self.damaged(*digest, row, damage).await?;
                Ok(Some(!self.how.repair))
            }
        }
    }

    async fn damaged(&mut self, digest: Digest, row: BlobRow, damage: Damage) -> Result<(), Error> {
        let homes = self.store.homes(&digest).await?;
        let homes: Vec<RepoKey> = homes
            .into_iter()
            .filter(|home| home.hosted)
            .map(|home| home.key)
            .collect();
        let how = if self.how.repair {
            let dropped = self.store.drop_blob(&digest, row, damage.as_str(), true).await?;
            match dropped {
                Dropped::Not | Dropped::Cached => Outcome::Mended("forgotten, and fetched again when it is asked for"),
                // Its bytes are safe, and lost all the same.
                Dropped::Hosted => Outcome::Left,
            }
        } else {
            Outcome::Left
        };
        self.tell(&Finding::Blob { digest, damage, homes }, how);
        Ok(())
    }

    /// Hashes all manifests: they are small, so they are looked at each time.
    pub(super) async fn manifests(&mut self) -> Result<(), Error> {
        let closing = self.store.tasks.closing();
        let mut behind = None;
        while !closing.is_cancelled() {
            let page = self.store.index.manifests_behind(behind, FEW).await?;
            let Some((last, _, _)) = page.last() else { break };
            behind = Some(*last);
            for (digest, bytes, pushed) in page {
                if Digest::of(digest.algorithm(), &bytes) == digest {
                    continue;
                }
                let how = if self.how.repair && self.store.index.drop_manifest(&digest).await? {
                    Outcome::Mended("forgotten, and fetched again when it is asked for")
                } else {
                    Outcome::Left
                };
                self.tell(&Finding::Manifest { digest, pushed }, how);
            }
        }
        Ok(())
    }
}
