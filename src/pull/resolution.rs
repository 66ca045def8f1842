//! What a tag means upstream now: one HEAD for all who ask, within the tag's window of freshness.
//!
//! Owns the resolutions of the last while, in memory: a tag's row moves only when the manifest it moves to is stored,
//! so that a cached tag never stops answering. Promises that a manifest GET is spent only where HEAD does not tell.

use jiff::Timestamp;
use moka::future::Cache;

use crate::oci::{Digest, MediaType, Reference, RepoKey, Tag};
use crate::pull::freshness::Freshness;
use crate::pull::manifest::ManifestStat;
use crate::pull::{Error, Place, Pull, Via};
use crate::upstream::{ManifestHead, Tally};

/// Resolutions kept; older ones cost a HEAD more.
const KEPT: u64 = 10_000;

/// What a tag means, as the upstream said at `checked_at`.
#[derive(Debug, Clone)]
pub(super) struct Resolution {
    pub(super) digest: Digest,
    pub(super) checked_at: Timestamp,
    /// Media type and length in bytes, where HEAD told both.
    described: Option<(MediaType, u64)>,
}

/// The latest resolutions. They are replaced, never taken back: only time makes one worthless.
#[derive(Debug, Clone)]
pub(super) struct Resolutions(Cache<(RepoKey, Tag), Resolution>);

impl Resolutions {
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Resolution {
    pub(super) fn stat(self, via: Via) -> Option<ManifestStat> {
        let (media_type, size) = self.described?;
        Some(ManifestStat {
            digest: self.digest,
            media_type,
            size,
            via,
        })
    }
}

impl Pull {
    /// What the tag means now, from memory while that is fresh.
    pub(super) async fn resolve(&self, place: &Place, tag: &Tag, tally: &Tally) -> Result<Resolution, Error> {
        let key = (place.key.clone(), tag.clone());
        if let Some(fresh) = self.fresh_resolution(place, &key).await {
            return Ok(fresh);
        }
        let (pull, at, tag, tally) = (self.clone(), place.clone(), tag.clone(), tally.clone());
        self.tags
            .share(&key, &self.tasks, || pull.resolve_now(at, tag, tally))
            .await
    }

    async fn resolve_now(self, place: Place, tag: Tag, tally: Tally) -> Result<Resolution, Error> {
        let key = (place.key.clone(), tag);
        // The last flight may just have landed.
        if let Some(fresh) = self.fresh_resolution(&place, &key).await {
            return Ok(fresh);
        }
        let resolution = match self.ask_for_tag(&place, &key.1, &tally).await? {
            Some(resolution) => resolution,
            None => self.fetch_by_tag(&place, &key.1, &tally).await?,
        };
        let row = self.store.tag(&place.key, &key.1).await?;
        if row.is_some_and(|row| row.digest == resolution.digest) {
            let (mirror, digest) = (place.mirror.key(), resolution.digest);
            self.store
                .put_tag(&place.key, mirror, &key.1, digest, resolution.checked_at)
                .await?;
        }
        self.resolutions.0.insert(key, resolution.clone()).await;
        Ok(resolution)
    }

    pub(super) fn freshness(&self, place: &Place, checked_at: Timestamp) -> Freshness {
        Freshness::of(checked_at, place.mirror.fresh_for(), self.clock.now())
    }

    async fn fresh_resolution(&self, place: &Place, key: &(RepoKey, Tag)) -> Option<Resolution> {
        let resolution = self.resolutions.0.get(key).await?;
        (self.freshness(place, resolution.checked_at) == Freshness::Fresh).then_some(resolution)
    }

    /// One HEAD. `None` when the upstream answers HEAD in a way that tells nothing (405, or no digest).
    async fn ask_for_tag(&self, place: &Place, tag: &Tag, tally: &Tally) -> Result<Option<Resolution>, Error> {
        let reference = Reference::Tag(tag.clone());
        let checked_at = self.clock.now();
        match self
            .client
            .head_manifest(&place.mirror, &place.remote, &reference, tally)
            .await
        {
            Ok(ManifestHead {
                digest: Some(digest),
                media_type,
                size,
            }) => {
                let described = media_type.filter(MediaType::is_manifest).zip(size);
                Ok(Some(Resolution {
                    digest,
                    checked_at,
                    described,
                }))
            }
            Ok(ManifestHead { digest: None, .. }) => Ok(None),
            Err(error) if matches!(error.status(), Some(405 | 501)) => Ok(None),
            Err(error) => Err(Error::of_manifest(&reference, error)),
        }
    }

    async fn fetch_by_tag(&self, place: &Place, tag: &Tag, tally: &Tally) -> Result<Resolution, Error> {
        let checked_at = self.clock.now();
        let manifest = self.fetch(place, Reference::Tag(tag.clone()), None, tally).await?;
        let described = Some((manifest.media_type.clone(), manifest.bytes.len() as u64));
        Ok(Resolution {
            digest: manifest.digest,
            checked_at,
            described,
        })
    }
}
