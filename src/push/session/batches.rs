//! A request's body, gathered into writes of a sensible size.
//!
//! Promises that bytes wait for company for 5 ms at most, that all that came is given before it is told how the body
//! ended, and that no byte is given that lies beyond the chunk which the request said it brings. Dropping a future here
//! loses nothing that is not in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::push::session::table::Transfer;
use crate::push::session::turn::Session;
use crate::push::{Error, Interrupted, Position};

/// How long bytes wait for company.
const COMPANY: Duration = Duration::from_millis(5);
/// A body that is silent for so long gives way to another request that waits for the session.
const SILENT: Duration = Duration::from_millis(250);

pub(super) struct Batches<'a> {
    body: BoxStream<'a, Result<Bytes, Interrupted>>,
    /// Where the request says how many bytes it brings.
    chunk: Option<Chunk>,
    session: Arc<Session>,
    transfer: Transfer,
    /// How the body ended, told once the bytes before the end are out.
    ended: Option<Result<(), Stop>>,
}

/// The chunk that a body is said to be, in bytes.
struct Chunk {
    declared: u64,
    left: u64,
}

/// Why a body was not taken in to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It broke off.
    Interrupted(Interrupted),
    /// Another request waits, and this one brings nothing.
    GaveWay,
    /// It is shorter or longer than the chunk that it was said to be.
    WrongLength { declared: u64 },
}

impl Stop {
    pub(super) fn at(self, at: Position) -> Error {
        match self {
            Self::Interrupted(by) => Error::Interrupted { at, by },
            Self::GaveWay => Error::UploadBusy(at),
            Self::WrongLength { declared } => Error::WrongLength { at, declared },
        }
    }
}

impl<'a> Batches<'a> {
    /// `declared`: the length of the chunk, in bytes.
    pub(super) fn new(
        body: BoxStream<'a, Result<Bytes, Interrupted>>,
        declared: Option<u64>,
        session: &Arc<Session>,
        transfer: Transfer,
    ) -> Self {
        Self {
            body,
            chunk: declared.map(|declared| Chunk {
                declared,
                left: declared,
            }),
            session: Arc::clone(session),
            transfer,
            ended: None,
        }
    }

    /// The next chunks, one behind the other; `None` at the body's clean end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Stop> {
        let Some(first) = self.bytes().await else {
            return self.ended.take().unwrap_or(Ok(())).map(|()| None);
        };
        let (mut size, mut chunks) = (first.len(), vec![first]);
        let company_until = Instant::now() + COMPANY;
        while size < self.transfer.batch() {
            match timeout_at(company_until, self.bytes()).await {
                Ok(Some(chunk)) => {
                    size += chunk.len();
                    chunks.push(chunk);
                }
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Some(chunks))
    }

    async fn bytes(&mut self) -> Option<Bytes> {
        while self.ended.is_none() {
            match timeout(SILENT, self.body.next()).await {
                Err(_) if self.session.is_wanted() => self.ended = Some(Err(Stop::GaveWay)),
                Err(_) => {}
                Ok(None) => self.ended = Some(self.end()),
                Ok(Some(Err(by))) => self.ended = Some(Err(Stop::Interrupted(by))),
                Ok(Some(Ok(bytes))) => {
                    let bytes = self.within(bytes);
                    if !bytes.is_empty() {
                        return Some(bytes);
                    }
                }
            }
        }
        None
    }

    fn end(&self) -> Result<(), Stop> {
        match self.chunk {
            Some(Chunk { declared, left: 1.. }) => Err(Stop::WrongLength { declared }),
            Some(Chunk { left: 0, .. }) | None => Ok(()),
        }
    }

    /// What of the bytes lies within the chunk. More than that ends the body.
    fn within(&mut self, mut bytes: Bytes) -> Bytes {
        let Some(chunk) = &mut self.chunk else { return bytes };
        let room = usize::try_from(chunk.left).unwrap_or(usize::MAX);
        if bytes.len() > room {
            bytes.truncate(room);
            let declared = chunk.declared;
            self.ended = Some(Err(Stop::WrongLength { declared }));
        }
        chunk.left -= bytes.len() as u64;
        bytes
    }
}
