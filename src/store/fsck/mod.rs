//! Index and disk compared both ways, and all content proven again: by `wharf fsck` with the store to itself, and slowly
//! while wharf serves (`scrub`).
//!
//! Promises that without `repair` nothing is changed but the note of how far a check has come; that pushed bytes are never
//! deleted, but put aside; and that what is not wharf's is left alone. A check that is broken off is gone on with by the
//! next. Dropping its future leaves the step that was begun to its own end.

mod content;
mod examine;
mod files;
mod finding;
mod place;
mod scrub;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::store::content::disk::{self, Kind};
use crate::store::content::layout::Layout;
use crate::store::index::{Index, copy};
use crate::store::lock::Lock;
use crate::store::running::Running;
use crate::store::{Config, Error, Store};
use crate::tasks::Tasks;

pub use examine::Damage;
pub use finding::{Event, Finding, Outcome, Report};

use examine::Pace;
use place::Place;

/// How a check is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fsck {
    /// Whether what can be mended is.
    pub repair: bool,
    /// Whether it begins at the beginning, although another one was broken off.
    pub anew: bool,
    /// Content to read, in bytes a second; `None`: as fast as the disk.
    pub rate: Option<u64>,
}

/// Hears what a check tells.
pub type Watch = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// A check under way.
struct Run {
    store: Store,
    how: Fsck,
    now: Timestamp,
    pace: Pace,
    watch: Watch,
    report: Report,
}

/// Checks the whole store, which nobody may be serving. Ends early, to be gone on with, when `tasks` wind down.
pub async fn fsck(config: &Config, how: Fsck, tasks: Tasks, now: Timestamp, watch: Watch) -> Result<Report, Error> {
    let store = open(config, how, &tasks).await?;
    let read = Arc::clone(&watch);
    let mut run = Run {
        pace: Pace::new(how.rate, Arc::new(move |bytes| read(Event::Read(bytes)))),
        store,
        how,
        now,
        watch,
        report: Report::default(),
    };
    let checked = run.check(config).await;
    run.store.close().await?;
    checked.map(|()| run.report)
}

/// Takes the lock of a store that is there. Without `repair` its index is only read.
async fn open(config: &Config, how: Fsck, tasks: &Tasks) -> Result<Store, Error> {
    let (path, index_path, background) = (config.path.clone(), config.index_path(), tasks.clone());
    let opened = tasks.blocking(move || {
        if disk::kind(&path)? == Kind::Nothing {
            return Err(Error::NoStore { path });
        }
        let lock = lock(&path)?;
        let layout = Layout::at(&path);
        if !how.repair {
            let index = Index::open_read_only(&index_path, &layout.backup(), true, background)?;
            return Ok((lock, Running::unmarked(), layout, index));
        }
        if !disk::exists(&index_path.join(copy::FILE)) && !disk::exists(&layout.backup().join(copy::FILE)) {
            let path = index_path.join(copy::FILE);
            return Err(Error::NoIndex { path });
        }
        let made = || Ok((Running::mark(&path)?, Layout::create(&path)?));
        let (running, layout) = made().map_err(|error: Error| error.of_start("store.path", &path))?;
        let index = Index::open(&index_path, &layout.backup(), background);
        let index = index.map_err(|error| error.of_start("store.index", &index_path))?;
        Ok((lock, running, layout, index))
    });
    let (lock, running, layout, index) = opened.await.map_err(Error::Lost)??;
    Ok(Store::over(config, index, layout, (running, Some(lock)), tasks.clone()))
}

fn lock(store: &Path) -> Result<Lock, Error> {
    let taken = Lock::take(store);
    if let Err(Error::Locked { path, holder }) = taken {
        return Err(Error::Served { path, holder });
    }
    taken.map_err(|error| error.of_start("store.path", store))
}

impl Run {
    async fn check(&mut self, config: &Config) -> Result<(), Error> {
        let place = Place::open(self.store.layout.root().join("fsck"), self.how.anew)?;
        let doubts = self.store.running.doubts();
        if !self.how.repair && disk::exists(&self.store.layout.root().join("running")) {
            self.tell(&Finding::Unclean, Outcome::Left);
        }
        (self.watch)(Event::Looks("the index"));
        if !self.index().await? {
            return Ok(());
        }
        if self.how.repair {
            let recovery = self.store.recovery();
            recovery.uploads().await?;
            recovery.partials().await?;
        }
        (self.watch)(Event::Looks("the files"));
        self.files(config).await?;
        (self.watch)(Event::Looks("the content"));
        let finished = self.content(place).await?;
        self.report.finished = finished;
        if finished && let Some(doubts) = doubts {
            self.store.running.settle(doubts);
        }
        if finished {
            self.books().await?;
            self.copy().await?;
        }
        Ok(())
    }

    /// Whether the index can be relied on for the rest.
    async fn index(&mut self) -> Result<bool, Error> {
        let found = match self.store.index.check().await {
            Ok(found) => found,
            Err(Error::Read { source, .. }) => {
                self.tell(&Finding::Index(source.to_string()), Outcome::Left);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let sound = found.sqlite.is_empty();
        for words in found.sqlite {
            self.tell(&Finding::Index(words), Outcome::Left);
        }
        for (repo, tag, digest) in found.tags {
            self.tell(&Finding::Tag { repo, tag, digest }, Outcome::Left);
        }
        for (repo, digest) in found.lost {
            self.tell(&Finding::Lost { repo, digest }, Outcome::Left);
        }
        if sound {
            self.manifests().await?;
        }
        Ok(sound)
    }

    async fn books(&mut self) -> Result<(), Error> {
        let (blobs, off) = self.store.index.books().await?;
        if blobs > 0 || off {
            if self.how.repair {
                self.store.index.mend_books().await?;
            }
            self.tell(&Finding::Books { blobs }, self.mended("written anew"));
        }
        Ok(())
    }

    /// The copy to which `wharf restore` would go back.
    async fn copy(&mut self) -> Result<(), Error> {
        let path = self.store.layout.backup().join(copy::FILE);
        let (at, kind) = (path.clone(), disk::kind(&path));
        let why = match kind {
            Ok(Kind::Nothing) => "there is none".to_owned(),
            Ok(Kind::Other) => "it is no file".to_owned(),
            Ok(Kind::File(_)) => {
                let look = self.store.tasks.blocking(move || copy::look(&at));
                match look.await.map_err(Error::Lost)? {
                    Ok(()) => return Ok(()),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        if self.how.repair {
            let (from, to) = (path.clone(), self.store.layout.aside(copy::FILE));
            let put = move || disk::rename_if_present(&from, &to);
            self.store.tasks.blocking(put).await.map_err(Error::Lost)??;
            self.store.back_up(self.now).await?;
        }
        self.tell(&Finding::Copy { path, why }, self.mended("made anew"));
        Ok(())
    }

    fn mended(&self, how: &'static str) -> Outcome {
        if self.how.repair {
            Outcome::Mended(how)
        } else {
            Outcome::Left
        }
    }

    fn tell(&mut self, finding: &Finding, outcome: Outcome) {
        if finding.is_trouble() {
            self.report.troubles += 1;
            self.report.mended += u64::from(outcome != Outcome::Left);
        }
        (self.watch)(Event::Found(finding, outcome));
    }
}

#[cfg(test)]
mod tests;
