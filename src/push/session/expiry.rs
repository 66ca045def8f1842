//! The end of sessions that nobody goes on with.
//!
//! Promises that a session which makes no progress for `hosted.upload_expiry` goes, bytes and all, and that one which a
//! request has open never does: that counts as progress. Also closes the files of sessions that are merely idle: how far
//! they are is on disk. Runs until wharf winds down; a run that fails is made good by the next one.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::push::session::turn::Session;
use crate::push::{Error, Push};
use crate::store::UploadId;

/// The longest time between two looks, and the shortest.
const LOOKS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_millis(50));

impl Push {
    /// Ends sessions as they expire. To be spawned once.
    pub async fn expire_uploads(self) {
        let (rarely, often) = LOOKS;
        let mut looks = interval((self.config.upload_expiry / 4).clamp(often, rarely));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closing = self.tasks.closing();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                _ = looks.tick() => {}
            }
            self.put_away(self.sessions.take_idle(Instant::now()));
            if let Err(error) = self.expire().await {
                tracing::warn!(%error, "uploads do not expire");
            }
        }
    }

    async fn expire(&self) -> Result<(), Error> {
        let Ok(before) = self.clock.now().checked_sub(self.config.upload_expiry) else {
            return Ok(());
        };
        for id in self.store.expired_uploads(before).await? {
            self.expire_one(&id).await?;
        }
        Ok(())
    }

    async fn expire_one(&self, id: &UploadId) -> Result<(), Error> {
        let Some(row) = self.store.upload(id).await? else {
            return Ok(());
        };
        let received = self.store.uploaded(id).await?;
        let turn = match self.sessions.get(id) {
            // It has moved since its row was written.
            Some(session) if session.used().elapsed() < self.config.upload_expiry => None,
            Some(session) => session.free_turn(),
            None => self.enter(Session::closed(row, received)).free_turn(),
        };
        let Some(turn) = turn else {
            self.note(*id);
            return Ok(());
        };
        tracing::info!(%id, repo = %turn.row().repo, received, "an upload has expired");
        self.forget(turn).await
    }
}
