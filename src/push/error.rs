//! How a push can fail.

use std::error::Error as StdError;
use std::time::Duration;

use crate::oci::Digest;
use crate::push::session::Position;
use crate::store;
use crate::tasks::Lost;

/// Why a push was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such session for this caller in this repository, whoever else may have one.
    #[error("no such upload: it is over, it has expired, or it belongs to somebody else")]
    UploadUnknown,
    /// Another request brings bytes of this session, and goes on doing so.
    #[error("another request is writing to this upload")]
    UploadBusy(Position),
    /// The session goes on somewhere else: nothing was taken.
    #[error("the chunk begins at byte {start}, but the upload goes on at byte {}", at.received)]
    OutOfOrder {
        /// Where the session is.
        at: Position,
        /// The chunk's first byte.
        start: u64,
    },
    /// The request's body is not as long as the chunk that it says it is. What lies within the chunk is kept.
    #[error("the body is not as long as the chunk that it is said to be, {declared} bytes")]
    WrongLength {
        /// Where the session is.
        at: Position,
        /// The chunk's length in bytes.
        declared: u64,
    },
    /// The request's body did not come to its end. What came is kept.
    #[error("{by}")]
    Interrupted {
        /// Where the session is.
        at: Position,
        /// How it ended.
        #[source]
        by: Interrupted,
    },
    /// The content is another one than was said. The session is over, and the content gone.
    #[error("the content is not {said}: it is {found}")]
    OtherContent {
        /// The digest that the client gave.
        said: Digest,
        /// That of the content.
        found: Digest,
    },
    /// The local store failed, or is full. The session is kept.
    #[error("cannot store what was pushed")]
    Unwritten {
        /// Where the session is.
        at: Position,
        /// What the store said.
        source: store::Error,
    },
    /// The local store failed, or is full.
    #[error("the local store failed")]
    Store(#[from] store::Error),
    /// The work ended without a word, because wharf is winding down or a task panicked.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Why the body of a request did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The client has gone, or sent what is no body.
    #[error("the body broke off")]
    Cut(#[source] Box<dyn StdError + Send + Sync>),
    /// The client is there, perhaps, and sent nothing for so long.
    #[error("nothing came of the body for {0:?}")]
    Silent(Duration),
}
