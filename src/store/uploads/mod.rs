//! Upload sessions on disk: begun, gone on with, committed or forgotten.
//!
//! Promises that a commit costs a sync and a rename, however large the blob is, and that one which fails, or which a
//! crash cuts, leaves the upload as it was, except where its file is lost: then it is gone, row and all. A row comes
//! before its file and goes before it, so a file without a row belongs to nobody. A dropped commit comes to its end.

use std::sync::Arc;

use futures_util::future::join;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::oci::{Algorithm, RepoKey};
use crate::store::budget::Reservation;
use crate::store::content::disk::{self, Stamp};
use crate::store::content::upload::{Received, Upload};
use crate::store::index::{Arrival, BlobRow, FileStep, Landing, UploadRow};
use crate::store::{Error, Store, UploadId};

/// Why an upload did not become a blob.
#[derive(Debug)]
pub enum Uncommitted {
    /// The upload is as it was: it can be tried again.
    Kept(Error),
    /// Its bytes cannot be made durable, or went with somebody else's of the same content. So it is gone.
    Discarded(Error),
}

impl Store {
    /// Begins a session that `owner` alone may go on with. A power cut may take it; the end of this process does not.
    pub async fn begin_upload(
        &self,
        repo: &RepoKey,
        owner: &str,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<(UploadRow, Upload), Error> {
        let row = UploadRow {
            id: UploadId::new(),
            repo: repo.clone(),
            owner: owner.to_owned(),
            algorithm,
            moved_at: now,
        };
        self.index.begin_upload(&row).await?;
        let (path, room) = (self.layout.upload(&row.id), self.upload_room(row.id));
        let upload = Upload::new(row.id, path, algorithm, room, self.tasks.clone());
        Ok((row, upload))
    }

    /// The session of this name.
    pub async fn upload(&self, id: &UploadId) -> Result<Option<UploadRow>, Error> {
        self.index.upload(id).await
    }

    /// How many bytes of a session are here.
    pub async fn uploaded(&self, id: &UploadId) -> Result<u64, Error> {
        Ok(self.length(id).await?.unwrap_or(0))
    }

    /// The length of a session's file in bytes, if it has one.
    async fn length(&self, id: &UploadId) -> Result<Option<u64>, Error> {
        let path = self.layout.upload(id);
        let length = self.tasks.blocking(move || disk::length(&path));
        length.await.map_err(Error::Lost)?
    }

    /// Opens a session's file, to go on where it ends; what is there is hashed by `algorithm`, and what comes.
    pub async fn open_upload(&self, id: &UploadId, algorithm: Algorithm) -> Result<Upload, Error> {
        let (path, layout) = (self.layout.upload(id), self.layout.clone());
        let clear = self.tasks.blocking(move || layout.make_way(&path));
        clear.await.map_err(Error::Lost)??;
        let room = self.upload_room(*id);
        Upload::open(*id, self.layout.upload(id), algorithm, room, self.tasks.clone()).await
    }

    fn upload_room(&self, id: UploadId) -> Reservation {
        Reservation::of_upload(Arc::clone(&self.budget), id)
    }

    /// Notes that a session has made progress.
    pub async fn note_upload(&self, id: &UploadId, now: Timestamp) -> Result<(), Error> {
        self.index.note_upload(id, now).await
    }

    /// Forgets a session and deletes its bytes. False when there was none. Nobody may have it open.
    pub async fn cancel_upload(&self, id: &UploadId) -> Result<bool, Error> {
        let was = self.index.forget_upload(id).await?;
        let path = self.layout.upload(id);
        let remove = self.tasks.blocking(move || disk::remove(&path));
        remove.await.map_err(Error::Lost)??;
        self.budget.end_upload(id);
        Ok(was)
    }

    /// The sessions without progress since `before`.
    pub async fn expired_uploads(&self, before: Timestamp) -> Result<Vec<UploadId>, Error> {
        self.index.expired_uploads(before).await
    }

    /// Makes an upload a blob of the repository: durable and visible when this returns, and its session over.
    pub async fn commit_upload(&self, received: Received, repo: &RepoKey, now: Timestamp) -> Result<(), Uncommitted> {
        let (noted, durable) = join(self.note_landing(&received), received.make_durable()).await;
        let stamp = match durable {
            Ok(stamp) => stamp,
            Err(error) => return Err(self.discard_upload(&received.id(), error).await),
        };
        noted.map_err(Uncommitted::Kept)?;
        match self.land_upload(&received, stamp, repo, now).await {
            Ok(()) => {
                self.budget.end_upload(&received.id());
                Ok(())
            }
            Err(error) => Err(self.unlanded(&received, error).await),
        }
    }

    /// What is in the row before the file has another name is found again by recovery. Only a promise is worth that.
    async fn note_landing(&self, received: &Received) -> Result<(), Error> {
        if received.is_promised() {
            self.index.note_landing(&received.id(), &received.digest()).await?;
        }
        Ok(())
    }

    async fn land_upload(
        &self,
        received: &Received,
        stamp: Stamp,
        repo: &RepoKey,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (id, digest) = (received.id(), received.digest());
        let (from, to) = (self.layout.upload(&id), self.layout.blob(&digest));
        let (replaced, freed) = oneshot::channel();
        let rename = FileStep::new([self.layout.blobs(digest.algorithm())], move || {
            // Who lands would be gone only in a panic: then it is closed here.
            let _ = replaced.send(disk::replace(&from, &to)?);
            Ok(())
        });
        let arrival = Arrival::Pushed {
            upload: id,
            repo: repo.clone(),
            at: now,
        };
        let landing = Landing {
            digest,
            blob: BlobRow {
                size: received.size(),
                modified_ns: stamp.modified_ns,
            },
            allocated: stamp.allocated,
            rename,
            arrival,
        };
        let landed = self.index.land(landing).await;
        if let Ok(Some(replaced)) = freed.await {
            // Not on the thread that writes the index, for which others wait.
            drop(self.tasks.blocking(move || drop(replaced)));
        }
        landed
    }

    /// What became of an upload whose landing failed, perhaps behind its rename.
    async fn unlanded(&self, received: &Received, error: Error) -> Uncommitted {
        let id = received.id();
        if let Err(error) = self.take_back(received).await {
            tracing::error!(%error, %id, "the file of an upload cannot be taken back");
            self.running.set_in_doubt();
        }
        // Somebody else who pushed the same content may have replaced it, or have been the one to take it back.
        match self.length(&id).await {
            Ok(None) => self.discard_upload(&id, error).await,
            Ok(Some(_)) | Err(_) => Uncommitted::Kept(error),
        }
    }

    async fn discard_upload(&self, id: &UploadId, error: Error) -> Uncommitted {
        if let Err(error) = self.cancel_upload(id).await {
            tracing::warn!(%error, %id, "cannot discard an upload");
        }
        Uncommitted::Discarded(error)
    }

    /// After a landing that failed, perhaps behind its rename: the file becomes the upload's again, unless it is by now
    /// a blob that somebody else has landed.
    async fn take_back(&self, received: &Received) -> Result<(), Error> {
        let digest = received.digest();
        let (from, to) = (self.layout.blob(&digest), self.layout.upload(&received.id()));
        let step = FileStep::new([self.layout.blobs(digest.algorithm())], move || {
            if disk::exists(&to) {
                return Ok(());
            }
            disk::rename_if_present(&from, &to).map(drop)
        });
        self.index.unless_stored(&digest, step).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
