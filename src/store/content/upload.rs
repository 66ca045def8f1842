//! The life of a blob that a client pushes: `Upload` → `Received` → committed, each consumed by the next.
//!
//! Owns the file of an upload session, which is made with the first byte. Promises that how far the session is, is the
//! length of that file, also after a write that failed and after a restart; that bytes are hashed as they come, once;
//! and that `verify` is the only way to a `Received`. Dropping an `Upload` leaves the file for whoever goes on with it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::oci::{Algorithm, Digest};
use crate::store::budget::Reservation;
use crate::store::content::arriving::{Arriving, Ending};
use crate::store::content::disk::{OpenFile, Stamp};
use crate::store::content::{Pieces, hash_file};
use crate::store::{Error, UploadId};
use crate::tasks::Tasks;

/// A blob that comes from a client. One at a time for each session.
pub struct Upload {
    id: UploadId,
    path: PathBuf,
    algorithm: Algorithm,
    /// None before the first byte: there is no file then.
    arriving: Option<Arc<Arriving>>,
    reservation: Reservation,
    tasks: Tasks,
}

impl Upload {
    /// Of a session that has no file yet.
    pub(in crate::store) fn new(
        id: UploadId,
        path: PathBuf,
        algorithm: Algorithm,
        reservation: Reservation,
        tasks: Tasks,
    ) -> Self {
        Self {
            id,
            path,
            algorithm,
            arriving: None,
            reservation,
            tasks,
        }
    }

    /// Goes on with the session's file, if it has one: that is read back and hashed while new bytes come.
    pub(in crate::store) async fn open(
        id: UploadId,
        path: PathBuf,
        algorithm: Algorithm,
        reservation: Reservation,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let at = path.clone();
        let open = move || match OpenFile::reopen(at)? {
            Some(file) => Ok::<_, Error>(Some((file.stamp()?.size, file))),
            None => Ok(None),
        };
        let opened = tasks.blocking(open).await.map_err(Error::Lost)??;
        let mut upload = Self::new(id, path, algorithm, reservation, tasks);
        upload.arriving = opened.map(|(size, file)| {
            let mut pieces = Pieces::default();
            pieces.insert(0..size);
            let arriving = Arc::new(Arriving::new(file, algorithm, pieces, None, upload.tasks.clone()));
            arriving.catch_up();
            arriving
        });
        Ok(upload)
    }

    /// Hashes by this algorithm, if no byte has come yet.
    pub fn hash_by(&mut self, algorithm: Algorithm) {
        if self.arriving.is_none() {
            self.algorithm = algorithm;
        }
    }

    /// The bytes that are here: the next one goes behind them.
    pub fn received(&self) -> u64 {
        self.arriving.as_ref().map_or(0, |arriving| arriving.present().1)
    }

    /// Whether what is here cannot be made durable any more. It is to be discarded.
    pub fn is_lost(&self) -> bool {
        self.arriving
            .as_ref()
            .is_some_and(|arriving| arriving.check_written().is_err())
    }

    /// Whether a sync is under way: only this `Upload` hears how that ends.
    pub fn is_syncing(&self) -> bool {
        self.arriving.as_ref().is_some_and(|arriving| arriving.is_syncing())
    }

    /// Writes `chunks` behind what is here, and hashes them. On an error `received` says what is here now. Blocks.
    pub fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        let arriving = self.file()?;
        arriving.check_written()?;
        let more: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.reservation.cover_ahead(self.received() + more);
        let written = arriving.write_now(self.received(), chunks);
        self.reservation.wrote(self.received());
        if written.is_err()
            && let Err(error) = arriving.file().truncate(self.received())
        {
            tracing::warn!(%error, id = %self.id, "the file of an upload is longer than what was received");
        }
        written
    }

    /// Proves that what is here is the content that `digest` names.
    pub async fn verify(mut self, digest: &Digest) -> Result<Received, Unreceived> {
        match self.digest(digest.algorithm()).await {
            Ok((found, arriving)) if found == *digest => Ok(Received {
                size: self.received(),
                upload: self,
                arriving,
                digest: found,
                promised: false,
            }),
            Ok((found, _)) => Err(Unreceived::Mismatch { upload: self, found }),
            Err(error) => Err(Unreceived::Unreadable { upload: self, error }),
        }
    }

    /// Reads the file once more where its bytes were not hashed by this algorithm as they came.
    async fn digest(&mut self, algorithm: Algorithm) -> Result<(Digest, Arc<Arriving>), Error> {
        let arriving = if let Some(arriving) = &self.arriving {
            arriving.check_written()?;
            Arc::clone(arriving)
        } else {
            let path = self.path.clone();
            let create = self.tasks.blocking(move || OpenFile::create(path));
            self.begin(create.await.map_err(Error::Lost)??)
        };
        if algorithm == self.algorithm {
            let (digest, _size) = arriving.digest().await?;
            return Ok((digest, arriving));
        }
        let file = Arc::clone(arriving.file());
        let hash = self.tasks.blocking(move || hash_file(&file, algorithm));
        Ok((hash.await.map_err(Error::Lost)??, arriving))
    }

    /// The file, made when there is none. Blocks.
    fn file(&mut self) -> Result<Arc<Arriving>, Error> {
        match &self.arriving {
            Some(arriving) => Ok(Arc::clone(arriving)),
            None => Ok(self.begin(OpenFile::create(self.path.clone())?)),
        }
    }

    fn begin(&mut self, file: OpenFile) -> Arc<Arriving> {
        let arriving = Arriving::new(file, self.algorithm, Pieces::default(), None, self.tasks.clone());
        Arc::clone(self.arriving.insert(Arc::new(arriving)))
    }
}

impl Drop for Upload {
    /// Nobody waits for the end of a file that is still read back.
    fn drop(&mut self) {
        if let Some(arriving) = &self.arriving {
            arriving.end(Ending::Cut);
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("id", &self.id)
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}

/// An upload whose bytes are all here and match the digest that the client gave.
#[derive(Debug)]
pub struct Received {
    upload: Upload,
    arriving: Arc<Arriving>,
    digest: Digest,
    size: u64,
    promised: bool,
}

impl Received {
    /// Says whether the client was told of bytes by an earlier answer: the end of this process must not cost it those.
    #[must_use]
    pub fn promised(self, promised: bool) -> Self {
        Self { promised, ..self }
    }

    pub(in crate::store) fn is_promised(&self) -> bool {
        self.promised
    }

    pub(in crate::store) fn id(&self) -> UploadId {
        self.upload.id
    }

    pub(in crate::store) fn digest(&self) -> Digest {
        self.digest
    }

    /// Length in bytes.
    pub(in crate::store) fn size(&self) -> u64 {
        self.size
    }

    /// Makes the bytes durable. After a failure they are to be discarded.
    pub(in crate::store) async fn make_durable(&self) -> Result<Stamp, Error> {
        self.arriving.make_durable(self.size).await
    }
}

/// Why an upload is not what its client says it is.
#[derive(Debug)]
pub enum Unreceived {
    /// It is another content.
    Mismatch {
        /// To be discarded.
        upload: Upload,
        /// What the bytes hash to.
        found: Digest,
    },
    /// The file cannot be made, or read back, or a sync of it has failed.
    Unreadable {
        /// To be kept, unless it is lost: nothing else is known against its bytes.
        upload: Upload,
        /// The disk's word.
        error: Error,
    },
}
