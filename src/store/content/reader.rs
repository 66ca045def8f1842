//! One reader of a blob that arrives.
//!
//! Owns its place among those who wait. Promises that what it gives out is present, and that an arrival that has ended
//! unproven is an error. Never fetches: what it waits for is there for the fill to see. Dropping it costs nobody anything.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::store::content::arriving::{Arriving, Ending};
use crate::store::content::blob::Extent;
use crate::store::content::readers::Wait;

/// One reader of an arriving blob. Dropping it costs nobody anything.
#[derive(Debug)]
pub struct Reader {
    arriving: Arc<Arriving>,
    id: u64,
    waits: u32,
}

impl Reader {
    /// A new reader of `arriving`.
    pub fn of(arriving: &Arc<Arriving>) -> Self {
        arriving.readers.fetch_add(1, Ordering::Relaxed);
        Self {
            arriving: Arc::clone(arriving),
            id: arriving.next_reader(),
            waits: 0,
        }
    }

    /// The arrival that is read.
    pub fn arriving(&self) -> &Arc<Arriving> {
        &self.arriving
    }

    /// The bytes of `span` that are present from its start on, waiting for the first of them; nothing where the span has
    /// ended. An error says that the arrival has ended before them. For a response that could complete the blob (`completing`) the
    /// blob's last byte is held back until the content is proven: while the length is unknown, the last one present.
    pub fn poll_run(
        &mut self,
        cx: &mut Context<'_>,
        span: Range<u64>,
        completing: bool,
    ) -> Poll<Result<Extent, Stopped>> {
        let arriving = &self.arriving;
        let mut state = arriving.state();
        match state.ending {
            Some(Ending::Cut) => return Poll::Ready(Err(Stopped::Cut)),
            Some(Ending::Unkept) => return Poll::Ready(Err(Stopped::Unkept)),
            Some(Ending::Proven) | None => {}
        }
        let end = span.end.min(state.length.unwrap_or(u64::MAX));
        let run_end = state.pieces.run_end(span.start).min(end);
        let free = match (state.ending, state.length) {
            (Some(Ending::Proven), _) => end,
            (_, Some(length)) if completing => length.saturating_sub(1),
            (_, Some(_)) => end,
            (_, None) => run_end.saturating_sub(1),
        };
        let until = run_end.min(free);
        if span.start >= end || until > span.start {
            // It may have come here without having been woken: then nobody took its wait out.
            state.waiting.leave(self.id);
            return Poll::Ready(Ok(arriving.extent(span.start..until.max(span.start))));
        }
        // What is here and held is freed by the proof or, with the length unknown, by the next byte.
        let held = run_end > span.start;
        let awaited = (!held || state.length.is_none()).then_some(run_end..end);
        let wait = self.wait(awaited, state.main_at, cx);
        if state.waiting.wait(self.id, wait) {
            self.waits += 1;
            arriving.demand.notify_one();
        }
        Poll::Pending
    }

    /// Waits until the arrival has ended.
    pub fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut state = self.arriving.state();
        if let Some(ending) = state.ending {
            return Poll::Ready(ending);
        }
        let wait = self.wait(None, state.main_at, cx);
        state.waiting.wait(self.id, wait);
        Poll::Pending
    }
}

impl Reader {
    fn wait(&self, span: Option<Range<u64>>, main_was_at: u64, cx: &Context<'_>) -> Wait {
        Wait {
            waker: cx.waker().clone(),
            span,
            since: Instant::now(),
            main_was_at,
            streak: self.waits,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.arriving.state().waiting.leave(self.id);
        self.arriving.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why an arrival ended before the bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// They do not come, or are wrong: the response must be cut, never ended cleanly.
    Cut,
    /// The store could not go on: they have to come from elsewhere, but for those that are present.
    Unkept,
}
