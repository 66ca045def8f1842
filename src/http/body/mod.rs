//! The one place where body bytes leave.
//!
//! Owns the response's body and, with it, the request's log line. Promises that a body which cannot be brought to its
//! end is an error, which resets the connection, and that `size_hint` is exact whenever the length is known.
//! Never reads more than one frame ahead of the client. Dropping a body ends its readers, and logs how far it came.

mod extents;
mod frames;
#[cfg(test)]
mod tests;

use std::mem;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use crate::http::record::Ending;
use crate::http::record::Record;
use crate::pull::Cut;
use crate::store::Error as StoreError;

pub(super) use extents::Extents;
pub(super) use extents::Piece;
pub(super) use frames::Streams;

/// A response's body.
#[derive(Debug)]
pub struct Body {
    content: Content,
    record: Option<Record>,
}

#[derive(Debug)]
enum Content {
    Empty,
    Full(Bytes),
    Stream(Box<Extents>),
}

/// Why a body broke off. The client sees a reset.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fetch failed, or what it brought is not what the digest says.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// The store cannot be read.
    #[error("cannot read the content")]
    Store(#[source] StoreError),
    /// The content ended before the length that the response's head promised.
    #[error("the content ended {missing} bytes early")]
    Short {
        /// In bytes.
        missing: u64,
    },
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self {
            content: Content::Empty,
            record: None,
        }
    }

    /// These bytes.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Full(bytes.into()),
            record: None,
        }
    }

    /// What the extents hold.
    pub(super) fn stream(extents: Extents) -> Self {
        Self {
            content: Content::Stream(Box::new(extents)),
            record: None,
        }
    }

    /// Hands over the request's log line, to be written when this body is done with.
    pub(super) fn recorded(mut self, record: Record) -> Self {
        self.record = Some(record);
        self.ended_if_over();
        self
    }

    fn ended_if_over(&mut self) {
        let over = http_body::Body::is_end_stream(self);
        if let Some(record) = self.record.as_mut().filter(|_| over) {
            record.ended(Ending::Whole);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let next = match &mut this.content {
            Content::Empty => None,
            Content::Full(bytes) => {
                let bytes = mem::take(bytes);
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Content::Stream(extents) => ready!(extents.poll_next(cx)),
        };
        match (&next, &mut this.record) {
            (Some(Ok(bytes)), Some(record)) => record.sent(bytes.len()),
            (Some(Err(error)), Some(record)) => record.ended(Ending::broken(error)),
            (_, _) => {}
        }
        if next.is_none() {
            this.content = Content::Empty;
        }
        this.ended_if_over();
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Full(bytes) => bytes.is_empty(),
            Content::Stream(extents) => extents.left() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(extents) => extents.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
