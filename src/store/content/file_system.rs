//! What the file system of a path is like.
//!
//! Owns nothing. Promises that an error names the path. Never looks at a file. All calls block.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use rustix::io::Errno;

use crate::store::Error;
use crate::store::content::disk;

/// A file system, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    pub(crate) total: u64,
    /// What an unprivileged process may still write.
    pub(crate) available: u64,
}

/// The kind of network file system that `path` is on, if it is on one (`statfs(2)` lists the magic numbers).
pub(crate) fn is_network(path: &Path) -> Result<Option<&'static str>, Error> {
    let found = statfs(path).map_err(cannot_look_at(path))?;
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "magic numbers are 32 bits wide"
    )]
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

/// How large the file system is that `path` is on, and what is left of it (`statvfs(3)`).
pub(crate) fn space(path: &Path) -> Result<Space, Error> {
    let found = statvfs(path).map_err(cannot_look_at(path))?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space {
        total: bytes(found.f_blocks),
        available: bytes(found.f_bavail),
    })
}

/// Whether nothing can be written where `path` is, whoever tries: the medium is read-only.
pub(crate) fn is_sealed(path: &Path) -> Result<bool, Error> {
    let found = statvfs(path).map_err(cannot_look_at(path))?;
    Ok(found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn cannot_look_at(path: &Path) -> impl Fn(Errno) -> Error {
    move |errno| disk::at("look at the file system of", path)(errno.into())
}
