//! One blob: from the store where this repository may see it, else from a flight.
//!
//! Promises that a hit makes no upstream call, that any number of clients share one fetch by whatever name of a mirror
//! they ask, and that nobody sees content through a repository that could not get it from its upstream.
//! Never fetches for a HEAD. Dropping these futures leaves the fill running.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use crate::access::Caller;
use crate::namespaces::Repo;
use crate::oci::{Digest, RepoKey};
use crate::pull::fill::{Fill, Progress};
use crate::pull::flight::{Passenger, Seat};
use crate::pull::{Error, Place, Pull, Tail, Via};
use crate::store::{Arriving, Blob, Ending, Reader, Sight};
use crate::upstream::Tally;

/// A blob that can be read: stored, or arriving.
#[derive(Debug)]
pub struct Opened {
    source: Source,
    via: Via,
}

#[derive(Debug)]
enum Source {
    Stored(Blob),
    Arriving(Followed),
}

/// A blob that arrives, and the flight that brings it.
#[derive(Debug)]
struct Followed {
    arriving: Arc<Arriving>,
    flight: Ride,
    /// Who follows it, perhaps another repository than the pilot's.
    by: RepoKey,
}

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
        loop {
            let sight = self.store.sight(&place.key, digest).await?;
            if let Some(blob) = self.stored(&place, digest, &sight, tally).await? {
                return Ok(Opened::stored(blob, Via::Hit));
            }
            let (mut passenger, via) = self.board(&place, digest, &sight, tally);
            let (pilot, _) = passenger.latest();
            // A link of either kind is enough for content that enters through this mirror; else the upstream decides.
            if pilot.key != place.key && sight.link.is_none() {
                self.ask_for_blob(&place, digest, tally).await?;
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
                    let followed = Followed {
                        arriving,
                        flight: passenger,
                        by: place.key,
                    };
                    return Opened::arriving(followed, via).await;
                }
                Progress::Asking => return Err(Error::Lost(crate::pull::Lost)),
            }
        }
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
        let sight = self.store.sight(&place.key, digest).await?;
        if let Some(blob) = self.stored(&place, digest, &sight, tally).await? {
            return Ok(BlobStat {
                size: Some(blob.length()),
                via: Via::Hit,
            });
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

    fn board(&self, place: &Place, digest: &Digest, sight: &Sight, tally: &Tally) -> (Ride, Via) {
        let key = (place.mirror.key().to_owned(), *digest);
        match self.fills.board(&key, || (place.clone(), Progress::Asking)) {
            Seat::Passenger(passenger) => (passenger, Via::Collapsed),
            Seat::Pilot(permit, passenger) => {
                let fill = Fill {
                    pull: self.clone(),
                    place: place.clone(),
                    digest: *digest,
                    expected: sight.link.as_ref().and_then(|link| link.size),
                    tally: tally.clone(),
                };
                self.tasks.spawn(fill.run(permit));
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
                let error: &dyn StdError = &error;
                tracing::error!(error, %digest, "a stored blob cannot be read: it is fetched again when asked for");
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
        let ask = async move || {
            let asked = client.head_blob(&place.mirror, &place.remote, &digest, &tally).await;
            let size = asked.map_err(|error| Error::of_blob(&digest, error))?;
            store.link_proven(&place.key, place.mirror.key(), &digest).await?;
            Ok(size)
        };
        self.stats.share(&key, &self.tasks, ask).await
    }
}

type Ride = Passenger<(Place, Progress)>;

impl Followed {
    /// Waits for the proof. Where this arrival was cut, the flight says why, or has stored the blob after all: wrong bytes
    /// of a partial are fetched once more.
    async fn landed(&mut self) -> Result<Option<Blob>, Error> {
        let mut reader = Reader::of(&self.arriving);
        match poll_fn(|cx| reader.poll_ending(cx)).await {
            Ending::Proven => return Ok(None),
            Ending::Cut => {}
        }
        let over = |(_, progress): &_| matches!(progress, Progress::Stored(_) | Progress::Failed(_));
        match self.flight.until(over).await? {
            (_, Progress::Stored(blob)) => Ok(Some(blob)),
            // No word about this repository: asked again, it gets a flight of its own.
            (pilot, Progress::Failed(error)) if error.is_about_one_repository() && pilot.key != self.by => {
                Err(crate::pull::Lost.into())
            }
            (_, Progress::Failed(error)) => Err(error),
            (_, Progress::Asking | Progress::Arriving(_)) => Err(crate::pull::Lost.into()),
        }
    }
}

impl Opened {
    fn stored(blob: Blob, via: Via) -> Self {
        Self {
            source: Source::Stored(blob),
            via,
        }
    }

    async fn arriving(followed: Followed, via: Via) -> Result<Self, Error> {
        let opened = Self {
            source: Source::Arriving(followed),
            via,
        };
        // With no byte to hold back, the head of the response would already complete it.
        if opened.length() == Some(0) {
            opened.settled().await
        } else {
            Ok(opened)
        }
    }

    /// Length in bytes; `None` while the upstream has not told.
    pub fn length(&self) -> Option<u64> {
        match &self.source {
            Source::Stored(blob) => Some(blob.length()),
            Source::Arriving(followed) => followed.arriving.length(),
        }
    }

    /// How it came about.
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// Waits until the content is proven, and its length with it; otherwise the flight's own word is the error.
    pub async fn settled(mut self) -> Result<Self, Error> {
        if let Source::Arriving(followed) = &mut self.source
            && let Some(blob) = followed.landed().await?
        {
            self.source = Source::Stored(blob);
        }
        Ok(self)
    }

    /// Reads `ranges`, in this order. `completing`: whether the response could complete the blob, because it has no
    /// range, an open-ended one, or one from byte 0 to the end.
    pub fn read(self, ranges: Vec<Range<u64>>, completing: bool) -> Tail {
        match self.source {
            Source::Stored(blob) => Tail::stored(blob, ranges),
            Source::Arriving(followed) => Tail::arriving(Reader::of(&followed.arriving), ranges, completing),
        }
    }

    /// Reads everything, however long it turns out to be.
    pub fn read_whole(self) -> Tail {
        let end = self.length().unwrap_or(u64::MAX);
        self.read(std::iter::once(0..end).collect(), true)
    }
}
