//! The one door to the disk: every file-system call of the crate is here, and names its path in the error.
//!
//! Owns nothing. Promises that an error says what was being done, and to which path. Never decides what a
//! file means. All calls block: run them on the blocking pool, or on a thread of your own.
#![expect(clippy::disallowed_methods, reason = "this module is the door that the fence points to")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::store::Error;

/// Creates a directory and those above it, and makes the new entry durable.
pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    let created = || -> io::Result<()> {
        fs::create_dir_all(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    created().map_err(at("create the directory", path))
}

/// Opens the lock file of a store.
pub(crate) fn open_lock(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(at("open", path))
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at("sync the directory", path))
}

/// Moves a file; the target is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(at("rename", from))
}

/// The kind of network file system that `path` is on, if it is on one (`statfs(2)` lists the magic numbers).
pub(crate) fn is_network(path: &Path) -> Result<Option<&'static str>, Error> {
    let found = rustix::fs::statfs(path).map_err(|errno| at("look at the file system of", path)(errno.into()))?;
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "magic numbers are 32 bits wide")]
    Ok(match found.f_type as u32 {
        0x6969 => Some("NFS"),
        0x0bd0_0bd0 => Some("Lustre"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB2"),
        0x517b => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        0x00c3_6400 => Some("Ceph"),
        0x4750_4653 => Some("GPFS"),
        0x1983_0326 => Some("BeeGFS"),
        0x0102_1997 => Some("9P"),
        0x5346_414f => Some("AFS"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    })
}

fn at(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Disk { verb, path: path.to_path_buf(), source }
}
