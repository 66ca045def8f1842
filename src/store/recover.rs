//! What a crash can leave behind, put right.
//!
//! Promises that no file stays that no row knows: a partial without a row, rubbish, and a blob whose rename was done
//! but whose row was not committed, which becomes a partial again. Only what concerns partials is looked at, so a start
//! takes as long with a million blobs. Never touches a file that is not named as wharf names its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::store::content::disk;
use crate::store::content::layout::Layout;
use crate::store::index::{FileStep, Index};
use crate::store::{Error, hosted};
use crate::tasks::Tasks;

/// Before the first request: every partial's row gets its file back, or goes. Gives the ids of the partials.
pub(super) async fn partials(index: &Index, layout: &Layout, tasks: &Tasks) -> Result<HashSet<u64>, Error> {
    let rows = index.partials().await?;
    let ids = rows.iter().map(|(id, _)| *id).collect();
    let at = layout.clone();
    let without_file = move || {
        rows.into_iter()
            .filter(|(id, _)| !disk::exists(&at.staging(*id)))
            .collect::<Vec<_>>()
    };
    for (id, digest) in tasks.blocking(without_file).await.map_err(Error::Lost)? {
        // A blob with a row is stored; one without is this partial, renamed by a commit that did not come to its end.
        let renamed = index.blob(&digest).await?.is_none();
        let (from, to) = (layout.blob(&digest), layout.staging(id));
        let back = move || {
            if renamed {
                disk::rename_if_present(&from, &to)
            } else {
                Ok(false)
            }
        };
        if !tasks.blocking(back).await.map_err(Error::Lost)?? {
            index.unstage(id, FileStep::none()).await?;
        }
    }
    Ok(ids)
}

/// Before the first request: a file that was taken away without its row gets its place back. The rest of the trash is for
/// [`tidy`].
pub(super) async fn thrown_away(index: &Index, layout: &Layout, tasks: &Tasks) -> Result<(), Error> {
    let trash = layout.trash();
    let list = move || {
        let thrown = disk::entries(&trash)?.filter_map(|path| Layout::thrown_digest(&path));
        Ok::<_, Error>(thrown.collect::<Vec<_>>())
    };
    for digest in tasks.blocking(list).await.map_err(Error::Lost)?? {
        index.put_back(&digest, hosted::take_back(layout, &digest)).await?;
    }
    Ok(())
}

/// While wharf serves: files that `known`, the partials at the start, does not explain. It only tidies, so a failure is
/// logged and the next start tries again.
pub(super) async fn tidy(index: Index, layout: Layout, tasks: Tasks, known: HashSet<u64>) {
    let tidy = async {
        let list = move || {
            for rubbish in disk::entries(&layout.trash())? {
                disk::remove(&rubbish)?;
            }
            let strangers = |path: &PathBuf| id(path).is_some_and(|id| !known.contains(&id));
            Ok::<_, Error>(disk::entries(&layout.stagings())?.filter(strangers).collect::<Vec<_>>())
        };
        let strangers = tasks.blocking(list).await.map_err(Error::Lost)??;
        // What is newer than the start has its row by now.
        let rows: HashSet<u64> = index.partials().await?.into_iter().map(|(id, _)| id).collect();
        let orphan = |path: &PathBuf| id(path).is_some_and(|id| !rows.contains(&id));
        let orphans: Vec<PathBuf> = strangers.into_iter().filter(orphan).collect();
        let remove = move || orphans.iter().try_for_each(|orphan| disk::remove(orphan));
        tasks.blocking(remove).await.map_err(Error::Lost)?
    };
    if let Err(error) = tidy.await {
        tracing::warn!(%error, "cannot tidy the store");
    }
}

fn id(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}
