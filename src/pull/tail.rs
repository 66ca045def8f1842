//! What one client reads: extents of a stored blob, or of one that still arrives, as the bytes become present.
//!
//! Owns the client's position. Promises P3: a response that could complete the blob gives its last byte only once the
//! digest is proven, and any other way to end early is an error, never a clean end. Never fetches while the store can: it
//! waits, and the fill sees what it waits for; where the store cannot go on, a relay does. Dropping a tail changes nothing for
//! anybody.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::pull::errand::Errand;
use crate::pull::relay::{self, Wanted};
use crate::store::{Blob, Extent, Reader, Stopped};

/// A stream of extents. An error says that the connection must be cut.
#[derive(Debug)]
pub struct Tail(Source);

/// What was to come does not come, or is wrong: the response must be cut, never ended cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the blob stopped arriving")]
pub struct Cut;

enum Source {
    Stored(Blob, VecDeque<Range<u64>>),
    Arriving(Box<Following>),
    Relayed(Pin<Box<dyn Stream<Item = Result<Extent, Cut>> + Send>>),
}

struct Following {
    reader: Reader,
    wanted: Wanted,
    errand: Arc<Errand>,
}

impl Tail {
    pub(super) fn stored(blob: Blob, ranges: VecDeque<Range<u64>>) -> Self {
        Self(Source::Stored(blob, ranges))
    }

    pub(super) fn arriving(reader: Reader, wanted: Wanted, errand: Arc<Errand>) -> Self {
        Self(Source::Arriving(Box::new(Following { reader, wanted, errand })))
    }

    pub(super) fn relayed(extents: impl Stream<Item = Result<Extent, Cut>> + Send + 'static) -> Self {
        Self(Source::Relayed(Box::pin(extents)))
    }
}

impl Following {
    /// The next extent; `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Extent, Stopped>>> {
        let Wanted { ranges, completing } = &mut self.wanted;
        while let Some(range) = ranges.front_mut() {
            let extent = ready!(self.reader.poll_run(cx, range.clone(), *completing));
            match &extent {
                Ok(extent) if extent.is_empty() => {
                    ranges.pop_front();
                    continue;
                }
                Ok(extent) => range.start += extent.len(),
                Err(_) => {}
            }
            return Poll::Ready(Some(extent));
        }
        Poll::Ready(None)
    }

    /// The rest, past the store.
    fn relay(&self) -> Source {
        let (errand, reader) = (Arc::clone(&self.errand), Reader::of(self.reader.arriving()));
        Source::Relayed(Box::pin(relay::instead_of(errand, reader, self.wanted.clone())))
    }
}

impl Stream for Tail {
    type Item = Result<Extent, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = match &mut self.0 {
                Source::Stored(blob, ranges) => return Poll::Ready(ranges.pop_front().map(|it| Ok(blob.extent(it)))),
                Source::Relayed(extents) => return extents.as_mut().poll_next(cx),
                Source::Arriving(following) => match ready!(following.poll_next(cx)) {
                    Some(Err(Stopped::Unkept)) => following.relay(),
                    Some(Err(Stopped::Cut)) => return Poll::Ready(Some(Err(Cut))),
                    Some(Ok(extent)) => return Poll::Ready(Some(Ok(extent))),
                    None => return Poll::Ready(None),
                },
            };
            self.0 = next;
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(blob, ranges) => f.debug_tuple("Stored").field(blob).field(ranges).finish(),
            Self::Arriving(following) => f.debug_tuple("Arriving").field(&following.wanted).finish(),
            Self::Relayed(_) => f.debug_tuple("Relayed").finish_non_exhaustive(),
        }
    }
}
