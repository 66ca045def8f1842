//! The streams that bring one blob: the main one, from the first missing byte to the end over as many bodies as it takes, and
//! up to four side streams for readers far ahead of it, and for the pieces ahead where `segments` says so.
//!
//! Promises that a broken body is resumed where it broke, at the next endpoint where the one brings nothing any more.
//! Dropped: what has been written stays.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::sources::Sources;
use super::{PIECE, Pilot};
use crate::pull::Error;
use crate::pull::attempts::{Attempts, Failed};
use crate::pull::batch::Batches;
use crate::pull::errand::Errand;
use crate::pull::flight::Lost;
use crate::store::{Arriving, Claim, Demand, Gap, Staged};
use crate::upstream::{BlobBody, Slot, Span};

/// Side streams at a time for one blob.
const SIDE_STREAMS: usize = 4;
/// After a side stream failed, none is started for so long: the main stream comes anyway.
const SIDE_PAUSE: Duration = Duration::from_secs(1);
/// The main stream reads through what is present when it is less than this, in bytes, and asks anew behind it when it
/// is more: dropping a body costs the upstream what is under way.
const READ_THROUGH: u64 = 1024 * 1024;

/// What a side stream came to.
enum Brought {
    All,
    Nothing,
}

impl Errand {
    /// Brings every byte, from wherever it has to come.
    pub(super) async fn fetch(
        &self,
        staged: &Staged,
        sources: &Sources,
        first: Option<(u64, BlobBody)>,
        slot: &mut Slot,
        permit: &Pilot,
    ) -> Result<(), Error> {
        let arriving = staged.arriving();
        // Asked for a piece, and given that piece: there are bytes for others to bring.
        let is_shared = first.as_ref().is_some_and(|(from, body)| {
            arriving.main_is_at(*from);
            body.end() < body.total()
        });
        let segments = if is_shared { self.place.mirror.segments() } else { 1 };
        let main = self.main_stream(staged, sources, first, slot, permit);
        tokio::pin!(main);
        let lane = self.place.mirror.lane();
        let mut sides = FuturesUnordered::new();
        let mut no_sides_before = Instant::now();
        let mut knows_ranges = true;
        let closing = self.pull.tasks.closing();
        loop {
            let now = Instant::now();
            let mut look_again = None;
            while knows_ranges && look_again.is_none() {
                let span = match wanted(arriving, sides.len(), segments, now) {
                    Demand::Fetch(_) if now < no_sides_before => {
                        look_again = Some(no_sides_before);
                        break;
                    }
                    Demand::Fetch(span) => span,
                    Demand::LookAgain(then) => {
                        look_again = Some(then);
                        break;
                    }
                    Demand::Nothing => break,
                };
                match lane.try_enter() {
                    Some(slot) => sides.push(self.side_stream(staged, sources, arriving.claim(span), slot)),
                    None => look_again = Some(now + SIDE_PAUSE),
                }
            }
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
        }
    }

    /// From the first missing byte to the last, over as many bodies as it takes.
    async fn main_stream(
        &self,
        staged: &Staged,
        sources: &Sources,
        mut first: Option<(u64, BlobBody)>,
        slot: &mut Slot,
        permit: &Pilot,
    ) -> Result<(), Error> {
        let arriving = staged.arriving();
        let mut attempts = Attempts::default();
        loop {
            if first.is_none() && self.makes_way(arriving, permit) {
                let (arriving, boarded) = (Arc::clone(arriving), permit.boarded());
                slot.give_way(move || boarded() || arriving.is_read()).await;
            }
            let (before, _) = arriving.present();
            let asked = match (first.take(), arriving.gap()) {
                (Some(asked), _) => Ok(asked),
                (None, Gap::From(from)) => {
                    // Said before the answer is there: a reader that comes here has not far to wait.
                    arriving.main_is_at(from);
                    let body = self.ask(sources, self.span_from(from), arriving.length()).await;
                    body.map(|body| (from, body))
                }
                (None, Gap::Claimed) => {
                    arriving.moved.notified().await;
                    continue;
                }
                (None, Gap::None) => break,
            };
            let (giver, attempt) = match asked {
                Ok((from, body)) => {
                    sources.gives(body.endpoint());
                    let giver = Arc::clone(body.endpoint());
                    (Some(giver), self.one_body(staged, from, body, permit).await)
                }
                Err(error) => (None, Err(error)),
            };
            let Err(error) = attempt else { continue };
            let brought = arriving.present().0 > before;
            attempts.failed(Failed { error, brought, giver }, sources).await?;
        }
        self.announce(staged, permit);
        Ok(())
    }

    /// One body of the main stream, asked for from `from` on; it ends when what follows is here or comes from elsewhere.
    async fn one_body(&self, staged: &Staged, from: u64, body: BlobBody, permit: &Pilot) -> Result<(), Error> {
        let arriving = staged.arriving();
        let (endpoint, end) = (Arc::clone(body.endpoint()), body.end());
        self.agree_on_length(arriving, &body)?;
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
            if self.makes_way(arriving, permit) {
                return Ok(());
            }
            let Some(chunks) = batches.next().await? else { break };
            let size: usize = chunks.iter().map(Bytes::len).sum();
            staged.write(at, chunks).await?;
            at += size as u64;
            arriving.main_is_at(at);
        }
        match arriving.length() {
            Some(length) if at < end.unwrap_or(length) => Err(self.other_length(&endpoint, at, length)),
            Some(_) => Ok(()),
            None => {
                arriving.set_length(at);
                Ok(())
            }
        }
    }

    /// Whether others wait for a body, and nobody for this one.
    fn makes_way(&self, arriving: &Arriving, permit: &Pilot) -> bool {
        !is_awaited(arriving, permit) && self.place.mirror.lane().is_wanted()
    }

    /// One bounded body for a reader far from the main stream.
    async fn side_stream(
        &self,
        staged: &Staged,
        sources: &Sources,
        claim: Claim,
        _slot: Slot,
    ) -> Result<Brought, Error> {
        let span = claim.span();
        let arriving = staged.arriving();
        let asked = Span {
            from: span.start,
            to: Some(span.end - 1),
        };
        let body = self.ask(sources, asked, arriving.length()).await?;
        self.agree_on_length(arriving, &body)?;
        let mut at = body.start();
        if at != span.start {
            // The upstream does not know ranges: this would be the whole blob again.
            return Ok(Brought::Nothing);
        }
        sources.gives(body.endpoint());
        let mut batches = Batches::new(body);
        while at < span.end {
            let Some(chunks) = batches.next().await? else { break };
            let size: usize = chunks.iter().map(Bytes::len).sum();
            staged.write(at, chunks).await?;
            at += size as u64;
        }
        Ok(Brought::All)
    }

    fn agree_on_length(&self, arriving: &Arriving, body: &BlobBody) -> Result<(), Error> {
        match (arriving.length(), body.total()) {
            (Some(known), Some(told)) if known != told => Err(self.other_length(body.endpoint(), told, known)),
            (None, Some(told)) => {
                arriving.set_length(told);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What the next side stream should bring, beside so many that run: what readers need first, then the pieces ahead.
fn wanted(arriving: &Arriving, running: usize, segments: usize, now: Instant) -> Demand {
    let wanted = match running {
        0..SIDE_STREAMS => arriving.wanted(now),
        _ => Demand::Nothing,
    };
    if matches!(wanted, Demand::Fetch(_)) || running + 1 >= segments {
        return wanted;
    }
    arriving.ahead(PIECE).map_or(wanted, Demand::Fetch)
}

/// Whether anybody waits for this blob.
fn is_awaited(arriving: &Arriving, permit: &Pilot) -> bool {
    permit.has_passengers() || arriving.is_read()
}

async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}
