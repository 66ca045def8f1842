//! One blob's file against its row: what is there, and whether it is the content that its name says.
//!
//! Promises that no verdict is spoken on a file that was not read to its end, and that reading holds no thread while it is
//! slow on purpose. Changes nothing. Dropping a future ends the look at the next step.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::content::disk::{self, Kind, OpenFile};
use crate::store::index::BlobRow;
use crate::store::{Error, Store};

/// Bytes read in one go.
const STEP: usize = 1 << 20;
/// What a file costs at least, in bytes: the disk has to look for it.
const LEAST: usize = 16 * 1024;
/// What was not read in time may be made up for, so much of it.
const LATE: Duration = Duration::from_secs(1);

/// How a blob's file is not what its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing is there.
    Gone,
    /// A directory is there, or something else that is no file.
    NoFile,
    /// It has another length.
    Length,
    /// It has the length, and other bytes.
    Content,
    /// The disk does not give it.
    Unreadable,
}

impl Damage {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "it is gone",
            Self::NoFile => "it is no file",
            Self::Length => "its length is wrong",
            Self::Content => "its content is wrong",
            Self::Unreadable => "the disk does not give it",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// The content is right, and the modification time, in nanoseconds since 1970, another one.
    Touched(i64),
    Damaged(Damage),
}

/// Is told of bytes as they are read.
pub(super) type Told = Arc<dyn Fn(u64) + Send + Sync>;

/// How fast content may be read.
pub(super) struct Pace {
    /// In bytes a second; `None`: as fast as the disk.
    rate: Option<u64>,
    due: Instant,
    told: Told,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>, told: Told) -> Self {
        Self {
            rate: rate.map(|rate| rate.max(1)),
            due: Instant::now(),
            told,
        }
    }

    fn read(&self, bytes: usize) {
        (self.told)(bytes as u64);
    }

    /// Waits until so many bytes may have been read.
    async fn keep(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a pace need not be exact")]
        let cost = Duration::from_secs_f64(bytes.max(LEAST) as f64 / rate as f64);
        let earliest = Instant::now().checked_sub(LATE).unwrap_or(self.due);
        self.due = self.due.max(earliest) + cost;
        sleep_until(self.due).await;
    }
}

impl Store {
    /// Reads a blob's file; `None` when wharf winds down before its end.
    pub(super) async fn examine(
        &self,
        digest: &Digest,
        row: BlobRow,
        pace: &mut Pace,
    ) -> Result<Option<Verdict>, Error> {
        let path = self.layout.blob(digest);
        let look = move || match disk::kind(&path)? {
            Kind::Nothing => Ok(Err(Damage::Gone)),
            Kind::Other => Ok(Err(Damage::NoFile)),
            Kind::File(stamp) if stamp.size != row.size => Ok(Err(Damage::Length)),
            Kind::File(stamp) => Ok(OpenFile::open(path)?.map(|file| (file, stamp)).ok_or(Damage::Gone)),
        };
        let looked = self.tasks.blocking(look).await.map_err(Error::Lost)?;
        let read = match looked {
            Ok(Err(damage)) => return Ok(Some(Verdict::Damaged(damage))),
            Ok(Ok((file, stamp))) => {
                let hashed = self.hash_in_steps(file, digest.algorithm(), pace).await;
                hashed.map(|found| found.map(|found| (found, stamp)))
            }
            Err(error) => Err(error),
        };
        match read {
            Ok(None) => Ok(None),
            Ok(Some((found, _))) if found != *digest => Ok(Some(Verdict::Damaged(Damage::Content))),
            Ok(Some((_, stamp))) if stamp.modified_ns != row.modified_ns => {
                Ok(Some(Verdict::Touched(stamp.modified_ns)))
            }
            Ok(Some(_)) => Ok(Some(Verdict::Good)),
            Err(error) if error.is_of_a_file() => {
                tracing::error!(%error, cause = ?std::error::Error::source(&error), %digest, "a stored blob cannot be read");
                Ok(Some(Verdict::Damaged(Damage::Unreadable)))
            }
            Err(error) => Err(error),
        }
    }

    /// The digest of a whole file; `None` when wharf winds down before its end.
    pub(super) async fn hash_in_steps(
        &self,
        file: OpenFile,
        algorithm: Algorithm,
        pace: &mut Pace,
    ) -> Result<Option<Digest>, Error> {
        let closing = self.tasks.closing();
        let (mut hasher, mut buffer, mut at, mut file) = (Hasher::new(algorithm), vec![0; STEP], 0, file);
        loop {
            let step = move || {
                let read = file.read_at(&mut buffer, at)?;
                hasher.update(&buffer[..read]);
                Ok::<_, Error>((read, hasher, buffer, file))
            };
            let read;
            (read, hasher, buffer, file) = self.tasks.blocking(step).await.map_err(Error::Lost)??;
            pace.read(read);
            tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(None),
                () = pace.keep(read) => {}
            }
            if read < STEP {
                return Ok(Some(hasher.finish()));
            }
            at += read as u64;
        }
    }
}
