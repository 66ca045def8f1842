//! A request's body, while it comes in.
//!
//! Promises that a client which sends nothing for a while is an error here, and that it is known whether the body was
//! read to its end. Never reads ahead: the next bytes are taken from the socket when they are asked for. A dropped
//! [`RequestBody::chunk`] loses nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::timeout;

/// The body of one request.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Incoming,
    silence: Duration,
    ended: bool,
}

/// Why a body has no next bytes, although it has not ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The client has gone, or sends what is no body.
    #[error("the request's body broke off")]
    Cut(#[source] hyper::Error),
    /// The client is there and sends nothing.
    #[error("nothing came of the request's body for {0:?}")]
    Silent(Duration),
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
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            match timeout(self.silence, frame)
                .await
                .map_err(|_| Broken::Silent(self.silence))?
            {
                None => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(frame) => {
                    // Trailers mean nothing here.
                    if let Ok(bytes) = frame.map_err(Broken::Cut)?.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}
