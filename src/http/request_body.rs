//! A request's body, while it comes in.
//!
//! Promises that a client which sends nothing for a while is an error here, and that it is known whether the body was
//! read to its end. Never reads ahead: the next bytes are taken from the socket when they are asked for. A dropped
//! [`RequestBody::chunk`] loses nothing.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::push::Interrupted;
use crate::push::Piece;

/// The body of one request.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Incoming,
    silence: Duration,
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, silence: Duration) -> Self {
        let ended = body.is_end_stream();
        Self { body, silence, ended }
    }

    /// Bytes still to come, where the request's head says so (`Content-Length`).
    pub(super) fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Whether all of it has been read.
    pub(super) fn is_read(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Interrupted> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            match timeout(self.silence, frame)
                .await
                .map_err(|_elapsed| Interrupted::Silent(self.silence))?
            {
                None => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(frame) => {
                    // Trailers mean nothing here.
                    if let Ok(bytes) = frame.map_err(|error| Interrupted::Cut(error.into()))?.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The body as a piece of a blob: `span` of it, where the request says so. Nothing is read before it is asked for.
    pub(super) fn piece(&mut self, span: Option<Range<u64>>) -> Piece<'_> {
        let length = self.length();
        let chunks = stream::unfold(self, async |body| match body.chunk().await {
            Ok(Some(bytes)) => Some((Ok(bytes), body)),
            Ok(None) => None,
            Err(broken) => Some((Err(broken), body)),
        });
        Piece {
            span,
            length,
            body: chunks.boxed(),
        }
    }
}
