//! Small file systems and read-only ones, mounted for a test and gone with it. A machine that mounts nothing says so.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mount; dropping it undoes it.
#[derive(Debug)]
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A file system of so many MiB at `at`. Gives `None`, and says so, where that cannot be.
    pub(crate) fn small(at: &Path, mib: u64) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={mib}m"), "wharf-test"], at)
    }

    /// Makes a directory read-only, for new files at least. Gives `None`, and says so, where that cannot be.
    pub(crate) fn read_only(at: &Path) -> Option<Self> {
        let bound = mount(&["--bind", at.to_str().unwrap()], at)?;
        mount(&["-o", "remount,bind,ro"], at).map(std::mem::forget)?;
        Some(bound)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all of its space but so many bytes.
    pub(crate) fn fill_but(&self, spare: u64) {
        let mut filler = File::create(self.filler()).unwrap();
        for size in [1 << 20, 1 << 12] {
            while filler.write(&vec![0; size]).is_ok_and(|written| written == size) {}
        }
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.checked_sub(spare).unwrap()).unwrap();
    }

    /// Gives the space back.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

fn mount(how: &[&str], at: &Path) -> Option<Mount> {
    let mut command = Command::new("mount");
    let done = command.args(how).arg(at).stderr(Stdio::null()).status();
    if done.is_ok_and(|status| status.success()) {
        return Some(Mount(at.to_path_buf()));
    }
    eprintln!("NOT RUN: this machine does not `mount {} …`", how.join(" "));
    None
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        let _gone = command.args(["--lazy".as_ref(), self.0.as_os_str()]).status();
    }
}
