//! What is in the store's directories: files without rows, what a crash has left, and what is not wharf's.
//!
//! Promises that a name is judged by where it stands, and that what is not named as wharf names its own is only told. Holds
//! some hundred names at a time, however many there are.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::oci::{Algorithm, Digest};
use crate::store::content::disk::{self, Kind};
use crate::store::fsck::Run;
use crate::store::fsck::finding::{Finding, Outcome};
use crate::store::index::{BlobRow, copy};
use crate::store::{Config, Error, UploadId};

/// Names that are looked at in one go.
const STEP: usize = 256;

/// What stands in the store's own directory.
const OURS: &[&str] = &[
    "backup",
    "blobs",
    "fsck",
    "fsck.new",
    "index",
    "lock",
    "quarantine",
    "running",
    "staging",
    "trash",
    "uploads",
    "wharf.sock",
];

impl Run {
    /// Looks at all directories, those of blobs last.
    pub(super) async fn files(&mut self, config: &Config) -> Result<(), Error> {
        let layout = self.store.layout.clone();
        let root = layout.root().to_path_buf();
        self.foreign(&root, |name| OURS.contains(&name)).await?;
        self.foreign(&root.join("blobs"), |name| ["sha256", "sha512"].contains(&name))
            .await?;
        let of_the_index = |name: &str| name.starts_with(copy::FILE);
        self.foreign(&config.index_path(), of_the_index).await?;
        self.foreign(&layout.backup(), of_the_index).await?;
        self.foreign(&layout.stagings(), |name| name.parse::<u64>().is_ok())
            .await?;
        self.foreign(&layout.uploads(), |name| name.parse::<UploadId>().is_ok())
            .await?;
        self.partials().await?;
        self.uploads().await?;
        self.rubbish(self.names(&layout.trash()).await?).await?;
        let files = self.names(&layout.quarantine()).await?.len() as u64;
        if files > 0 {
            let place = layout.quarantine();
            self.tell(&Finding::Quarantined { files, place }, Outcome::Left);
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            self.strays(algorithm).await?;
        }
        Ok(())
    }

    async fn foreign(&mut self, dir: &Path, is_ours: impl Fn(&str) -> bool) -> Result<(), Error> {
        for path in self.names(dir).await? {
            let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(&is_ours);
            if !ours {
                self.tell(&Finding::Foreign(path), Outcome::Left);
            }
        }
        Ok(())
    }

    /// The entries of a directory of few, none where there is no such directory.
    async fn names(&self, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let dir = dir.to_path_buf();
        let list = move || {
            if disk::kind(&dir)? == Kind::Nothing {
                return Ok(Vec::new());
            }
            let mut names: Vec<PathBuf> = disk::entries(&dir)?.collect();
            names.sort();
            Ok(names)
        };
        self.store.tasks.blocking(list).await.map_err(Error::Lost)?
    }

    async fn partials(&mut self) -> Result<(), Error> {
        let dir = self.store.layout.stagings();
        let rows = self.store.index.partials().await?;
        let is_known = |id: u64| rows.iter().any(|(row, _)| *row == id);
        let is_orphan = |path: &PathBuf| id(path).is_some_and(|id| !is_known(id) || disk::is_directory(path));
        let orphans = self.names(&dir).await?.into_iter().filter(is_orphan).collect();
        self.rubbish(orphans).await
    }

    async fn uploads(&mut self) -> Result<(), Error> {
        let mut orphans = Vec::new();
        for path in self.names(&self.store.layout.uploads()).await? {
            if let Some(id) = id::<UploadId>(&path)
                && (disk::is_directory(&path) || self.store.index.upload(&id).await?.is_none())
            {
                orphans.push(path);
            }
        }
        self.rubbish(orphans).await
    }

    async fn rubbish(&mut self, paths: Vec<PathBuf>) -> Result<(), Error> {
        for path in paths {
            if self.how.repair {
                let (rubbish, layout) = (path.clone(), self.store.layout.clone());
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                // A directory with something in it is nothing that wharf has left.
                let clear = move || match disk::kind(&rubbish) {
                    Ok(Kind::Other) => disk::rename(&rubbish, &layout.aside(&name)),
                    Ok(Kind::File(_) | Kind::Nothing) | Err(_) => disk::remove(&rubbish),
                };
                self.store.tasks.blocking(clear).await.map_err(Error::Lost)??;
            }
            self.tell(&Finding::Rubbish(path), self.mended("cleared away"));
        }
        Ok(())
    }

    async fn strays(&mut self, algorithm: Algorithm) -> Result<(), Error> {
        let dir = self.store.layout.blobs(algorithm);
        if disk::kind(&dir)? == Kind::Nothing {
            return Ok(());
        }
        let mut entries = disk::entries(&dir)?;
        let closing = self.store.tasks.closing();
        while !closing.is_cancelled() {
            let step = move || (entries.by_ref().take(STEP).collect::<Vec<_>>(), entries);
            let names;
            (names, entries) = self.store.tasks.blocking(step).await.map_err(Error::Lost)?;
            if names.is_empty() {
                break;
            }
            let mut found = Vec::new();
            for path in names {
                let digest = path.file_name().and_then(|name| name.to_str());
                match digest.and_then(|name| format!("{algorithm}:{name}").parse().ok()) {
                    Some(digest) => found.push(digest),
                    None => self.tell(&Finding::Foreign(path), Outcome::Left),
                }
            }
            for digest in self.store.index.unstored(found).await? {
                self.stray(digest).await?;
            }
        }
        Ok(())
    }

    /// What no row knows is taken in where it is what its name says: somebody may have it, or push it, before its grace is
    /// over. The rest is put aside.
    async fn stray(&mut self, digest: Digest) -> Result<(), Error> {
        let how = if !self.how.repair {
            Outcome::Left
        } else if self.adopt(&digest).await? {
            Outcome::Mended("taken in")
        } else {
            let (from, to) = (
                self.store.layout.blob(&digest),
                self.store.layout.aside(&digest.encoded()),
            );
            let put = move || disk::rename_if_present(&from, &to);
            self.store.tasks.blocking(put).await.map_err(Error::Lost)??;
            Outcome::Mended("is not what its name says: put into quarantine")
        };
        self.tell(&Finding::Stray(digest), how);
        Ok(())
    }

    async fn adopt(&mut self, digest: &Digest) -> Result<bool, Error> {
        let path = self.store.layout.blob(digest);
        let Ok(Kind::File(stamp)) = disk::kind(&path) else {
            return Ok(false);
        };
        let Some(file) = disk::OpenFile::open(path)? else {
            return Ok(false);
        };
        let hashed = self
            .store
            .hash_in_steps(file, digest.algorithm(), &mut self.pace)
            .await?;
        if hashed != Some(*digest) {
            return Ok(false);
        }
        let row = BlobRow {
            size: stamp.size,
            modified_ns: stamp.modified_ns,
        };
        let adopted = self.store.index.adopt(digest, row, stamp.allocated, self.now);
        adopted.await?;
        Ok(true)
    }
}

fn id<Id: FromStr>(path: &Path) -> Option<Id> {
    path.file_name()?.to_str()?.parse().ok()
}
