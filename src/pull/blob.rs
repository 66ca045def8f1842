//! One blob: from the store where this repository may see it, else from a flight, and past a store that fails.
//!
//! Promises that a hit makes no upstream call, that any number of clients share one fetch by whatever name of a mirror
//! they ask, and that nobody sees content through a repository that could not get it from its upstream.
//! Never fetches for a HEAD. Dropping these futures leaves the fill running.

use std::sync::Arc;

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::Digest;
use crate::pull::errand::{Errand, Leftover};
use crate::pull::fill::Progress;
use crate::pull::flight::Seat;
use crate::pull::opened::{Opened, Ride};
use crate::pull::{Error, Place, Pull, Via};
use crate::store::{Blob, Sight};
use crate::upstream::Tally;

/// What is known of a blob without reading it.
#[derive(Debug)]
pub struct BlobStat {
    /// Length in bytes, if it could be learned.
    pub size: Option<u64>,
    /// How it was learned.
    pub via: Via,
}

impl Pull {
    /// Opens a blob as soon as its length, or that it is unknown, is known.
    pub async fn blob(&self, _caller: &Caller, repo: &Repo, digest: &Digest, tally: &Tally) -> Result<Opened, Error> {
        let Some(place) = Place::of(repo) else {
            return Ok(Opened::stored(self.hosted_blob(&repo.key(), digest).await?, Via::Hit));
        };
        let mut errand = None;
        match self.through_the_store(&place, digest, tally, &mut errand).await {
            Err(Error::Store(error)) => {
                self.complaints.tell("a blob is not stored", &error);
                let errand = errand.unwrap_or_else(|| self.errand(&place, digest, &Sight::default(), tally));
                Box::pin(self.past_the_store(errand)).await
            }
            opened => opened,
        }
    }

    /// `errand`: what was wanted of a flight.
    async fn through_the_store(
        &self,
        place: &Place,
        digest: &Digest,
        tally: &Tally,
        errand: &mut Option<Arc<Errand>>,
    ) -> Result<Opened, Error> {
        loop {
            let sight = self.store.sight(&place.key, digest).await?;
            if let Some(blob) = self.stored(place, digest, &sight, tally).await? {
                return Ok(Opened::stored(blob, Via::Hit));
            }
            let errand = errand.insert(self.errand(place, digest, &sight, tally));
            let (mut passenger, via) = self.board(errand);
            let (pilot, _) = passenger.latest();
            // A link of either kind is enough for content that enters through this mirror; else the upstream decides.
            if pilot.key != place.key && sight.link.is_none() {
                self.ask_for_blob(place, digest, tally).await?;
            }
            match passenger
                .until(|(_, progress)| !matches!(progress, Progress::Asking))
                .await?
                .1
            {
                Progress::Failed(error) if error.is_about_one_repository() && pilot.key != place.key => {}
                Progress::Failed(error) => return Err(error),
                Progress::Stored(blob) => return Ok(Opened::stored(blob, via)),
                Progress::Arriving(arriving) => {
                    return Opened::arriving(arriving, passenger, Arc::clone(errand), via).await;
                }
                Progress::Asking => return Err(Error::Lost(crate::pull::Lost)),
            }
        }
    }

    /// The upstream itself decides who may have it.
    async fn past_the_store(&self, errand: Arc<Errand>) -> Result<Opened, Error> {
        let length = match errand.expected.or_else(|| errand.leftover.total()) {
            None => self.ask_for_blob(&errand.place, &errand.digest, &errand.tally).await?,
            known => known,
        };
        Ok(Opened::relayed(errand, length))
    }

    /// Says whether a blob is there, and how long it is, by one HEAD upstream at most.
    pub async fn stat_blob(
        &self,
        _caller: &Caller,
        repo: &Repo,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<BlobStat, Error> {
        let Some(place) = Place::of(repo) else {
            let blob = self.hosted_blob(&repo.key(), digest).await?;
            return Ok(BlobStat {
                size: Some(blob.length()),
                via: Via::Hit,
            });
        };
        let sight = self
            .or_none(self.store.sight(&place.key, digest).await)
            .unwrap_or_default();
        match self.stored(&place, digest, &sight, tally).await {
            Ok(None) => {}
            Ok(Some(blob)) => {
                return Ok(BlobStat {
                    size: Some(blob.length()),
                    via: Via::Hit,
                });
            }
            Err(Error::Store(error)) => self.complaints.tell("a blob is asked for", &error),
            Err(error) => return Err(error),
        }
        if let Some(size) = self.size_in_flight(&place, digest, &sight) {
            return Ok(BlobStat {
                size: Some(size),
                via: Via::Collapsed,
            });
        }
        let size = self.ask_for_blob(&place, digest, tally).await?;
        let known = size.or_else(|| sight.link.and_then(|link| link.size));
        Ok(BlobStat {
            size: known,
            via: Via::Miss,
        })
    }

    /// Until a blob is committed, its flight answers for it.
    fn size_in_flight(&self, place: &Place, digest: &Digest, sight: &Sight) -> Option<u64> {
        let (pilot, progress) = self.fills.look(&(place.mirror.key().to_owned(), *digest))?;
        if pilot.key != place.key && sight.link.is_none() {
            return None;
        }
        match progress {
            Progress::Arriving(arriving) => arriving.length(),
            Progress::Stored(blob) => Some(blob.length()),
            Progress::Asking | Progress::Failed(_) => None,
        }
    }

    fn errand(&self, place: &Place, digest: &Digest, sight: &Sight, tally: &Tally) -> Arc<Errand> {
        Arc::new(Errand {
            pull: self.clone(),
            place: place.clone(),
            digest: *digest,
            expected: sight.link.as_ref().and_then(|link| link.size),
            tally: tally.clone(),
            leftover: Leftover::default(),
        })
    }

    fn board(&self, errand: &Arc<Errand>) -> (Ride, Via) {
        let key = (errand.place.mirror.key().to_owned(), errand.digest);
        match self.fills.board(&key, || (errand.place.clone(), Progress::Asking)) {
            Seat::Passenger(passenger) => (passenger, Via::Collapsed),
            Seat::Pilot(permit, passenger) => {
                self.tasks.spawn(Arc::clone(errand).fill(permit));
                (passenger, Via::Miss)
            }
        }
    }

    /// The blob, if it is stored, can be read, and this repository may have it. A file that the disk does not give is left
    /// where it is, for whoever mends the disk or for the proven copy that replaces it: the blob is fetched again.
    pub(super) async fn stored(
        &self,
        place: &Place,
        digest: &Digest,
        sight: &Sight,
        tally: &Tally,
    ) -> Result<Option<Blob>, Error> {
        let Some(row) = &sight.blob else { return Ok(None) };
        self.admit(place, digest, sight, tally).await?;
        let opened = match self.store.open_blob(digest, row).await {
            Ok(Some(blob)) => blob.probe().await.map(|()| Some(blob)),
            opened => opened,
        };
        match opened {
            Err(error) if error.is_of_a_file() => {
                self.complaints
                    .tell(format_args!("the stored blob {digest} cannot be read"), &error);
                Ok(None)
            }
            opened => Ok(opened?),
        }
    }

    /// Stored content is served to a repository with a proven link, or with a manifest that names it where it entered
    /// through the same mirror. Otherwise the upstream decides.
    pub(super) async fn admit(
        &self,
        place: &Place,
        digest: &Digest,
        sight: &Sight,
        tally: &Tally,
    ) -> Result<(), Error> {
        if sight.visible() {
            return Ok(());
        }
        self.ask_for_blob(place, digest, tally).await.map(|_size| ())
    }

    /// One HEAD upstream for all who ask; a yes is kept as a proven link. Gives the length, if told.
    pub(super) async fn ask_for_blob(
        &self,
        place: &Place,
        digest: &Digest,
        tally: &Tally,
    ) -> Result<Option<u64>, Error> {
        let (client, store, place) = (self.client.clone(), self.store.clone(), place.clone());
        let (digest, tally, key) = (*digest, tally.clone(), (place.key.clone(), *digest));
        let complaints = Arc::clone(&self.complaints);
        let ask = async move || {
            let asked = client.head_blob(&place.mirror, &place.remote, &digest, &tally).await;
            let size = asked.map_err(|error| Error::of_blob(&digest, error))?;
            if let Err(error) = store.link_proven(&place.key, place.mirror.key(), &digest).await {
                // It is true, so it is answered; the next one who asks costs a HEAD more.
                complaints.tell("cannot keep a link", &error);
            }
            Ok(size)
        };
        self.stats.share(&key, &self.tasks, ask).await
    }
}
