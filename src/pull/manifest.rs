//! One manifest by digest: from the store where this repository may see it, else by one GET.
//!
//! Promises that a digest costs a mirror's upstream one GET, by whatever repositories it is asked for at once, that bytes
//! are given as the upstream made them, and that children and layers are never fetched along. Dropping these futures
//! leaves the fetch running.

use std::sync::Arc;

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::{Algorithm, Digest, InvalidManifest, Manifest, MediaType, Reference, RepoKey, Tag};
use crate::pull::blame::mismatch;
use crate::pull::{Check, Error, Place, Pull, Via};
use crate::store::{PutManifest, StoredManifest};
use crate::upstream::{Endpoint, FetchedManifest, ManifestHead, Tally};
use jiff::Timestamp;
use tokio::time::Instant;

/// For whom a flight flew, by the tag that led to it if one did, and what came of it.
pub(super) type Landed = ((RepoKey, Option<Tag>), Result<StoredManifest, Error>);

/// A manifest, as it was made.
#[derive(Debug, Clone)]
pub struct ManifestAnswer {
    /// The bytes, their digest and their media type.
    pub manifest: StoredManifest,
    /// How it came about.
    pub via: Via,
}

/// What is known of a manifest without reading it.
#[derive(Debug, Clone)]
pub struct ManifestStat {
    /// What its bytes hash to.
    pub digest: Digest,
    /// As it says of itself.
    pub media_type: MediaType,
    /// Length in bytes.
    pub size: u64,
    /// How it was learned.
    pub via: Via,
}

impl Pull {
    /// The manifest that `reference` means.
    pub async fn manifest(
        &self,
        _caller: &Caller,
        repo: &Repo,
        reference: &Reference,
        check: Check,
        tally: &Tally,
    ) -> Result<ManifestAnswer, Error> {
        let Some(place) = Place::of(repo) else {
            return self.hosted_manifest(&repo.key(), reference).await;
        };
        self.forget_absence(&place, reference, check).await;
        match reference {
            Reference::Digest(digest) => self.by_digest(&place, digest, tally).await,
            Reference::Tag(tag) => self.by_tag(&place, tag, check, tally).await,
        }
    }

    /// Says what `reference` means; a manifest that is not stored costs one HEAD upstream.
    pub async fn stat_manifest(
        &self,
        caller: &Caller,
        repo: &Repo,
        reference: &Reference,
        check: Check,
        tally: &Tally,
    ) -> Result<ManifestStat, Error> {
        let Some(place) = Place::of(repo) else {
            return self.hosted_manifest(&repo.key(), reference).await.map(ManifestStat::of);
        };
        self.forget_absence(&place, reference, check).await;
        let head = match reference {
            Reference::Digest(digest) => self.head_digest(&place, digest, tally).await?,
            Reference::Tag(tag) => self.head_tag(&place, tag, check, tally).await?,
        };
        if let Some(stat) = head {
            return Ok(stat);
        }
        // The upstream has just been asked.
        self.manifest(caller, repo, reference, Check::WhenDue, tally)
            .await
            .map(ManifestStat::of)
    }

    pub(super) async fn by_digest(
        &self,
        place: &Place,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<ManifestAnswer, Error> {
        if let Some(manifest) = self.stored_manifest(place, digest, tally).await? {
            return Ok(ManifestAnswer {
                manifest,
                via: Via::Hit,
            });
        }
        let manifest = self.fetch(place, digest, None, tally).await?;
        Ok(ManifestAnswer {
            manifest,
            via: Via::Miss,
        })
    }

    async fn head_digest(&self, place: &Place, digest: &Digest, tally: &Tally) -> Result<Option<ManifestStat>, Error> {
        if let Some(manifest) = self.stored_manifest(place, digest, tally).await? {
            return Ok(Some(ManifestStat::of(ManifestAnswer {
                manifest,
                via: Via::Hit,
            })));
        }
        match self.ask_for_manifest(place, digest, tally).await? {
            ManifestHead {
                media_type: Some(media_type),
                size: Some(size),
                ..
            } if media_type.is_manifest() => Ok(Some(ManifestStat {
                digest: *digest,
                media_type,
                size,
                via: Via::Miss,
            })),
            _ => Ok(None),
        }
    }

    /// The manifest, if it is stored and this repository may have it.
    pub(super) async fn stored_manifest(
        &self,
        place: &Place,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<Option<StoredManifest>, Error> {
        let sight = self
            .or_none(self.store.sight(&place.key, digest).await)
            .unwrap_or_default();
        if !sight.manifest {
            return Ok(None);
        }
        let Some(manifest) = self.or_none(self.store.manifest(digest).await).flatten() else {
            return Ok(None);
        };
        if !sight.visible() {
            self.ask_for_manifest(place, digest, tally).await?;
            self.adopt(place, &manifest, None).await?;
        }
        Ok(Some(manifest))
    }

    /// Gives a stored manifest, whatever it came through, to a repository whose upstream has answered for it: with links
    /// to what it names, and perhaps the tag that led to it.
    pub(super) async fn adopt(
        &self,
        place: &Place,
        stored: &StoredManifest,
        tag: Option<(Tag, Timestamp)>,
    ) -> Result<(), Error> {
        let parsed = Manifest::parse(
            stored.bytes.clone(),
            Some(&stored.media_type),
            stored.digest.algorithm(),
        );
        let reference = Reference::Digest(stored.digest);
        let manifest = parsed.map_err(|source| unusable(place.mirror.endpoint(), &reference, source))?;
        self.keep_manifest(place, manifest, tag).await;
        Ok(())
    }

    /// One HEAD upstream for all who ask.
    async fn ask_for_manifest(&self, place: &Place, digest: &Digest, tally: &Tally) -> Result<ManifestHead, Error> {
        let (pull, tally, reference) = (self.clone(), tally.clone(), Reference::Digest(*digest));
        let at = place.clone();
        let ask = async move || {
            let asked = pull.client.head_manifest(&at.mirror, &at.remote, &reference, &tally);
            let asked = Box::pin(async { asked.await.map_err(|error| Error::of_manifest(&reference, error)) });
            pull.unless_absent(&at, &reference, asked).await
        };
        self.heads.share(&(place.key.clone(), *digest), &self.tasks, ask).await
    }

    /// One GET upstream for all of this mirror's repositories that ask, perhaps led there by a tag. What comes for one of
    /// them is another's only as anything else that is stored, and a verdict about one is no answer for another.
    pub(super) async fn fetch(
        &self,
        place: &Place,
        digest: &Digest,
        tag: Option<(Tag, Timestamp)>,
        tally: &Tally,
    ) -> Result<StoredManifest, Error> {
        let key = (place.mirror.key().to_owned(), *digest);
        let errand = (place.key.clone(), tag.as_ref().map(|(tag, _)| tag.clone()));
        loop {
            let (pull, at, led, by) = (self.clone(), place.clone(), tag.clone(), tally.clone());
            let (reference, pilot) = (Reference::Digest(*digest), errand.clone());
            let fly = async move || Ok((pilot, pull.fetch_now(&at, &reference, led, &by).await));
            let (pilot, landed) = self.manifests.share(&key, &self.tasks, fly).await?;
            match landed {
                landed if pilot == errand => return landed,
                Err(error) if error.is_about_one_repository() && pilot.0 != place.key => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    if let Some(manifest) = self.stored_manifest(place, digest, tally).await? {
                        if tag.is_some() {
                            self.adopt(place, &manifest, tag).await?;
                        }
                        return Ok(manifest);
                    }
                }
            }
        }
    }

    /// One GET; what comes is proven, linked and kept, with the tag that led to it.
    pub(super) async fn fetch_now(
        &self,
        place: &Place,
        reference: &Reference,
        tag: Option<(Tag, Timestamp)>,
        tally: &Tally,
    ) -> Result<StoredManifest, Error> {
        if let Reference::Digest(digest) = reference {
            // The last flight may just have landed.
            if let Some(manifest) = self.stored_manifest(place, digest, tally).await? {
                return Ok(manifest);
            }
        }
        let proven = Box::pin(self.proven(place, reference, tally));
        let manifest = self.unless_absent(place, reference, proven).await?;
        let (digest, media_type) = (manifest.digest(), manifest.media_type().clone());
        let stored = StoredManifest {
            digest,
            media_type,
            bytes: manifest.bytes().clone(),
        };
        self.keep_manifest(place, manifest, tag).await;
        Ok(stored)
    }

    /// What cannot be kept is proven, so it is served, and fetched again the next time.
    async fn keep_manifest(&self, place: &Place, manifest: Manifest, tag: Option<(Tag, Timestamp)>) {
        if let Err(error) = self.store.put_manifest(place.put(manifest, tag)).await {
            self.complaints.tell("cannot keep a manifest", &error);
        }
    }

    /// What the first endpoint sends whose manifest is one, and the one that was asked for.
    async fn proven(&self, place: &Place, reference: &Reference, tally: &Tally) -> Result<Manifest, Error> {
        let all = match reference {
            Reference::Digest(digest) => self.blame.innocent(&place.mirror, digest, Instant::now())?,
            Reference::Tag(_) => place.mirror.endpoints().to_vec(),
        };
        let mut endpoints = all.as_slice();
        loop {
            let fetched = self.client.get_manifest(endpoints, &place.remote, reference, tally);
            let fetched = fetched.await.map_err(|error| Error::of_manifest(reference, error))?;
            let behind = endpoints.iter().position(|it| Arc::ptr_eq(it, &fetched.from));
            let others = &endpoints[behind.map_or(endpoints.len(), |at| at + 1)..];
            match self.prove(reference, fetched) {
                Err(error) if error.is_of_upstream() && !others.is_empty() => endpoints = others,
                proven => return proven,
            }
        }
    }

    fn prove(&self, reference: &Reference, fetched: FetchedManifest) -> Result<Manifest, Error> {
        let FetchedManifest {
            bytes,
            media_type,
            digest,
            from,
        } = fetched;
        let promised = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => digest,
        };
        let algorithm = promised.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        if let Some(promised) = promised.filter(|promised| Digest::of(algorithm, &bytes) != *promised) {
            let error = mismatch(&from, &promised);
            self.blame.strike(&[from], &promised, Instant::now());
            return Err(error);
        }
        let parsed = Manifest::parse(bytes, media_type.as_ref(), algorithm);
        parsed.map_err(|source| unusable(&from, reference, source))
    }
}

impl Place {
    fn put(&self, manifest: Manifest, tag: Option<(Tag, Timestamp)>) -> PutManifest {
        let mirror = Some(self.mirror.key().to_owned());
        PutManifest {
            repo: self.key.clone(),
            mirror,
            manifest: Arc::new(manifest),
            tag,
        }
    }
}

fn unusable(upstream: &Endpoint, reference: &Reference, source: InvalidManifest) -> Error {
    Error::BadManifest {
        upstream: upstream.to_string(),
        reference: reference.clone(),
        source: Arc::new(source),
    }
}

impl ManifestStat {
    pub(super) fn of(answer: ManifestAnswer) -> Self {
        let ManifestAnswer { manifest, via } = answer;
        Self {
            digest: manifest.digest,
            size: manifest.bytes.len() as u64,
            media_type: manifest.media_type,
            via,
        }
    }
}
