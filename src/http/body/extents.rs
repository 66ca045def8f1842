//! Extents, read frame by frame at the client's pace.
//!
//! Promises to read inline what the page cache has, and the rest on the blocking pool; never more than one frame ahead.

use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use futures_core::Stream;

use crate::http::body::Error;
use crate::http::body::Streams;
use crate::http::body::frames::Frames;
use crate::pull::Cut;
use crate::store::Attempt;
use crate::store::Error as StoreError;
use crate::store::Extent;

/// What a body is made of, one piece after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Piece {
    /// These bytes, between contents.
    Text(Bytes),
    /// So many bytes of what the tail gives.
    Content(u64),
    /// All that the tail gives.
    Rest,
}

/// A body whose content comes from a tail.
pub(in crate::http) struct Extents {
    tail: Pin<Box<dyn Stream<Item = Result<Extent, Cut>> + Send>>,
    pieces: Box<dyn Iterator<Item = Piece> + Send>,
    piece: Option<Piece>,
    /// Bytes still to be sent, where the whole length is known.
    left: Option<u64>,
    extent: Option<(Extent, u64)>,
    reading: Option<Reading>,
    frames: Frames,
}

type Reading = Pin<Box<dyn Future<Output = Result<(Box<[u8]>, usize), StoreError>> + Send>>;

impl Extents {
    /// `length` bytes of `pieces`, if it is known. `tail` gives the contents, in this order and nothing else.
    pub(in crate::http) fn new(
        tail: impl Stream<Item = Result<Extent, Cut>> + Send + 'static,
        pieces: impl Iterator<Item = Piece> + Send + 'static,
        length: Option<u64>,
        streams: &Streams,
    ) -> Self {
        Self {
            tail: Box::pin(tail),
            pieces: Box::new(pieces),
            piece: None,
            left: length,
            extent: None,
            reading: None,
            frames: streams.enter(length),
        }
    }

    /// Bytes still to be sent, where the whole length is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let next = ready!(self.poll_piece(cx));
        if let (Some(Ok(bytes)), Some(left)) = (&next, &mut self.left) {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(next)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match self.piece.take() {
                None => match self.pieces.next() {
                    None => return Poll::Ready(None),
                    next => self.piece = next,
                },
                Some(Piece::Text(text)) => return Poll::Ready(Some(Ok(text))),
                Some(Piece::Content(0)) => {}
                Some(Piece::Content(missing)) => {
                    self.piece = Some(Piece::Content(missing));
                    let read = ready!(self.poll_content(cx, missing));
                    let read = read.unwrap_or(Err(Error::Short { missing }));
                    if let Ok(bytes) = &read {
                        self.piece = Some(Piece::Content(missing - bytes.len() as u64));
                    }
                    return Poll::Ready(Some(read));
                }
                Some(Piece::Rest) => {
                    self.piece = Some(Piece::Rest);
                    let read = ready!(self.poll_content(cx, u64::MAX));
                    if read.is_none() {
                        self.piece = None;
                    }
                    return Poll::Ready(read);
                }
            }
        }
    }

    /// The next bytes of the tail, `most` at most; `None` at its end.
    fn poll_content(&mut self, cx: &mut Context<'_>, most: u64) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                let sent = read.map(|(buffer, length)| self.send(buffer, length, most));
                return Poll::Ready(Some(sent.map_err(Error::Store)));
            }
            match self.extent.take() {
                Some((extent, at)) if at < extent.len() => {
                    if let Some(read) = self.read(extent, at, most) {
                        return Poll::Ready(Some(read));
                    }
                }
                _ => match ready!(self.tail.as_mut().poll_next(cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(cut)) => return Poll::Ready(Some(Err(cut.into()))),
                    Some(Ok(extent)) => self.extent = Some((extent, 0)),
                },
            }
        }
    }

    /// Reads what needs no waiting; `None` when a read on the blocking pool has begun.
    fn read(&mut self, extent: Extent, at: u64, most: u64) -> Option<Result<Bytes, Error>> {
        if let Some(bytes) = extent.in_memory().filter(|bytes| at == 0 && bytes.len() as u64 <= most) {
            return Some(Ok(bytes));
        }
        let mut buffer = self.frames.take();
        let attempt = extent.try_read(at, &mut buffer);
        match attempt {
            Attempt::Read(length) => {
                self.extent = Some((extent, at));
                Some(Ok(self.send(buffer, length, most)))
            }
            Attempt::WouldBlock => {
                self.reading = Some(Box::pin(extent.read(at, buffer)));
                self.extent = Some((extent, at));
                None
            }
            Attempt::Failed(error) => Some(Err(Error::Store(error))),
        }
    }

    fn send(&mut self, buffer: Box<[u8]>, length: usize, most: u64) -> Bytes {
        let length = length.min(usize::try_from(most).unwrap_or(usize::MAX));
        if let Some((_, at)) = &mut self.extent {
            *at += length as u64;
        }
        self.frames.lend(buffer, length)
    }
}

impl fmt::Debug for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extents")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
