//! A store that is only read: on a medium that takes no writes, or by choice.
//!
//! Promises to write nothing: no lock, no mark, no row and no file; what is damaged is a miss and stays where it is. On a
//! read-only medium nothing is written beside the index either. Never looks for what a crash has left: no row tells of it.


use crate::store::content::disk;
use crate::store::content::layout::Layout;
use crate::store::index::Index;
use crate::store::lock::Lock;
use crate::store::running::Running;
use crate::store::{Config, Error, Store};
use crate::tasks::Tasks;

impl Store {
    /// Opens a store to read it only. Beside a wharf that serves it too, or where one may come, the medium of the index must
    /// take the few bytes by which SQLite keeps readers and writers apart.
    pub async fn open_read_only(config: &Config, tasks: Tasks) -> Result<Self, Error> {
        let (path, index_path, background) = (config.path.clone(), config.index_path(), tasks.clone());
        let opened = tasks.blocking(move || {
            let layout = Layout::at(&path);
            // One who serves it through another mount writes to it all the same.
            let sealed = disk::exists(&index_path) && disk::is_sealed(&index_path)? && !Lock::is_held(&path);
            let index = Index::open_read_only(&index_path, &layout.backup(), sealed, background)?;
            Ok::<_, Error>((layout, index))
        });
        let (layout, index) = opened.await.map_err(Error::Lost)??;
        Ok(Self::over(index, layout, Running::unmarked(), None, tasks))
    }

    /// Whether nothing can be kept here.
    pub fn is_read_only(&self) -> bool {
        self.index.is_read_only()
    }
}
