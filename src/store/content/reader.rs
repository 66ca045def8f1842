//! One reader of a blob that arrives.
//!
//! Owns its place among those who wait. Promises that what it gives out is present, and that an arrival that was cut is
//! an error. Never fetches: what it waits for is there for the fill to see. Dropping it costs nobody anything.

use std::ops::Range;
use std::sync::Arc;
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

    /// The bytes of `span` that are present from its start on; waits for the first of them. An error says that the
    /// arrival was cut. While the length is unknown the last present byte is held back.
    pub fn poll_run(&mut self, cx: &mut Context<'_>, span: Range<u64>) -> Poll<Result<Extent, Cut>> {
        let arriving = &self.arriving;
        let mut state = arriving.state();
        let run_end = state.pieces.run_end(span.start);
        let open_end = state.length.is_none() && state.ending.is_none();
        let end = run_end.saturating_sub(u64::from(open_end)).min(span.end);
        if state.ending == Some(Ending::Cut) {
            return Poll::Ready(Err(Cut));
        }
        if end > span.start {
            // It may have come here without having been woken: then nobody took its wait out.
            state.waiting.leave(self.id);
            return Poll::Ready(Ok(arriving.extent(span.start..end)));
        }
        if state.ending == Some(Ending::Proven) {
            // All bytes are here, and none of these is among them.
            return Poll::Ready(Err(Cut));
        }
        // With the length unknown the byte at the frontier is there but held: the next one frees it.
        let awaited = if open_end { run_end..span.end } else { span };
        let wait = self.wait(Some(awaited), state.main_at, cx);
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
    }
}

/// The arrival ended before the bytes came, or they are wrong: the response must be cut, never ended cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the blob stopped arriving")]
pub struct Cut;
