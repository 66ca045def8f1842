//! The bytes of a blob in order, past the store: those that a staging file has all the same from there, all others from the
//! upstream, over as many bodies as it takes.
//!
//! Promises that a broken body is resumed where it broke, at the next endpoint where the one brings nothing any more, and a
//! slot in the mirror's lane for as long as there is a body. Never more than a batch in memory. Dropped: the body is, too.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::pull::attempts::{Attempts, Failed};
use crate::pull::batch::Batches;
use crate::pull::blame::mismatch;
use crate::pull::errand::Errand;
use crate::pull::fill::Sources;
use crate::pull::flight::Lost;
use crate::pull::{Error, Place};
use crate::store::Reader;
use crate::upstream::{BlobBody, Endpoint, Slot, Span};

/// How much is read from the file at a time, in bytes.
const FRAME: u64 = 64 * 1024;

pub(super) struct Flow {
    errand: Arc<Errand>,
    sources: Sources,
    /// Who reads the staging file, while that can be read.
    kept: Option<Reader>,
    /// Below this, only the bytes of the file will do: the client has them, or nobody hashes them any more.
    bound: u64,
    /// Of the whole blob, in bytes.
    length: Option<u64>,
    at: u64,
    /// Where it ends (exclusive), where that is known.
    end: Option<u64>,
    body: Option<Body>,
    slot: Option<Slot>,
    attempts: Attempts,
}

/// A body under way.
struct Body {
    batches: Batches,
    giver: Arc<Endpoint>,
    /// Where it is in the blob. An upstream that does not know ranges begins at 0.
    at: u64,
    /// Where it ends (exclusive), if the upstream told.
    end: Option<u64>,
    /// Where it was asked for, and where what was asked for ends (exclusive).
    wanted: Range<u64>,
}

impl Flow {
    /// Of a blob of `length` bytes, if that is known.
    pub(super) fn new(errand: Arc<Errand>, length: Option<u64>) -> Result<Self, Error> {
        let Place { mirror, .. } = &errand.place;
        let innocent = errand.pull.blame.innocent(mirror, &errand.digest, Instant::now())?;
        Ok(Self {
            sources: Sources::new(innocent),
            errand,
            kept: None,
            bound: 0,
            length,
            at: 0,
            end: length,
            body: None,
            slot: None,
            attempts: Attempts::default(),
        })
    }

    /// The same, with what a file has of it; below `bound` nothing else will do.
    pub(super) fn beside(self, kept: Reader, bound: u64) -> Self {
        let kept = Some(kept);
        Self { kept, bound, ..self }
    }

    /// The whole blob's length in bytes, once known.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Where the next bytes are.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Gives this span from now on.
    pub(super) fn go_to(&mut self, span: &Range<u64>) {
        self.body = None;
        self.at = span.start;
        self.end = (span.end != u64::MAX).then_some(span.end).or(self.length);
    }

    /// Asks for the first bytes: most failures are the upstream's first word.
    pub(super) async fn open(&mut self) -> Result<(), Error> {
        let wanted = self.at..self.missing_until();
        if let Some((body, slot)) = self.errand.leftover.take()
            && body.start() == self.at
        {
            self.slot = Some(slot);
            self.follow(body, wanted);
            return Ok(());
        }
        if self.slot.is_none() {
            let closing = self.errand.pull.tasks.closing();
            let slot = closing.run_until_cancelled_owned(self.errand.place.mirror.lane().enter(|| true));
            self.slot = Some(slot.await.ok_or(Lost)?);
        }
        let to_the_end = self.length.is_none_or(|length| wanted.end >= length);
        let span = Span {
            from: wanted.start,
            to: (!to_the_end).then(|| wanted.end - 1),
        };
        let body = self.errand.ask(&self.sources, span, self.length).await?;
        self.follow(body, wanted);
        Ok(())
    }

    fn follow(&mut self, body: BlobBody, wanted: Range<u64>) {
        self.sources.gives(body.endpoint());
        if self.length.is_none()
            && let Some(total) = body.total()
        {
            self.set_length(total);
        }
        self.body = Some(Body {
            giver: Arc::clone(body.endpoint()),
            at: body.start(),
            end: body.end(),
            wanted,
            batches: Batches::new(body),
        });
    }

    /// The next bytes, one behind the other; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Error> {
        while self.end.is_none_or(|end| self.at < end) {
            if let Some(bytes) = self.read_kept().await? {
                return Ok(Some(vec![bytes]));
            }
            let began_at = self.body.as_ref().map_or(self.at, |body| body.wanted.start);
            match self.fetch().await {
                Ok(chunks) if chunks.is_empty() => {}
                Ok(chunks) => return Ok(Some(chunks)),
                // Every byte has come: an earlier body only never told its end.
                Err(Error::Upstream(source)) if self.length.is_none() && source.total() == Some(self.at) => {
                    self.set_length(self.at);
                }
                Err(error) => {
                    let giver = self.body.take().map(|body| body.giver);
                    let brought = self.at > began_at;
                    let failed = Failed { error, brought, giver };
                    let closing = self.errand.pull.tasks.closing();
                    let again = closing.run_until_cancelled_owned(self.attempts.failed(failed, &self.sources));
                    again.await.ok_or(Lost)??;
                }
            }
        }
        Ok(None)
    }

    /// What all of it hashes to is something else. Whoever sent it is left alone for a while; bytes of a file, or of several
    /// endpoints, accuse nobody the first time.
    pub(super) fn is_wrong(&self) -> Error {
        let (blame, digest) = (&self.errand.pull.blame, &self.errand.digest);
        let (mirror, givers, now) = (&self.errand.place.mirror, self.sources.givers(), Instant::now());
        let in_doubt = self.kept.is_some() || givers.len() > 1;
        if !in_doubt || !blame.doubt(mirror.key(), digest, now) {
            blame.strike(&givers, digest, now);
        }
        mismatch(givers.last().unwrap_or(mirror.endpoint()), digest)
    }

    /// All of it is what it should be.
    pub(super) fn is_right(&self) {
        let blame = &self.errand.pull.blame;
        blame.clear(&self.sources.givers(), &self.errand.digest);
    }

    async fn read_kept(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let present = kept.arriving().present_of(self.at..self.end.unwrap_or(u64::MAX));
        if present.is_empty() {
            return Ok(None);
        }
        self.body = None;
        let room = usize::try_from(present.len().min(FRAME)).unwrap_or_default();
        match present.read(0, vec![0; room].into_boxed_slice()).await {
            Ok((buffer, read)) => {
                self.at += read as u64;
                Ok(Some(Bytes::from(buffer).slice(..read)))
            }
            Err(error) if self.at < self.bound => Err(error.into()),
            Err(error) => {
                self.errand.pull.complaints.tell("cannot read a partial", &error);
                self.kept = None;
                Ok(None)
            }
        }
    }

    /// Chunks of the body under way, or of a new one; none where that has ended.
    async fn fetch(&mut self) -> Result<Vec<Bytes>, Error> {
        if self.body.is_none() {
            self.open().await?;
        }
        let Some(body) = &mut self.body else {
            return Ok(Vec::new());
        };
        let Some(chunks) = body.batches.next().await? else {
            return self.body_ended();
        };
        let mut wanted = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let (start, size) = (body.at, chunk.len() as u64);
            body.at += size;
            let within = |position: u64| usize::try_from(position.saturating_sub(start).min(size)).unwrap_or_default();
            let part = chunk.slice(within(self.at)..within(body.wanted.end.max(self.at)));
            self.at += part.len() as u64;
            wanted.push(part);
        }
        wanted.retain(|part| !part.is_empty());
        if self.at >= body.wanted.end {
            self.body = None;
        }
        Ok(wanted)
    }

    /// In good order, but perhaps too early.
    fn body_ended(&mut self) -> Result<Vec<Bytes>, Error> {
        let Some(body) = &self.body else { return Ok(Vec::new()) };
        match self.length {
            Some(length) if body.at < body.end.unwrap_or(length) => {
                return Err(self.errand.other_length(&body.giver, body.at, length));
            }
            Some(_) => {}
            None => self.set_length(body.at),
        }
        self.body = None;
        Ok(Vec::new())
    }

    /// Where, behind what is missing now, the file or the span goes on.
    fn missing_until(&self) -> u64 {
        let island = self
            .kept
            .as_ref()
            .and_then(|kept| kept.arriving().present_after(self.at));
        let ends = [island, self.end, self.length];
        ends.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    fn set_length(&mut self, length: u64) {
        self.length = Some(length);
        self.end = Some(self.end.map_or(length, |end| end.min(length)));
    }
}
