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

use crate::store::{Blob, Cut, Ending, Extent, Reader};

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
            let Some(span) = may_leave(reader, range, this.completing) else {
                match ready!(reader.poll_ending(cx)) {
                    Ending::Proven => continue,
                    Ending::Cut => return Poll::Ready(Some(Err(Cut))),
                }
            };
            if span.is_empty() {
                this.ranges.pop_front();
                continue;
            }
            let extent = ready!(reader.poll_run(cx, span));
            if let Ok(extent) = &extent {
                range.start += extent.len();
            }
            return Poll::Ready(Some(extent));
        }
    }
}

/// The part of `range` that may leave as soon as it is present; `None` when only the proof frees what is left.
fn may_leave(reader: &Reader, range: &Range<u64>, completing: bool) -> Option<Range<u64>> {
    // The ending is read before the length: a proven arrival has its length.
    let proven = reader.arriving().ending() == Some(Ending::Proven);
    let length = reader.arriving().length();
    let end = range.end.min(length.unwrap_or(u64::MAX));
    if proven || !completing {
        return Some(range.start.min(end)..end);
    }
    let held_back = length.map_or(end, |length| end.min(length.saturating_sub(1)));
    (range.start < held_back).then_some(range.start..held_back)
}
