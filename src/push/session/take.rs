//! Bytes of a request on their way into a session's file.
//!
//! Promises that what was received is written behind what is there, in order, and that one batch is in memory, no more:
//! while it is written and hashed, what comes waits in the socket's buffer, and is then read in fewer and larger steps.
//! Dropping the future here ends the request; a write that was begun completes, and keeps the turn until then.

use crate::push::session::Piece;
use crate::push::session::batches::Batches;
use crate::push::session::turn::Turn;
use crate::push::{Error, Push};
use crate::store;

impl Push {
    /// Takes the piece in behind what is here.
    pub(super) async fn take(&self, mut turn: Turn, piece: Piece<'_>) -> Result<Turn, Error> {
        if let Some(span) = &piece.span {
            turn.check(span, piece.length)?;
        }
        let declared = piece.span.map(|span| span.end - span.start);
        let mut batches = Batches::new(piece.body, declared, turn.session(), self.sessions.transfer());
        loop {
            let chunks = match batches.next().await {
                Ok(Some(chunks)) => chunks,
                Ok(None) => return Ok(turn),
                Err(stop) => return Err(stop.at(turn.position())),
            };
            let (back, written) = self.tasks.blocking(move || turn.write(&chunks)).await?;
            turn = match written {
                Ok(()) => back,
                Err(source) => return Err(self.unwritten(back, source).await),
            };
        }
    }

    /// The session goes on where it is, unless what came before may be lost.
    pub(super) async fn unwritten(&self, turn: Turn, source: store::Error) -> Error {
        if !turn.is_lost() {
            let (at, source) = (turn.position(), source.into());
            return Error::Unwritten { at, source };
        }
        match self.forget(turn).await {
            Ok(()) => Error::Store(source),
            Err(error) => error,
        }
    }
}
