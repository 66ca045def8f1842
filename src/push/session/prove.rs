//! The end of a session: its bytes are a blob, or they are not.
//!
//! Promises that what was begun here comes to its end whoever waits for it: a client that leaves after its last byte
//! finds the blob when it comes back. Content that is not what its client said goes at once, session and all.

use crate::oci::Digest;
use crate::push::session::turn::Turn;
use crate::push::{Error, Push};
use crate::store::{Uncommitted, Unreceived};
use crate::tasks::Lost;

impl Push {
    /// Proves that the session has the content that `digest` names, and makes it a blob of its repository.
    /// `promised`: whether its client was told of bytes by an earlier answer.
    pub(super) async fn prove(&self, turn: Turn, digest: &Digest, promised: bool) -> Result<(), Error> {
        let (push, digest) = (self.clone(), *digest);
        let proof = self
            .tasks
            .spawn(async move { push.prove_now(turn, &digest, promised).await });
        proof.await.map_err(|_ended| Lost)?
    }

    async fn prove_now(&self, mut turn: Turn, digest: &Digest, promised: bool) -> Result<(), Error> {
        let Some(upload) = turn.take() else {
            return Err(Error::UploadUnknown);
        };
        match upload.verify(digest).await {
            Ok(received) => {
                let (row, received) = (turn.row(), received.promised(promised));
                let committed = self.store.commit_upload(received, &row.repo, self.clock.now()).await;
                self.committed(turn, committed)
            }
            Err(Unreceived::Mismatch { upload, found }) => {
                drop(upload);
                self.forget(turn).await?;
                Err(Error::WrongContent {
                    said: *digest,
                    actual: Box::new(found),
                })
            }
            Err(Unreceived::Unreadable { upload, error }) => {
                turn.put_back(upload);
                Err(self.unwritten(turn, error).await)
            }
        }
    }

    fn committed(&self, turn: Turn, committed: Result<(), Uncommitted>) -> Result<(), Error> {
        match committed {
            Ok(()) => {
                self.end(turn);
                Ok(())
            }
            Err(Uncommitted::Kept(error)) => {
                let (at, source) = (turn.position(), error.into());
                Err(Error::Unwritten { at, source })
            }
            Err(Uncommitted::Discarded(source)) => {
                self.end(turn);
                Err(Error::Store(source))
            }
        }
    }
}
