//! One process per store.
//!
//! Owns the lock on `<store>/lock`, which names its holder's pid and host. Promises that a second process is refused
//! with that name, and that the lock goes with the process, however it ends (the kernel holds it, not the file).
//! Never waits.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::store::Error;
use crate::store::content::disk::{self, OpenFile};

/// The right to be the one process that uses a store; given back when dropped.
#[derive(Debug)]
pub(in crate::store) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store in the directory `store`, which must exist. Blocks for the disk, not for the holder.
    pub(in crate::store) fn take(store: &Path) -> Result<Self, Error> {
        let path = file(store);
        let mut file = disk::open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked {
                    path: store.to_path_buf(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(at("lock", path)(source)),
        }
        name_holder(&mut file).map_err(at("write to", path))?;
        Ok(Self { _file: file })
    }

    /// Whether a process has the store in the directory `store` now. Takes and writes nothing.
    pub(in crate::store) fn is_held(store: &Path) -> bool {
        let lock = OpenFile::open(file(store));
        lock.is_ok_and(|lock| lock.is_some_and(|lock| lock.is_locked()))
    }
}

/// The file of the lock; it stays when the lock is given back.
pub(in crate::store) fn file(store: &Path) -> PathBuf {
    store.join("lock")
}

/// Replaces what an earlier holder has left behind.
fn name_holder(file: &mut File) -> io::Result<()> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "pid {} on {host}", std::process::id())
}

/// Who the lock file says holds it. It is there to be read by people, so one that cannot be read is no error.
fn holder(file: &mut File) -> String {
    let mut name = String::new();
    let read = file.take(256).read_to_string(&mut name);
    match (read, name.trim()) {
        (Ok(_), name) if !name.is_empty() => name.to_owned(),
        _ => "a process that has not written its name yet".to_owned(),
    }
}

fn at(verb: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Disk { verb, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_the_first_is() {
        let store = tempfile::tempdir().unwrap();
        let first = Lock::take(store.path()).unwrap();

        // A lock belongs to an open file, so a second one in this process stands for a second process.
        let refused = Lock::take(store.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("pid {} on ", std::process::id())),
            "{refused}"
        );
        assert!(refused.contains("store.path"), "{refused}");

        assert!(Lock::is_held(store.path()));
        drop(first);
        assert!(!Lock::is_held(store.path()));
        Lock::take(store.path()).unwrap();
    }

    #[test]
    fn a_longer_name_left_behind_does_not_show_through() {
        let store = tempfile::tempdir().unwrap();
        let path = store.path().join("lock");
        let mut left = disk::open_lock(&path).unwrap();
        left.write_all("pid 1234567890 on a-host-with-a-very-long-name.example\n".as_bytes())
            .unwrap();

        let _lock = Lock::take(store.path()).unwrap();
        left.rewind().unwrap();
        let mut now = String::new();
        left.read_to_string(&mut now).unwrap();
        assert!(now.starts_with(&format!("pid {} on ", std::process::id())), "{now}");
        assert_eq!(now.lines().count(), 1);
    }
}
