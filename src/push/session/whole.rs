//! A blob that comes in one request, without a session that the client knows of (distribution-spec end-4b).
//!
//! Promises that nothing stays of a request whose client is not told where it can go on. Dropping the future here is such
//! a client: what came is forgotten.

use std::sync::Arc;

use crate::access::Caller;
use crate::namespaces::HostedRepo;
use crate::oci::Digest;
use crate::push::session::Piece;
use crate::push::session::turn::Session;
use crate::push::{Error, Interrupted, Push};

impl Push {
    /// Makes the bytes of one request a blob of the repository.
    pub async fn save(
        &self,
        caller: &Caller,
        repo: &HostedRepo,
        digest: &Digest,
        piece: Piece<'_>,
    ) -> Result<(), Error> {
        let session = self.begin(caller, repo, Some(digest.algorithm())).await?;
        let unnamed = Unnamed(Some((self.clone(), Arc::clone(&session))));
        let turn = session.next_turn().await;
        let saved = match self.take(turn, piece).await {
            Ok(turn) => self.prove(turn, digest, false).await,
            Err(error) => Err(error),
        };
        let named = match &saved {
            // Over.
            Ok(()) => true,
            // Nobody hears it.
            Err(Error::Interrupted {
                by: Interrupted::Cut(_),
                ..
            }) => false,
            Err(error) => error.position().is_some(),
        };
        if named {
            unnamed.name();
        }
        saved
    }
}

/// A session whose name nobody has been told: it goes when this is dropped.
struct Unnamed(Option<(Push, Arc<Session>)>);

impl Unnamed {
    /// The client hears the name, or the session is over.
    fn name(mut self) {
        self.0 = None;
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        let Some((push, session)) = self.0.take() else { return };
        let tasks = push.tasks.clone();
        tasks.spawn(async move {
            // Behind a write that may still be under way.
            let turn = session.next_turn().await;
            if let Err(error) = push.forget(turn).await {
                tracing::warn!(%error, "an upload that its client has left stays until it expires");
            }
        });
    }
}
