//! One client's own fetch, past a store that cannot take or give the blob: full, broken, or closed.
//!
//! Promises P3 to the letter: of a response that could complete the blob every byte is hashed, from byte 0 on, and the last
//! one is given once the digest is proven; other ranges leave as they come. Stores nothing, and holds a batch at most.
//! Dropped when its client leaves: the upstream's body ends with it.

mod flow;
mod proof;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{TryStreamExt, stream};

use crate::oci::Hasher;
use crate::pull::errand::Errand;
use crate::pull::flight::Lost;
use crate::pull::{Cut, Error};
use crate::store::{Blob, Extent, Reader};
use flow::Flow;
use proof::Proof;

/// What a client asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// In this order.
    pub(super) ranges: VecDeque<Range<u64>>,
    /// Whether these ranges, put together by the client, could be the whole blob.
    pub(super) completing: bool,
}

/// A fetch that nobody shares.
pub(super) struct Relay {
    errand: Arc<Errand>,
    flow: Flow,
    ranges: VecDeque<Range<u64>>,
    /// While the blob is to be proven.
    proof: Option<Proof>,
    /// To be given.
    ready: VecDeque<Bytes>,
    /// To be given once it is proven or, with the length unknown, once more has come.
    held: Option<Bytes>,
    over: bool,
}

impl Relay {
    /// Of a blob of `length` bytes, if that is known. The upstream has answered when it is there.
    pub(super) async fn open(errand: Arc<Errand>, length: Option<u64>, wanted: Wanted) -> Result<Self, Error> {
        let flow = Flow::new(Arc::clone(&errand), length)?;
        let hasher = Hasher::new(errand.digest.algorithm());
        let mut relay = Self::new(errand, flow, Proof::new(hasher, 0), wanted)?;
        match relay.flow.length() {
            // With no byte to hold back, the head of the response would already complete it.
            Some(0) => drop(relay.next().await?),
            Some(_) | None => relay.flow.open().await?,
        }
        Ok(relay)
    }

    /// From where a reader is whose arrival the store could not go on with.
    async fn instead_of(errand: Arc<Errand>, reader: Reader, wanted: Wanted) -> Result<Self, Error> {
        let (hasher, known) = if wanted.completing {
            reader.arriving().hashed().await
        } else {
            (Hasher::new(errand.digest.algorithm()), 0)
        };
        let given = wanted.ranges.front().map_or(0, |range| range.start);
        let flow = Flow::new(Arc::clone(&errand), reader.arriving().length())?;
        let bound = if wanted.completing { given.max(known) } else { 0 };
        let flow = flow.beside(reader, bound);
        Self::new(errand, flow, Proof::new(hasher, known), wanted)
    }

    fn new(errand: Arc<Errand>, mut flow: Flow, proof: Proof, wanted: Wanted) -> Result<Self, Error> {
        let Wanted { ranges, completing } = wanted;
        let mut both = ranges.iter().zip(ranges.iter().skip(1));
        if completing && !both.all(|(one, next)| one.end <= next.start) {
            // One pass from byte 0 on cannot give these.
            return Err(Lost.into());
        }
        let start = ranges.front().map_or(u64::MAX, |range| range.start);
        if completing {
            flow.go_to(&(start.min(proof.at())..u64::MAX));
        } else if let Some(first) = ranges.front() {
            flow.go_to(first);
        }
        Ok(Self {
            errand,
            flow,
            proof: completing.then_some(proof),
            over: ranges.is_empty() && !completing,
            ranges,
            ready: VecDeque::new(),
            held: None,
        })
    }

    /// Proves the blob without giving anything of it: its length in bytes.
    pub(super) async fn length(errand: Arc<Errand>) -> Result<u64, Error> {
        let nothing = Wanted {
            ranges: VecDeque::new(),
            completing: true,
        };
        let mut relay = Box::pin(Self::open(errand, None, nothing)).await?;
        while relay.next().await?.is_some() {}
        Ok(relay.flow.at())
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some(bytes));
            }
            if self.over {
                return Ok(None);
            }
            let at = self.flow.at();
            match (self.flow.next().await?, self.proof.take()) {
                (Some(chunks), Some(proof)) => {
                    let (proof, chunks) = proof.hash(at, chunks, &self.errand.pull.tasks).await?;
                    self.proof = Some(proof);
                    self.give(at, chunks);
                }
                (Some(chunks), None) => self.give(at, chunks),
                (None, Some(proof)) => self.prove(proof)?,
                (None, None) => self.next_range(),
            }
        }
    }

    /// Puts what the client asked for of these chunks, which begin at `at`, to what is to be given.
    fn give(&mut self, mut at: u64, chunks: Vec<Bytes>) {
        // More has come.
        self.ready.extend(self.held.take());
        let come: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let free = match (&self.proof, self.flow.length()) {
            (None, _) => u64::MAX,
            (Some(_), Some(length)) => length - 1,
            (Some(_), None) => at + come - 1,
        };
        for chunk in chunks {
            let end = at + chunk.len() as u64;
            let within = |position: u64| usize::try_from(position.clamp(at, end) - at).unwrap_or_default();
            for range in self.ranges.iter().filter(|range| range.start < end && at < range.end) {
                let (from, to) = (within(range.start), within(range.end));
                let held_from = within(free).clamp(from, to);
                self.ready.push_back(chunk.slice(from..held_from));
                if held_from < to {
                    self.held = Some(chunk.slice(held_from..to));
                }
            }
            at = end;
        }
        self.ready.retain(|bytes| !bytes.is_empty());
    }

    fn prove(&mut self, proof: Proof) -> Result<(), Error> {
        if proof.finish() != self.errand.digest {
            return Err(self.flow.is_wrong());
        }
        self.flow.is_right();
        self.ready.extend(self.held.take());
        self.over = true;
        Ok(())
    }

    fn next_range(&mut self) {
        self.ranges.pop_front();
        match self.ranges.front() {
            Some(range) => self.flow.go_to(range),
            None => self.over = true,
        }
    }

    /// All of it, as it comes.
    pub(super) fn extents(self) -> impl Stream<Item = Result<Extent, Cut>> + Send + 'static {
        let tasks = self.errand.pull.tasks.clone();
        stream::try_unfold((self, tasks), async |(mut relay, tasks)| match relay.next().await {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => {
                let size = bytes.len() as u64;
                let extent = Blob::memory(bytes, tasks.clone()).extent(0..size);
                Ok(Some((extent, (relay, tasks))))
            }
            Err(error) => {
                tracing::debug!(%error, digest = %relay.errand.digest, "a relay failed");
                Err(Cut)
            }
        })
    }
}

/// What a reader was to give, now that its arrival ended for want of a store.
pub(super) fn instead_of(
    errand: Arc<Errand>,
    reader: Reader,
    wanted: Wanted,
) -> impl Stream<Item = Result<Extent, Cut>> + Send + 'static {
    let relay = async move {
        let digest = errand.digest;
        let relay = Relay::instead_of(errand, reader, wanted).await;
        relay.map(Relay::extents).map_err(|error| {
            tracing::debug!(%error, %digest, "a relay cannot begin");
            Cut
        })
    };
    stream::once(relay).try_flatten()
}
