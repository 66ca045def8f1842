//! The one door to the disk: every file-system call of the crate is here, and names its path in the error.
//!
//! Owns nothing. Promises that an error says what was being done, and to which path. Never decides what a
//! file means. All calls block: run them on the blocking pool, or on a thread of your own.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the door that the fence points to"
)]

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::{Errno, ReadWriteFlags};

use crate::store::Error;
use crate::store::content::in_use::Use;

/// Parts of one write (`IOV_MAX`).
const MOST_SLICES: usize = 1024;

/// What is remembered of a file to notice that it changed behind our back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Length in bytes.
    pub(crate) size: u64,
    /// Modification time in nanoseconds since the epoch.
    pub(crate) modified_ns: i64,
    /// Bytes that it takes on the disk.
    pub(crate) allocated: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified_ns = metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec());
        Self {
            size: metadata.len(),
            modified_ns,
            // In units of 512 bytes, whatever the file system's own are (`stat(2)`).
            allocated: metadata.blocks().saturating_mul(512),
        }
    }
}

/// Creates a directory and those above it, and makes their entries durable.
pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    let changed = changed_by_creating(path);
    fs::create_dir_all(path).map_err(at("create the directory", path))?;
    changed.into_iter().try_for_each(sync_dir)
}

/// The directories that get a new entry. The last one counts always: who made it may have been killed before the sync.
fn changed_by_creating(path: &Path) -> Vec<&Path> {
    let missing = path.ancestors().take_while(|dir| !exists(dir)).count();
    let parents = path.ancestors().skip(1);
    parents.take(missing.max(1)).collect()
}

/// An open file that knows its path.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
    _in_use: Option<Use>,
}

impl OpenFile {
    /// Opens for reading and writing, creating the file when absent.
    pub(crate) fn create(path: PathBuf) -> Result<Self, Error> {
        let file = open_or_create(&path)?;
        Ok(Self {
            file,
            path,
            _in_use: None,
        })
    }

    /// For as long as it is open, the blob is in use.
    pub(crate) fn using(self, in_use: Use) -> Self {
        Self {
            _in_use: Some(in_use),
            ..self
        }
    }

    /// Opens for reading; `None` when there is none, or something that is not a file.
    pub(crate) fn open(path: PathBuf) -> Result<Option<Self>, Error> {
        Self::open_with(OpenOptions::new().read(true), path)
    }

    /// Opens for reading and writing; `None` when there is none, or something that is not a file.
    pub(crate) fn reopen(path: PathBuf) -> Result<Option<Self>, Error> {
        Self::open_with(OpenOptions::new().read(true).write(true), path)
    }

    fn open_with(options: &OpenOptions, path: PathBuf) -> Result<Option<Self>, Error> {
        let file = match options.open(&path) {
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::IsADirectory].contains(&error.kind()) => {
                return Ok(None);
            }
            opened => opened.map_err(at("open", &path))?,
        };
        let is_file = file.metadata().map_err(at("look at", &path))?.is_file();
        Ok(is_file.then_some(Self {
            file,
            path,
            _in_use: None,
        }))
    }

    /// Size and modification time.
    pub(crate) fn stamp(&self) -> Result<Stamp, Error> {
        let metadata = self.file.metadata().map_err(at("look at", &self.path))?;
        Ok(Stamp::of(&metadata))
    }

    /// Writes all of `parts`, one behind the other, at `offset`. In one call: what a write costs the kernel depends
    /// less on its length than on being one.
    pub(crate) fn write_at<'a>(&self, parts: impl Iterator<Item = &'a [u8]>, mut offset: u64) -> Result<(), Error> {
        let mut slices: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let few = &left[..left.len().min(MOST_SLICES)];
            match rustix::io::pwritev(&self.file, few, offset) {
                Ok(0) => return Err(at("write to", &self.path)(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    IoSlice::advance_slices(&mut left, written);
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(at("write to", &self.path)(errno.into())),
            }
        }
        Ok(())
    }

    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Error> {
        let mut read = 0;
        while read < buf.len() {
            match self.file.read_at(&mut buf[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(at("read", &self.path)(source)),
            }
        }
        Ok(read)
    }

    /// Reads what the page cache holds at `offset`; `None` when that would wait for the disk.
    pub(crate) fn read_cached(&self, buf: &mut [u8], offset: u64) -> Result<Option<usize>, Error> {
        let mut target = [io::IoSliceMut::new(buf)];
        match rustix::io::preadv2(self.file.as_fd(), &mut target, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            // The second one: a file system that does not know NOWAIT.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(errno) => Err(at("read", &self.path)(errno.into())),
        }
    }

    /// Makes the bytes durable. A failed call must not be repeated: the kernel may have dropped the pages.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(at("sync", &self.path))
    }

    /// Cuts the file to `length` bytes.
    pub(crate) fn truncate(&self, length: u64) -> Result<(), Error> {
        self.file.set_len(length).map_err(at("truncate", &self.path))
    }

    /// Removes the file: whoever has it open still reads it.
    pub(crate) fn unlink(&self) -> Result<(), Error> {
        remove(&self.path)
    }

    /// Whether somebody else has locked it. Locks it for a moment where nobody has.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// A sync in the background failed: what was written may be lost.
    pub(crate) fn not_durable(&self) -> Error {
        at("sync", &self.path)(io::Error::other("an earlier sync of this file failed"))
    }

    /// A read that found no byte where there should be some.
    pub(crate) fn ended_early(&self) -> Error {
        at("read", &self.path)(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Opens the lock file of a store.
pub(crate) fn open_lock(path: &Path) -> Result<File, Error> {
    open_or_create(path)
}

/// Makes a directory's entries durable. The empty path is the working directory: where a name of one component is.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(at("sync the directory", path))
}

/// Moves a file; the target is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(at("rename", from))
}

/// Moves a file to where another one may be: that is given back, still open. Closing it frees it, and for a large one
/// that takes the kernel a while.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<Option<OpenFile>, Error> {
    // One that cannot be opened is replaced all the same.
    let replaced = OpenFile::open(to.to_path_buf()).unwrap_or(None);
    rename(from, to)?;
    Ok(replaced)
}

/// Moves a file if it is there; tells whether it was.
pub(crate) fn rename_if_present(from: &Path, to: &Path) -> Result<bool, Error> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(at("rename", from)(source)),
    }
}

/// The length of the file at `path`, in bytes; `None` when there is none, or a directory.
pub(crate) fn length(path: &Path) -> Result<Option<u64>, Error> {
    match path.metadata() {
        Ok(metadata) => Ok((!metadata.is_dir()).then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at("look at", path)(source)),
    }
}

/// Size and modification time of a file; `None` when there is none.
pub(crate) fn stamp(path: &Path) -> Result<Option<Stamp>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then(|| Stamp::of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at("look at", path)(source)),
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nothing,
    File(Stamp),
    /// A directory, or what cannot be read as a file is.
    Other,
}

/// What is at `path`, or where a link there leads. Opens nothing: a pipe would have to be waited for.
pub(crate) fn kind(path: &Path) -> Result<Kind, Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Kind::File(Stamp::of(&metadata))),
        Ok(_) => Ok(Kind::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Nothing),
        Err(source) => Err(at("look at", path)(source)),
    }
}

/// Replaces a small file, or makes it. A crash leaves the old one or the new one.
pub(crate) fn write_small(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    remove(&new)?;
    let file = OpenFile::create(new.clone())?;
    file.write_at([bytes].into_iter(), 0)?;
    file.sync()?;
    rename(&new, path)
}

/// A small file, up to its first MiB; `None` when there is none.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = OpenFile::open(path.to_path_buf())? else {
        return Ok(None);
    };
    let mut bytes = vec![0; 1 << 20];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Whether a directory is at `path`.
pub(crate) fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Whether there is something at `path`.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes a file, or an empty directory, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a socket, if there is one. What is no socket stays.
pub(crate) fn remove_socket(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => remove(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(at("look at", path)(source)),
    }
}

/// The entries of a directory, read lazily.
pub(crate) fn entries(path: &Path) -> Result<impl Iterator<Item = PathBuf> + use<>, Error> {
    let entries = fs::read_dir(path).map_err(at("list", path))?;
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()))
}

fn open_or_create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(at("open", path))
}

pub(super) fn at(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Disk {
        verb,
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_that_gets_an_entry_is_made_durable() {
        let root = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "a/b", "a/b/c"].map(|path| root.path().join(path));
        assert_eq!(changed_by_creating(&c), [&b, &a, root.path()]);
        create_dir(&b).unwrap();
        assert_eq!(changed_by_creating(&c), [&b]);
        create_dir(&c).unwrap();
        assert_eq!(changed_by_creating(&c), [&b], "it may not have been");
        assert_eq!(changed_by_creating(Path::new("never-made")), [Path::new("")]);
        sync_dir(Path::new("")).unwrap();
    }
}
