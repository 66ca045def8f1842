//! Upload sessions: a blob comes in one request or in many, over any number of connections and restarts.
//!
//! Promises that the bytes of two requests never interleave, that a session belongs to the caller who began it and to
//! one repository, that what was written stays when a client leaves, and that a blob which was finished is durable.
//! Sessions live in rows and files; in memory are only those that move. Dropping a future here loses at most the bytes
//! that were not written yet; a proof that was begun comes to its end.

mod batches;
mod expiry;
mod prove;
mod table;
mod take;
mod turn;
mod whole;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::stream::BoxStream;

use crate::access::Caller;
use crate::namespaces::HostedRepo;
use crate::oci::{Algorithm, Digest, RepoKey};
use crate::push::{Error, Interrupted, Push};
use crate::store::{UploadId, UploadRow};
use crate::tasks::Lost;

use turn::{Session, Turn};

pub(super) use table::Sessions;

/// What one request brings of a blob.
pub struct Piece<'a> {
    /// Which bytes of the blob these are, where the client says so.
    pub span: Option<Range<u64>>,
    /// How many they are, where the client says so.
    pub length: Option<u64>,
    /// The bytes as they come.
    pub body: BoxStream<'a, Result<Bytes, Interrupted>>,
}

/// How far a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The repository that it is pushed to.
    pub repo: RepoKey,
    /// Its name.
    pub session: UploadId,
    /// Bytes that are here: the next one goes behind them.
    pub received: u64,
}

impl Position {
    fn of(row: &UploadRow, received: u64) -> Self {
        Self {
            repo: row.repo.clone(),
            session: row.id,
            received,
        }
    }
}

impl Push {
    /// Begins a session. `algorithm`: that of the blob's digest, as far as is known.
    pub async fn start_upload(
        &self,
        caller: &Caller,
        repo: &HostedRepo,
        algorithm: Option<Algorithm>,
    ) -> Result<Position, Error> {
        Ok(self.begin(caller, repo, algorithm).await?.position())
    }

    /// How far a session is. Waits for nobody who writes.
    pub async fn upload_status(&self, caller: &Caller, repo: &HostedRepo, id: &UploadId) -> Result<Position, Error> {
        if let Some(session) = self.live(caller, repo, id)? {
            return Ok(session.position());
        }
        let row = self.stored(caller, repo, id).await?;
        Ok(Position::of(&row, self.store.uploaded(id).await?))
    }

    /// Adds bytes to a session.
    pub async fn append(
        &self,
        caller: &Caller,
        repo: &HostedRepo,
        id: &UploadId,
        piece: Piece<'_>,
    ) -> Result<Position, Error> {
        let turn = self.turn(caller, repo, id, None).await?;
        let taken = self.take(turn, piece).await;
        self.note(*id);
        Ok(taken?.position())
    }

    /// Adds the last bytes, if there are any, and makes the whole a blob of the repository.
    pub async fn finish(
        &self,
        caller: &Caller,
        repo: &HostedRepo,
        id: &UploadId,
        digest: &Digest,
        piece: Piece<'_>,
    ) -> Result<(), Error> {
        let turn = self.turn(caller, repo, id, Some(digest.algorithm())).await?;
        let promised = turn.position().received > 0;
        match self.take(turn, piece).await {
            Ok(turn) => self.prove(turn, digest, promised).await,
            Err(error) => {
                self.note(*id);
                Err(error)
            }
        }
    }

    /// Forgets a session and its bytes.
    pub async fn cancel_upload(&self, caller: &Caller, repo: &HostedRepo, id: &UploadId) -> Result<(), Error> {
        let turn = self.turn(caller, repo, id, None).await?;
        self.forget(turn).await
    }

    async fn begin(
        &self,
        caller: &Caller,
        repo: &HostedRepo,
        algorithm: Option<Algorithm>,
    ) -> Result<Arc<Session>, Error> {
        let (key, owner) = (RepoKey::hosted(repo.name()), owner(caller));
        let (algorithm, now) = (algorithm.unwrap_or(Algorithm::Sha256), self.clock.now());
        let (row, upload) = self.store.begin_upload(&key, &owner, algorithm, now).await?;
        Ok(self.enter(Session::open(row, upload)))
    }

    /// The session, if it is in memory.
    fn live(&self, caller: &Caller, repo: &HostedRepo, id: &UploadId) -> Result<Option<Arc<Session>>, Error> {
        match self.sessions.get(id) {
            Some(session) if may(caller, repo, session.row()) => Ok(Some(session)),
            Some(_) => Err(Error::UploadUnknown),
            None => Ok(None),
        }
    }

    async fn stored(&self, caller: &Caller, repo: &HostedRepo, id: &UploadId) -> Result<UploadRow, Error> {
        let row = self.store.upload(id).await?;
        row.filter(|row| may(caller, repo, row)).ok_or(Error::UploadUnknown)
    }

    /// The right to write to a session, with its file open. `algorithm`: that of the digest, once that is known.
    async fn turn(
        &self,
        caller: &Caller,
        repo: &HostedRepo,
        id: &UploadId,
        algorithm: Option<Algorithm>,
    ) -> Result<Turn, Error> {
        let session = if let Some(session) = self.live(caller, repo, id)? {
            session
        } else {
            let row = self.stored(caller, repo, id).await?;
            let received = self.store.uploaded(id).await?;
            self.enter(Session::closed(row, received))
        };
        let Some(mut turn) = session.turn().await else {
            return Err(Error::UploadBusy(session.position()));
        };
        if turn.open(&self.store, algorithm).await? {
            Ok(turn)
        } else {
            self.sessions.remove(id);
            Err(Error::UploadUnknown)
        }
    }

    /// Takes a session into memory, and perhaps another one out of it.
    fn enter(&self, session: Session) -> Arc<Session> {
        let (session, idle) = self.sessions.enter(session);
        self.put_away(idle);
        session
    }

    /// Closes the files of sessions that were taken out of memory, which may wait for a disk.
    fn put_away(&self, idle: impl IntoIterator<Item = Arc<Session>> + Send + 'static) {
        drop(self.tasks.blocking(|| idle.into_iter().for_each(drop)));
    }

    /// Forgets a session and its bytes. A task of its own: whoever leaves now must not leave half of it behind.
    async fn forget(&self, turn: Turn) -> Result<(), Error> {
        let push = self.clone();
        let forgetting = self.tasks.spawn(async move { push.forget_now(turn).await });
        forgetting.await.map_err(|_ended| Lost)?
    }

    async fn forget_now(&self, mut turn: Turn) -> Result<(), Error> {
        drop(turn.take());
        self.store.cancel_upload(&turn.id()).await?;
        self.end(turn);
        Ok(())
    }

    /// The session is over: whoever waits for the turn hears so.
    fn end(&self, mut turn: Turn) {
        turn.end();
        self.sessions.remove(&turn.id());
    }

    /// Notes that a session has moved, without waiting for it.
    fn note(&self, id: UploadId) {
        let (store, now) = (self.store.clone(), self.clock.now());
        self.tasks.spawn(async move {
            if let Err(error) = store.note_upload(&id, now).await {
                tracing::warn!(%error, %id, "the progress of an upload is not noted");
            }
        });
    }
}

/// Whether the session is this caller's, and of this repository. Others do not learn that it is there.
fn may(caller: &Caller, repo: &HostedRepo, row: &UploadRow) -> bool {
    row.repo == RepoKey::hosted(repo.name()) && row.owner == owner(caller)
}

fn owner(caller: &Caller) -> String {
    caller.principal.to_string()
}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("span", &self.span)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
