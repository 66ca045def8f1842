//! A blob that can be read: stored, arriving, or relayed.
//!
//! Promises that a response whose length the client must know has it, and that the head alone never completes a blob that is
//! not proven. Dropping these futures leaves the fill running.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use crate::pull::errand::Errand;
use crate::pull::fill::Progress;
use crate::pull::flight::{Lost, Passenger};
use crate::pull::relay::{Relay, Wanted};
use crate::pull::{Error, Place, Tail, Via};
use crate::store::{Arriving, Blob, Ending, Reader};

/// A blob that can be read.
#[derive(Debug)]
pub struct Opened {
    source: Source,
    via: Via,
}

#[derive(Debug)]
enum Source {
    Stored(Blob),
    Arriving(Followed),
    Relayed(Arc<Errand>, Option<u64>),
}

/// A blob that arrives, and the flight that brings it.
#[derive(Debug)]
struct Followed {
    arriving: Arc<Arriving>,
    flight: Ride,
    /// What follows it, perhaps for another repository than the pilot's.
    errand: Arc<Errand>,
}

/// A place in the flight of a fill.
pub(super) type Ride = Passenger<(Place, Progress)>;

impl Followed {
    /// Waits for the proof. Where this arrival was cut, the flight says why, or has stored the blob after all: wrong bytes
    /// of a partial are fetched once more.
    async fn landed(&mut self) -> Result<Option<Blob>, Error> {
        let mut reader = Reader::of(&self.arriving);
        match poll_fn(|cx| reader.poll_ending(cx)).await {
            Ending::Proven => return Ok(None),
            Ending::Cut | Ending::Unkept => {}
        }
        let over = |(_, progress): &_| matches!(progress, Progress::Stored(_) | Progress::Failed(_));
        match self.flight.until(over).await? {
            (_, Progress::Stored(blob)) => Ok(Some(blob)),
            // No word about this repository: asked again, it gets a flight of its own.
            (pilot, Progress::Failed(error))
                if error.is_about_one_repository() && pilot.key != self.errand.place.key =>
            {
                Err(Lost.into())
            }
            (_, Progress::Failed(error)) => Err(error),
            (_, Progress::Asking | Progress::Arriving(_)) => Err(Lost.into()),
        }
    }
}

impl Opened {
    pub(super) fn stored(blob: Blob, via: Via) -> Self {
        Self {
            source: Source::Stored(blob),
            via,
        }
    }

    pub(super) async fn arriving(
        arriving: Arc<Arriving>,
        flight: Ride,
        errand: Arc<Errand>,
        via: Via,
    ) -> Result<Self, Error> {
        let followed = Followed {
            arriving,
            flight,
            errand,
        };
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

    /// `length`: in bytes, where it is known.
    pub(super) fn relayed(errand: Arc<Errand>, length: Option<u64>) -> Self {
        Self {
            source: Source::Relayed(errand, length),
            via: Via::Relay,
        }
    }

    /// Length in bytes; `None` while the upstream has not told.
    pub fn length(&self) -> Option<u64> {
        match &self.source {
            Source::Stored(blob) => Some(blob.length()),
            Source::Arriving(followed) => followed.arriving.length(),
            Source::Relayed(_, length) => *length,
        }
    }

    /// How it came about.
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// Whether several ranges can be given in one response that could complete the blob.
    pub fn is_seekable(&self) -> bool {
        match &self.source {
            Source::Stored(_) | Source::Arriving(_) => true,
            Source::Relayed(..) => false,
        }
    }

    /// Waits until the content is proven, and its length with it; otherwise the flight's own word is the error. What is
    /// relayed is fetched once for the length alone.
    pub async fn settled(mut self) -> Result<Self, Error> {
        if let Source::Arriving(followed) = &mut self.source {
            match followed.landed().await {
                Ok(None) => {}
                Ok(Some(blob)) => self.source = Source::Stored(blob),
                Err(Error::Store(_)) => self = Self::relayed(Arc::clone(&followed.errand), followed.arriving.length()),
                Err(error) => return Err(error),
            }
        }
        if let Source::Relayed(errand, length @ None) = &mut self.source {
            *length = Some(Box::pin(Relay::length(Arc::clone(errand))).await?);
        }
        Ok(self)
    }

    /// Reads `ranges`, in this order. `completing`: whether the response could complete the blob, because it has no
    /// range, an open-ended one, or one from byte 0 to the end. What is relayed is asked for before this returns.
    pub async fn read(self, ranges: Vec<Range<u64>>, completing: bool) -> Result<Tail, Error> {
        let wanted = Wanted {
            ranges: ranges.into(),
            completing,
        };
        Ok(match self.source {
            Source::Stored(blob) => Tail::stored(blob, wanted.ranges),
            Source::Arriving(followed) => Tail::arriving(Reader::of(&followed.arriving), wanted, followed.errand),
            Source::Relayed(errand, length) => {
                let relay = Box::pin(Relay::open(errand, length, wanted)).await?;
                Tail::relayed(relay.extents())
            }
        })
    }

    /// Reads everything, however long it turns out to be.
    pub async fn read_whole(self) -> Result<Tail, Error> {
        let end = self.length().unwrap_or(u64::MAX);
        self.read(std::iter::once(0..end).collect(), true).await
    }
}
