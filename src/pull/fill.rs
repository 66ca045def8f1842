//! One blob's way from the upstream into the store: the only way bytes enter.
//!
//! Owns the main stream, which brings the blob from its first missing byte to its end, and up to four side streams for
//! readers far ahead of it. Promises that it goes on whoever leaves, that a broken body is resumed where it broke, and
//! that nothing is stored that is not proven. Never talks to a client: readers follow the `Arriving`. It is spawned and
//! detached; when wharf winds down it parks what it has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};

use crate::oci::Digest;
use crate::pull::batch::Batches;
use crate::pull::flight::{Lost, Permit};
use crate::pull::{Error, Place, Pull};
use crate::store::{Arriving, Blob, Claim, Demand, Gap, Staged, Unproven};
use crate::upstream::{BlobBody, Span, Tally, Verdict};

/// Side streams at a time for one blob.
const SIDE_STREAMS: usize = 4;
/// After a side stream failed, none is started for so long: the main stream comes anyway.
const SIDE_PAUSE: Duration = Duration::from_secs(1);
/// The main stream reads through what is present when it is less than this, in bytes, and asks anew behind it when it
/// is more: dropping a body costs the upstream what is under way.
const READ_THROUGH: u64 = 1024 * 1024;
/// So many attempts in a row that bring no byte end the fill.
const BARREN_ATTEMPTS: u32 = 3;
/// The pause after a barren attempt; it doubles.
const BARREN_PAUSE: Duration = Duration::from_millis(200);

/// What flights are kept by: a mirror's key and a digest.
pub(super) type Key = (String, Digest);

/// How far a fill is, as its passengers see it.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    /// The upstream has been asked.
    Asking,
    /// Bytes come.
    Arriving(Arc<Arriving>),
    /// It is stored.
    Stored(Blob),
    /// It failed, for all who wait.
    Failed(Error),
}

/// One fetch of one blob.
pub(super) struct Fill {
    pub(super) pull: Pull,
    pub(super) place: Place,
    pub(super) digest: Digest,
    /// The length in bytes that a manifest of this repository claims.
    pub(super) expected: Option<u64>,
    pub(super) tally: Tally,
}

/// What the upstream's first answer came to.
struct First {
    /// Where it was asked from, and the body; none when nothing is missing.
    body: Option<(u64, BlobBody)>,
    /// The blob's length in bytes, where it is known.
    length: Option<u64>,
}

/// What a side stream came to.
enum Brought {
    All,
    Nothing,
}

/// A flight's permit and what its passengers know.
type Pilot = Permit<Key, (Place, Progress)>;

impl Fill {
    /// Flies: reports to the passengers until the blob is stored or the fetch has failed.
    pub(super) async fn run(self, mut permit: Pilot) {
        match self.land(&mut permit).await {
            Ok(blob) => permit.land((self.place, Progress::Stored(blob))),
            Err(error) => {
                tracing::debug!(%error, digest = %self.digest, mirror = self.place.mirror.key(), "a fill failed");
                permit.land((self.place, Progress::Failed(error)));
            }
        }
    }

    async fn land(&self, permit: &mut Pilot) -> Result<Blob, Error> {
        let Self {
            pull, place, digest, ..
        } = self;
        let (mirror, upstream) = (place.mirror.key(), place.upstream());
        // The last flight may just have landed.
        let sight = pull.store.sight(&place.key, digest).await?;
        if let Some(blob) = pull.stored(place, digest, &sight, &self.tally).await? {
            return Ok(blob);
        }
        pull.blame.check(&upstream, digest, Instant::now())?;
        loop {
            let First { body, length } = self.first_body(sight.link.is_some()).await?;
            let staged = pull.store.stage(mirror, &place.remote, digest, length).await?;
            let resumed = staged.is_resumed();
            let wrong = match self.fetch(&staged, body, permit).await {
                Ok(()) => match staged.verify().await {
                    Ok(verified) => {
                        pull.blame.clear(&upstream, digest);
                        return Ok(pull.store.commit(verified, mirror, &place.key).await?);
                    }
                    Err(Unproven::Unreadable { staged, error }) => {
                        pull.store.discard(staged).await?;
                        return Err(error.into());
                    }
                    Err(Unproven::Mismatch { staged, .. }) => staged,
                },
                Err(error) => return Err(self.give_up(staged, error, permit).await),
            };
            // A partial is resumed without trusting it, so wrong bytes may be its fault: once from zero.
            let outcome = if resumed {
                Progress::Asking
            } else {
                Progress::Failed(pull.blame.strike(&upstream, digest, Instant::now()))
            };
            self.report(permit, outcome.clone());
            pull.store.discard(wrong).await?;
            if let Progress::Failed(error) = outcome {
                return Err(error);
            }
        }
    }

    /// Asks before anything is written: most failures are the upstream's first word.
    async fn first_body(&self, linked: bool) -> Result<First, Error> {
        let Self {
            pull, place, digest, ..
        } = self;
        let mirror = place.mirror.key();
        let Some(from) = pull.store.resume_at(mirror, digest, self.expected).await? else {
            // With nothing to fetch, nobody has said yet that this repository may have it.
            if !linked {
                pull.ask_for_blob(place, digest, &self.tally).await?;
            }
            return Ok(First {
                body: None,
                length: self.expected,
            });
        };
        let asked = match self.ask(from).await {
            Err(Error::Upstream(source)) if from > 0 && source.verdict() == Verdict::NoSuchRange => {
                if source.total() == Some(from) {
                    // Every byte is here: an earlier body only never told its end.
                    return Ok(First {
                        body: None,
                        length: Some(from),
                    });
                }
                if self.expected.is_some() {
                    return Err(Error::Upstream(source));
                }
                let useless = pull.store.stage(mirror, &place.remote, digest, None).await?;
                pull.store.discard(useless).await?;
                self.ask(0).await?
            }
            asked => asked?,
        };
        match (self.expected, asked.total()) {
            (Some(known), Some(told)) if known != told => Err(Error::Length {
                upstream: place.upstream(),
                digest: *digest,
                told,
                known,
            }),
            (known, told) => Ok(First {
                length: told.or(known),
                body: Some((from, asked)),
            }),
        }
    }

    /// The bytes that came are kept for the next attempt. The flight ends before the readers are cut, so that nobody
    /// boards one that is over.
    async fn give_up(&self, staged: Staged, error: Error, permit: &mut Pilot) -> Error {
        permit.clear();
        self.report(permit, Progress::Failed(error.clone()));
        if staged.is_empty()
            && let Err(error) = self.pull.store.discard(staged).await
        {
            tracing::warn!(%error, digest = %self.digest, "cannot discard an empty partial");
        }
        error
    }

    /// Brings every byte, from wherever it has to come.
    async fn fetch(&self, staged: &Staged, first: Option<(u64, BlobBody)>, permit: &Pilot) -> Result<(), Error> {
        let arriving = staged.arriving();
        let main = self.main_stream(staged, first, permit);
        tokio::pin!(main);
        let mut sides = FuturesUnordered::new();
        let mut no_sides_before = Instant::now();
        let mut knows_ranges = true;
        let mut look_again = None;
        let closing = self.pull.tasks.closing();
        loop {
            tokio::select! {
                done = &mut main => return done,
                () = closing.cancelled() => return Err(Lost.into()),
                Some(brought) = sides.next(), if !sides.is_empty() => match brought {
                    Ok(Brought::All) => {}
                    Ok(Brought::Nothing) => knows_ranges = false,
                    Err(error) => {
                        tracing::debug!(%error, digest = %self.digest, "a side stream failed");
                        no_sides_before = Instant::now() + SIDE_PAUSE;
                    }
                },
                () = arriving.demand.notified() => {}
                () = until(look_again) => {}
            }
            look_again = None;
            let now = Instant::now();
            while knows_ranges && sides.len() < SIDE_STREAMS && look_again.is_none() {
                match arriving.wanted(now) {
                    Demand::Fetch(_) if now < no_sides_before => look_again = Some(no_sides_before),
                    Demand::Fetch(span) => sides.push(self.side_stream(staged, arriving.claim(span))),
                    Demand::LookAgain(then) => look_again = Some(then),
                    Demand::Nothing => break,
                }
            }
        }
    }

    /// From the first missing byte to the last, over as many bodies as it takes.
    async fn main_stream(
        &self,
        staged: &Staged,
        mut first: Option<(u64, BlobBody)>,
        permit: &Pilot,
    ) -> Result<(), Error> {
        let arriving = staged.arriving();
        let mut barren = 0;
        loop {
            let (before, _) = arriving.present();
            let attempt = match (first.take(), arriving.gap()) {
                (Some((from, body)), _) => self.one_body(staged, from, body, permit).await,
                (None, Gap::From(from)) => {
                    // Said before the answer is there: a reader that comes here has not far to wait.
                    arriving.main_is_at(from);
                    match self.ask(from).await {
                        Ok(body) => self.one_body(staged, from, body, permit).await,
                        Err(error) => Err(error),
                    }
                }
                (None, Gap::Claimed) => {
                    arriving.moved.notified().await;
                    continue;
                }
                (None, Gap::None) => break,
            };
            let Err(error) = attempt else { continue };
            barren = if arriving.present().0 > before { 0 } else { barren + 1 };
            if barren == BARREN_ATTEMPTS || !error.is_worth_another_try() {
                return Err(error);
            }
            tracing::debug!(%error, digest = %self.digest, barren, "resuming a broken body");
            if barren > 0 {
                sleep(BARREN_PAUSE * 2u32.pow(barren - 1)).await;
            }
        }
        self.announce(staged, permit);
        Ok(())
    }

    /// One body of the main stream, asked for from `from` on; it ends when what follows is here or comes from elsewhere.
    async fn one_body(&self, staged: &Staged, from: u64, body: BlobBody, permit: &Pilot) -> Result<(), Error> {
        let arriving = staged.arriving();
        self.agree_on_length(arriving, body.total())?;
        // An upstream that does not know ranges begins at 0, whatever it was asked for.
        let mut at = body.start();
        arriving.main_is_at(at);
        self.announce(staged, permit);
        let mut batches = Batches::new(body);
        loop {
            if let Some(length) = arriving.length() {
                let taken = arriving.taken_until(at);
                if taken >= length || at >= from && taken - at >= READ_THROUGH {
                    return Ok(());
                }
            }
            let Some(chunks) = batches.next().await? else { break };
            let size: usize = chunks.iter().map(Bytes::len).sum();
            staged.write(at, chunks).await?;
            at += size as u64;
            arriving.main_is_at(at);
        }
        match arriving.length() {
            Some(length) if at < length => Err(Error::Length {
                upstream: self.place.upstream(),
                digest: self.digest,
                told: at,
                known: length,
            }),
            Some(_) => Ok(()),
            None => {
                arriving.set_length(at);
                Ok(())
            }
        }
    }

    async fn ask(&self, from: u64) -> Result<BlobBody, Error> {
        let Place { mirror, remote, .. } = &self.place;
        let span = Span { from, to: None };
        let asked = self
            .pull
            .client
            .get_blob(mirror, remote, &self.digest, span, &self.tally)
            .await;
        asked.map_err(|error| Error::of_blob(&self.digest, error))
    }

    /// One bounded body for a reader far from the main stream.
    async fn side_stream(&self, staged: &Staged, claim: Claim) -> Result<Brought, Error> {
        let span = claim.span();
        let Place { mirror, remote, .. } = &self.place;
        let asked = Span {
            from: span.start,
            to: Some(span.end - 1),
        };
        let body = self
            .pull
            .client
            .get_blob(mirror, remote, &self.digest, asked, &self.tally)
            .await?;
        self.agree_on_length(staged.arriving(), body.total())?;
        let mut at = body.start();
        if at != span.start {
            // The upstream does not know ranges: this would be the whole blob again.
            return Ok(Brought::Nothing);
        }
        let mut batches = Batches::new(body);
        while at < span.end {
            let Some(chunks) = batches.next().await? else { break };
            let size: usize = chunks.iter().map(Bytes::len).sum();
            staged.write(at, chunks).await?;
            at += size as u64;
        }
        Ok(Brought::All)
    }

    fn agree_on_length(&self, arriving: &Arriving, told: Option<u64>) -> Result<(), Error> {
        match (arriving.length(), told) {
            (Some(known), Some(told)) if known != told => Err(Error::Length {
                upstream: self.place.upstream(),
                digest: self.digest,
                told,
                known,
            }),
            (None, Some(told)) => {
                arriving.set_length(told);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn announce(&self, staged: &Staged, permit: &Pilot) {
        if !matches!(permit.latest().1, Progress::Arriving(_)) {
            self.report(permit, Progress::Arriving(Arc::clone(staged.arriving())));
        }
    }

    fn report(&self, permit: &Pilot, progress: Progress) {
        permit.report((self.place.clone(), progress));
    }
}

async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}
