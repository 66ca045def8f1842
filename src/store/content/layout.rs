//! Where things are in the store directory. The only place that makes a path of a digest or an id.

use std::iter;
use std::path::{Path, PathBuf};

use crate::oci::{Algorithm, Digest};
use crate::store::content::disk;
use crate::store::{Error, UploadId};

/// The directories of one store.
///
/// `blobs/<algorithm>/<hex>` proven content · `staging/<id>` content that is fetched · `uploads/<id>` content that is
/// pushed · `quarantine/<hex>` what was pushed and is damaged · `trash/` what is to be unlinked.
/// All are made when the store is made, so that a commit syncs one directory and creates none.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of a store that is there, or is only read.
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// Creates what is missing. Blocks.
    pub(crate) fn create(root: &Path) -> Result<Self, Error> {
        let layout = Self::at(root);
        for dir in [
            layout.blobs(Algorithm::Sha256),
            layout.blobs(Algorithm::Sha512),
            layout.stagings(),
            layout.uploads(),
            layout.quarantine(),
            layout.trash(),
        ] {
            disk::create_dir(&dir)?;
        }
        Ok(layout)
    }

    pub(crate) fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs(digest.algorithm()).join(digest.encoded())
    }

    pub(crate) fn stagings(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(crate) fn staging(&self, id: u64) -> PathBuf {
        self.stagings().join(id.to_string())
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(crate) fn upload(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(id.to_string())
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Where to put aside what was at `name`, in the quarantine: what is there already stays.
    pub(crate) fn aside(&self, name: &str) -> PathBuf {
        let dir = self.quarantine();
        let numbered = (2_u32..).map(|n| dir.join(format!("{name}.{n}")));
        let mut places = iter::once(dir.join(name)).chain(numbered);
        places
            .find(|place| !disk::exists(place))
            .unwrap_or_else(|| dir.join(name))
    }

    /// Puts aside a directory that is where a file belongs: whoever made it, it would be in the way for ever.
    pub(crate) fn make_way(&self, path: &Path) -> Result<(), Error> {
        if !disk::is_directory(path) {
            return Ok(());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.aside(&name);
        tracing::warn!(path = %path.display(), aside = %aside.display(), "a directory was in the way of a file: it is put aside");
        disk::create_dir(&self.quarantine())?;
        disk::rename(path, &aside)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// A file of the store that is no content.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where copies of the index are; made with the first one.
    pub(crate) fn backup(&self) -> PathBuf {
        self.root.join("backup")
    }
}
