//! One blob's way from the upstream into the store: the only way bytes enter.
//!
//! Promises that it goes on whoever leaves, that a broken body is resumed where it broke, that wrong bytes are fetched from
//! the next endpoint, and that nothing is stored that is not proven. Never talks to a client: readers follow the
//! `Arriving`. It is spawned and detached; when wharf winds down it parks what it has.

mod landings;
mod sources;
mod streams;

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;

use crate::oci::Digest;
use crate::pull::errand::{Errand, whole_from};
use crate::pull::flight::{Lost, Permit};
use crate::pull::{Error, Place};
use crate::store::{self, Arriving, Blob, Ending, Sight, Staged, Unproven, piece_end};
use crate::upstream::{BlobBody, Slot, Span, Verdict};
pub(super) use sources::Sources;

pub(super) use landings::Landings;

/// How much one body brings where several share a blob, in bytes: enough to be worth a request, and little enough for
/// readers not to wait long for the first of them.
const PIECE: u64 = 16 * 1024 * 1024;

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

/// What the upstream's first answer came to.
struct First {
    /// Where it was asked from, and the body; none when nothing is missing.
    body: Option<(u64, BlobBody)>,
    /// The blob's length in bytes, where it is known.
    length: Option<u64>,
}

/// What waiting in line came to.
enum Turn {
    Ours(Slot),
    Stored(Blob),
}

/// A flight's permit and what its passengers know.
type Pilot = Permit<Key, (Place, Progress)>;

impl Errand {
    /// Flies: reports to the passengers until the blob is stored or the fetch has failed.
    pub(super) async fn fill(self: Arc<Self>, mut permit: Pilot) {
        match self.land(&mut permit).await {
            Ok(blob) => permit.land((self.place.clone(), Progress::Stored(blob))),
            Err(error) => {
                let (mirror, cause): (_, &dyn StdError) = (self.place.mirror.key(), &error);
                tracing::debug!(cause, digest = %self.digest, mirror, "a fill failed");
                if let Error::Store(error) = &error {
                    // Clients may have got every byte of it: only the log can say that the store fails.
                    self.pull.complaints.tell("cannot keep a blob", error);
                }
                permit.land((self.place.clone(), Progress::Failed(error)));
            }
        }
        self.pull.landings.tell(&self.digest);
    }

    async fn land(&self, permit: &mut Pilot) -> Result<Blob, Error> {
        let Self {
            pull, place, digest, ..
        } = self;
        let mirror = place.mirror.key();
        // The last flight may just have landed.
        let (sight, stored) = self.look().await?;
        if let Some(blob) = stored {
            return Ok(blob);
        }
        let mut slot = match self.wait_in_line(permit).await? {
            Turn::Ours(slot) => slot,
            Turn::Stored(blob) => return Ok(blob),
        };
        let mut in_doubt = false;
        loop {
            let innocent = pull.blame.innocent(&place.mirror, digest, Instant::now())?;
            let sources = Sources::new(innocent);
            let First { body, length } = self.first_body(&sources, sight.link.is_some()).await?;
            let staged = match pull.store.stage(mirror, &place.remote, digest, length).await {
                Ok(staged) => staged,
                Err(error) => return Err(self.leave(body, slot, error)),
            };
            let resumed = staged.is_resumed();
            let wrong = match self.fetch(&staged, &sources, body, &mut slot, permit).await {
                Ok(()) => match staged.verify().await {
                    Ok(verified) => {
                        pull.blame.clear(&sources.givers(), digest);
                        return Ok(pull.store.commit(verified, mirror, &place.key).await?);
                    }
                    Err(Unproven::Unreadable { staged, error }) => {
                        staged.arriving().end(Ending::Unkept);
                        pull.store.discard(staged).await?;
                        return Err(error.into());
                    }
                    Err(Unproven::Mismatch { staged, .. }) => staged,
                },
                Err(error) => return Err(self.give_up(staged, error, permit).await),
            };
            // Bytes of an earlier attempt, or of several endpoints, accuse nobody: once from zero.
            let givers = sources.givers();
            in_doubt = !in_doubt && (resumed || givers.len() > 1);
            if !in_doubt {
                pull.blame.strike(&givers, digest, Instant::now());
            }
            let others = pull.blame.innocent(&place.mirror, digest, Instant::now());
            let outcome = others.map_or_else(Progress::Failed, |_| Progress::Asking);
            self.report(permit, outcome.clone());
            pull.store.discard(wrong).await?;
            if let Progress::Failed(error) = outcome {
                return Err(error);
            }
        }
    }

    async fn look(&self) -> Result<(Sight, Option<Blob>), Error> {
        let Self {
            pull, place, digest, ..
        } = self;
        let sight = pull.store.sight(&place.key, digest).await?;
        let stored = pull.stored(place, digest, &sight, &self.tally).await?;
        Ok((sight, stored))
    }

    /// Waits for a slot in the mirror's lane, or until somebody else has stored the blob.
    async fn wait_in_line(&self, permit: &Pilot) -> Result<Turn, Error> {
        let (lane, closing) = (self.place.mirror.lane(), self.pull.tasks.closing());
        if let Some(slot) = lane.try_enter() {
            return Ok(Turn::Ours(slot));
        }
        let mut slot = pin!(lane.enter(permit.boarded()));
        let mut landed = pin!(self.pull.landings.next(&self.digest));
        loop {
            tokio::select! {
                biased;
                slot = &mut slot => return Ok(Turn::Ours(slot)),
                () = closing.cancelled() => return Err(Lost.into()),
                () = &mut landed => {}
            }
            // Listening again before looking, so that none is missed.
            landed.set(self.pull.landings.next(&self.digest));
            if let Some(blob) = self.look().await?.1 {
                return Ok(Turn::Stored(blob));
            }
        }
    }

    /// Asks before anything is written: most failures are the upstream's first word.
    async fn first_body(&self, sources: &Sources, linked: bool) -> Result<First, Error> {
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
        let asked = match self.ask(sources, self.span_from(from), self.expected).await {
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
                self.ask(sources, whole_from(0), None).await?
            }
            asked => asked?,
        };
        Ok(First {
            length: asked.total().or(self.expected),
            body: Some((from, asked)),
        })
    }

    /// The store takes none of it: whoever began this may have what the upstream has begun to send.
    fn leave(&self, body: Option<(u64, BlobBody)>, slot: Slot, error: store::Error) -> Error {
        if let Some((_, body)) = body {
            self.leftover.leave(body, slot);
        }
        error.into()
    }

    /// The bytes that came are kept for the next attempt. The flight ends before the readers are cut, so that nobody
    /// boards one that is over. Where it is the store that fails they are not: each goes on by a relay, over what the file
    /// has, which therefore nobody takes up again; and a disk that is full has its space back.
    async fn give_up(&self, staged: Staged, error: Error, permit: &mut Pilot) -> Error {
        permit.clear();
        self.report(permit, Progress::Failed(error.clone()));
        let unkept = error.is_of_the_disk();
        if unkept {
            staged.arriving().end(Ending::Unkept);
        }
        if (unkept || staged.is_empty())
            && let Err(error) = self.pull.store.discard(staged).await
        {
            self.pull.complaints.tell("cannot discard a partial", &error);
        }
        error
    }

    /// What the main stream asks for: all that follows, or a piece where several bodies are to share the blob. Its length
    /// must be known before: a body that is broken off costs the upstream what is under way.
    fn span_from(&self, from: u64) -> Span {
        match self.expected {
            Some(length) if self.place.mirror.segments() > 1 => Span {
                from,
                to: Some(piece_end(from, PIECE).min(length) - 1),
            },
            Some(_) | None => whole_from(from),
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
