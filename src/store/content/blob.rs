//! Bytes that can be read: a stored file, a small blob in memory, or a staging file while it fills.
//!
//! Owns the open file, so content stays readable after its name is gone. Promises that a file that ends early is an
//! error, never a short success. Never knows whether bytes are proven: who hands out an `Extent` does.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::Error;
use crate::store::content::disk::OpenFile;
use crate::tasks::Tasks;

/// Stored content, open for reading. Cheap to clone.
#[derive(Clone)]
pub struct Blob {
    source: Source,
    length: u64,
    tasks: Tasks,
}

impl Blob {
    pub(crate) fn file(file: Arc<OpenFile>, length: u64, tasks: Tasks) -> Self {
        Self {
            source: Source::File(file),
            length,
            tasks,
        }
    }

    pub(crate) fn memory(bytes: Bytes, tasks: Tasks) -> Self {
        let length = bytes.len() as u64;
        Self {
            source: Source::Memory(bytes),
            length,
            tasks,
        }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads the first byte: a file may open well and still give nothing.
    pub async fn probe(&self) -> Result<(), Error> {
        let (first, mut byte) = (self.extent(0..1), Box::new([0]));
        match first.try_read(0, byte.as_mut_slice()) {
            Attempt::Read(_) => Ok(()),
            Attempt::WouldBlock => first.read(0, byte).await.map(drop),
            Attempt::Failed(error) => Err(error),
        }
    }

    /// A part of the blob; what lies beyond the end is cut off.
    pub fn extent(&self, range: Range<u64>) -> Extent {
        let end = range.end.min(self.length);
        Extent {
            source: self.source.clone(),
            range: range.start.min(end)..end,
            tasks: self.tasks.clone(),
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// A run of bytes that may leave now.
#[derive(Clone)]
pub struct Extent {
    source: Source,
    range: Range<u64>,
    tasks: Tasks,
}

/// What a read that does not wait came to.
#[derive(Debug)]
pub enum Attempt {
    /// So many bytes were read; at least one.
    Read(usize),
    /// The bytes are not in memory: use [`Extent::read`].
    WouldBlock,
    /// The file cannot be read.
    Failed(Error),
}

impl Extent {
    pub(crate) fn staging(file: &Arc<OpenFile>, range: Range<u64>, tasks: &Tasks) -> Self {
        Self {
            source: Source::File(Arc::clone(file)),
            range,
            tasks: tasks.clone(),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bytes themselves, where they are in memory as a whole.
    pub fn in_memory(&self) -> Option<Bytes> {
        let Source::Memory(bytes) = &self.source else {
            return None;
        };
        let (start, end) = (
            usize::try_from(self.range.start).ok()?,
            usize::try_from(self.range.end).ok()?,
        );
        (end <= bytes.len()).then(|| bytes.slice(start..end))
    }

    /// Reads into `buf` from `at`, counted from the extent's start, without waiting for a disk.
    pub fn try_read(&self, at: u64, buf: &mut [u8]) -> Attempt {
        let (offset, wanted) = self.window(at, buf.len());
        let file = match &self.source {
            Source::File(file) => file,
            Source::Memory(bytes) => return Attempt::Read(copy(bytes, &mut buf[..wanted], offset)),
        };
        match file.read_cached(&mut buf[..wanted], offset) {
            Ok(Some(0)) => Attempt::Failed(file.ended_early()),
            Ok(Some(read)) => Attempt::Read(read),
            Ok(None) => Attempt::WouldBlock,
            Err(error) => Attempt::Failed(error),
        }
    }

    /// Reads into `buf` from `at`, counted from the extent's start, on the blocking pool.
    /// Dropping the future abandons the read and its buffer.
    pub fn read(
        &self,
        at: u64,
        mut buf: Box<[u8]>,
    ) -> impl Future<Output = Result<(Box<[u8]>, usize), Error>> + Send + use<> {
        let (offset, wanted) = self.window(at, buf.len());
        let (source, tasks) = (self.source.clone(), self.tasks.clone());
        async move {
            let read = tasks.blocking(move || match &source {
                Source::Memory(bytes) => Ok((copy(bytes, &mut buf[..wanted], offset), buf)),
                Source::File(file) => match file.read_at(&mut buf[..wanted], offset)? {
                    0 => Err(file.ended_early()),
                    read => Ok((read, buf)),
                },
            });
            let (read, buf) = read.await.map_err(Error::Lost)??;
            Ok((buf, read))
        }
    }

    fn window(&self, at: u64, room: usize) -> (u64, usize) {
        let offset = self.range.start + at.min(self.len());
        let left = usize::try_from(self.range.end - offset).unwrap_or(usize::MAX);
        (offset, room.min(left))
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extent").field(&self.range).finish()
    }
}

#[derive(Clone)]
enum Source {
    File(Arc<OpenFile>),
    Memory(Bytes),
}

fn copy(from: &Bytes, to: &mut [u8], offset: u64) -> usize {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| from.get(offset..))
        .unwrap_or_default();
    let length = rest.len().min(to.len());
    to[..length].copy_from_slice(&rest[..length]);
    length
}
