//! A store that is only read: on a medium that takes no writes, or by choice.
//!
//! Promises to write nothing: no lock, no mark, no row and no file; what is damaged is a miss and stays where it is. On a
//! read-only medium nothing is written beside the index either. Never looks for what a crash has left: no row tells of it.

use crate::store::content::disk;
use crate::store::content::file_system;
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
            let sealed = disk::exists(&index_path) && file_system::is_sealed(&index_path)? && !Lock::is_held(&path);
            let index = Index::open_read_only(&index_path, &layout.backup(), sealed, background)?;
            Ok::<_, Error>((layout, index))
        });
        let (layout, index) = opened.await.map_err(Error::Lost)??;
        Ok(Self::over(config, index, layout, (Running::unmarked(), None), tasks))
    }

    /// Whether nothing can be kept here.
    pub fn is_read_only(&self) -> bool {
        self.index.is_read_only()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests harm the store behind its back")]

    use std::fs;
    use std::time::SystemTime;

    use super::*;
    use crate::store::tests::{BIG, Dir, content, get, put, remote};

    async fn read_only(dir: &Dir) -> Result<Store, Error> {
        let config = Config {
            path: dir.0.path().join("store"),
            ..Config::default()
        };
        Store::open_read_only(&config, Tasks::new()).await
    }

    #[tokio::test]
    async fn what_is_stored_is_read_and_nothing_is_changed() {
        let dir = Dir::new();
        let [(bytes, digest), (other, damaged)] = [content(BIG), content(BIG + 1)];
        let store = dir.open().await;
        put(&store, &bytes, &digest).await;
        put(&store, &other, &damaged).await;
        store.close().await.unwrap();
        drop(store);
        let file = fs::File::options().write(true).open(dir.blob(&digest)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        fs::write(dir.blob(&damaged), "short").unwrap();
        let was = dir.files(".");

        let store = read_only(&dir).await.unwrap();
        let row = store.index.blob(&digest).await.unwrap();
        for _ in 0..2 {
            assert_eq!(
                get(&store, &digest).await.as_ref(),
                Some(&bytes),
                "proven, though its time is another"
            );
            assert_eq!(get(&store, &damaged).await, None);
        }
        assert!(dir.blob(&damaged).exists() && store.index.blob(&damaged).await.unwrap().is_some());
        assert_eq!(store.index.blob(&digest).await.unwrap(), row);
        let refused = store.stage("docker.io", &remote(), &digest, None).await.unwrap_err();
        assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
        store.close().await.unwrap();
        assert_eq!(dir.files("."), was);
    }

    #[tokio::test]
    async fn it_reads_beside_one_who_writes() {
        let dir = Dir::new();
        let store = dir.open().await;
        let reader = read_only(&dir).await.unwrap();
        let (bytes, digest) = content(BIG);
        put(&store, &bytes, &digest).await;
        assert_eq!(get(&reader, &digest).await, Some(bytes));
    }

    #[tokio::test]
    async fn no_store_is_made() {
        let dir = Dir::new();
        assert!(matches!(read_only(&dir).await, Err(Error::NoIndex { .. })));
        assert!(!dir.0.path().join("store").exists());
    }
}
