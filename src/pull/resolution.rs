//! What a tag means upstream now: one HEAD for all who ask, within the tag's window of freshness.
//!
//! Owns what the upstream said last, in memory. Promises that a manifest GET is spent only where HEAD does not tell, and
//! that a tag which is cached moves only to a manifest that is stored, so that it never stops answering. A tag that is
//! new has nothing to lose and is kept at once.

use jiff::Timestamp;
use moka::future::Cache;

use crate::oci::{MediaType, Reference, RepoKey, Tag};
use crate::pull::freshness::{Freshness, Term};
use crate::pull::{Check, Error, Place, Pull};
use crate::store::TagRow;
use crate::upstream::{ManifestHead, Tally};

/// Resolutions kept; older ones cost a HEAD more.
const KEPT: u64 = 10_000;

/// The latest resolutions, written only by those who fly for their tag.
#[derive(Debug, Clone)]
pub(super) struct Resolutions(Cache<(RepoKey, Tag), TagRow>);

impl Resolutions {
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    pub(super) async fn forget(&self, repo: &RepoKey, tag: &Tag) {
        self.0.invalidate(&(repo.clone(), tag.clone())).await;
    }
}

/// The windows at whose end somebody has asked aside, each by when it began.
#[derive(Debug, Clone)]
pub(super) struct Renewals(Cache<(RepoKey, Tag, Timestamp), ()>);

impl Renewals {
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// Whether the caller is the first to ask in this window.
    pub(super) async fn begin(&self, repo: &RepoKey, tag: &Tag, checked_at: Timestamp) -> bool {
        let window = (repo.clone(), tag.clone(), checked_at);
        self.0.entry(window).or_insert(()).await.is_fresh()
    }
}

impl Pull {
    /// What the tag means now, from memory while that is fresh and the check not due.
    pub(super) async fn resolve(&self, place: &Place, tag: &Tag, check: Check, tally: &Tally) -> Result<TagRow, Error> {
        let key = (place.key.clone(), tag.clone());
        if let Some(said) = self.said_of_tag(place, &key, check).await {
            return said;
        }
        let (pull, at, tag, tally) = (self.clone(), place.clone(), tag.clone(), tally.clone());
        self.tags
            .share(&key, &self.tasks, || pull.resolve_now(at, tag, check, tally))
            .await
    }

    async fn resolve_now(self, place: Place, tag: Tag, check: Check, tally: Tally) -> Result<TagRow, Error> {
        let key = (place.key.clone(), tag);
        // The last flight may just have landed.
        if let Some(said) = self.said_of_tag(&place, &key, check).await {
            return said;
        }
        let reference = Reference::Tag(key.1.clone());
        let asked = Box::pin(async {
            match self.ask_for_tag(&place, &reference, &tally).await? {
                Some(said) => Ok(said),
                None => self.fetch_by_tag(&place, &key.1, &tally).await,
            }
        });
        let said = self.unless_absent(&place, &reference, asked).await;
        if let Err(error) = &said {
            self.forget_if_deleted(&place, &key.1, error).await;
        }
        let said = said?;
        // A tag that points to it is news of it.
        let digest = Reference::Digest(said.digest);
        self.forget_absence(&place, &digest, Check::Now).await;
        match self.keep(&place, &key.1, &said).await {
            Ok(()) => {}
            // It is true, so it is answered; after a restart it costs a HEAD more.
            Err(Error::Store(error)) => self.complaints.tell("cannot keep a tag", &error),
            Err(error) => tracing::error!(%error, tag = %key.1, repository = %key.0, "cannot keep a tag"),
        }
        self.resolutions.0.insert(key, said.clone()).await;
        Ok(said)
    }

    async fn keep(&self, place: &Place, tag: &Tag, said: &TagRow) -> Result<(), Error> {
        let row = match self.store.tag(&place.key, tag).await? {
            // What the manifest itself said of its type and length stays.
            Some(cached) if cached.digest == said.digest => TagRow {
                checked_at: said.checked_at,
                ..cached
            },
            cached => match self.store.manifest(&said.digest).await? {
                // Stored for another tag or repository; that this one has it, the upstream has just said.
                Some(manifest) => return self.adopt(place, &manifest, Some((tag.clone(), said.checked_at))).await,
                None if cached.is_some() => return Ok(()),
                None => said.clone(),
            },
        };
        Ok(self.store.put_tag(&place.key, place.mirror.key(), tag, row).await?)
    }

    pub(super) fn freshness(&self, place: &Place, tag: &Tag, checked_at: Timestamp) -> Freshness {
        Term::of_tag(place, tag).freshness(checked_at, self.clock.now())
    }

    /// What the upstream said, while it counts: where the tag points, or that it is not there.
    async fn said_of_tag(&self, place: &Place, key: &(RepoKey, Tag), check: Check) -> Option<Result<TagRow, Error>> {
        if check == Check::Now {
            return None;
        }
        let (repo, tag) = key;
        let absence = (repo.clone(), Reference::Tag(tag.clone()));
        if let Some(absent) = self.absent.get(&absence, self.clock.now()).await {
            return Some(Err(absent));
        }
        let resolution = self.resolutions.0.get(key).await?;
        let fresh = self.freshness(place, tag, resolution.checked_at).answers();
        fresh.then_some(Ok(resolution))
    }

    /// One HEAD. `None` when the upstream answers HEAD in a way that tells nothing (405, or no digest).
    async fn ask_for_tag(&self, place: &Place, reference: &Reference, tally: &Tally) -> Result<Option<TagRow>, Error> {
        let checked_at = self.clock.now();
        let asked = self
            .client
            .head_manifest(&place.mirror, &place.remote, reference, tally)
            .await;
        let ManifestHead {
            digest,
            media_type,
            size,
        } = asked.map_err(|error| Error::of_manifest(reference, error))?;
        let media_type = media_type.filter(MediaType::is_manifest);
        Ok(digest.map(|digest| TagRow {
            digest,
            media_type,
            size,
            checked_at,
        }))
    }

    async fn fetch_by_tag(&self, place: &Place, tag: &Tag, tally: &Tally) -> Result<TagRow, Error> {
        let checked_at = self.clock.now();
        let manifest = self
            .fetch_now(
                place,
                &Reference::Tag(tag.clone()),
                Some((tag.clone(), checked_at)),
                tally,
            )
            .await?;
        let (digest, size) = (manifest.digest, manifest.bytes.len() as u64);
        Ok(TagRow {
            digest,
            media_type: Some(manifest.media_type),
            size: Some(size),
            checked_at,
        })
    }
}
