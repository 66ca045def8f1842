//! What one client reads: extents of a stored blob, or of one that still arrives, as the bytes become present.
//!
//! Owns the client's position. Promises P3: a response that could complete the blob gives its last byte only once the
//! digest is proven, and any other way to end early is an error, never a clean end. Never fetches: it waits, and the
//! fill sees what it waits for. Dropping a tail changes nothing for anybody.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::store::{Blob, Cut, Extent, Reader};

/// A stream of extents. An error says that the connection must be cut.
#[derive(Debug)]
pub struct Tail {
    source: Source,
    ranges: VecDeque<Range<u64>>,
    completing: bool,
}

#[derive(Debug)]
enum Source {
    Stored(Blob),
    Arriving(Reader),
}

impl Tail {
    pub(super) fn stored(blob: Blob, ranges: Vec<Range<u64>>) -> Self {
        Self {
            source: Source::Stored(blob),
            ranges: ranges.into(),
            completing: false,
        }
    }

    /// `completing`: whether these ranges, put together by the client, could be the whole blob.
    pub(super) fn arriving(reader: Reader, ranges: Vec<Range<u64>>, completing: bool) -> Self {
        Self {
            source: Source::Arriving(reader),
            ranges: ranges.into(),
            completing,
        }
    }
}

impl Stream for Tail {
    type Item = Result<Extent, Cut>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let reader = match &mut this.source {
            Source::Stored(blob) => {
                let extent = this.ranges.pop_front().map(|range| blob.extent(range));
                return Poll::Ready(extent.map(Ok));
            }
            Source::Arriving(reader) => reader,
        };
        loop {
            let Some(range) = this.ranges.front_mut() else {
                return Poll::Ready(None);
            };
            let extent = ready!(reader.poll_run(cx, range.clone(), this.completing));
            match &extent {
                Ok(extent) if extent.is_empty() => {
                    this.ranges.pop_front();
                    continue;
                }
                Ok(extent) => range.start += extent.len(),
                Err(Cut) => {}
            }
            return Poll::Ready(Some(extent));
        }
    }
}
