//! Blobs in and out: opened with care, staged, committed.
//!
//! Promises that a file which is not what its row says is never served: another length is a miss at once, another
//! modification time costs a proof first, and a small blob is proven whenever it is loaded. What fails is dropped, row
//! and file, so that the next pull fetches it again. Dropped futures leave no half step: each step ends on its own.

use std::sync::Arc;

use bytes::Bytes;

use crate::oci::{Digest, RemoteName, RepoKey};
use crate::store::budget::Reservation;
use crate::store::content::arriving::Arriving;
use crate::store::content::blob::Blob;
use crate::store::content::disk::{self, Kind, OpenFile};
use crate::store::content::staging::{Staged, Verified};
use crate::store::content::{Pieces, hash_file};
use crate::store::index::{Arrival, BlobRow, Dropped, FileStep, Landing, Pulled, StagedRow};
use crate::store::{Error, Store};
use crate::tasks::Lost;

/// Blobs up to this size are kept in memory, in bytes.
const SMALL: u64 = 64 * 1024;

/// What a look at a blob's file came to.
enum Found {
    /// It is what its row says.
    Good(OpenFile),
    /// The same, read and proven.
    Loaded(Bytes),
    /// Its modification time is another one: it is to be proven.
    Moved(OpenFile),
    /// It is not there, or not what its row says.
    Damaged(&'static str),
}

impl Store {
    /// Opens a stored blob whose row is `row`; `None` when its file turns out to be damaged. Counts as a pull.
    pub async fn open_blob(&self, digest: &Digest, row: &BlobRow) -> Result<Option<Blob>, Error> {
        self.index.note_pull(Pulled::Blob(*digest));
        match self.small.get(digest).await {
            Some(bytes) => Ok(Some(Blob::memory(bytes, self.tasks.clone()))),
            None => self.open_file(digest, row).await,
        }
    }

    /// The same, whatever is in memory: for who must know that the file is there.
    pub(super) async fn open_file(&self, digest: &Digest, row: &BlobRow) -> Result<Option<Blob>, Error> {
        let mut found = self.look(digest, *row).await?;
        if let Found::Moved(_) = found {
            // A task of its own: a client that leaves must not cost the next one the whole proof again.
            let (store, digest) = (self.clone(), *digest);
            let proof = self.tasks.spawn(async move { store.prove_again(&digest).await });
            found = proof.await.map_err(|_ended| Error::Lost(Lost))??;
        }
        match found {
            Found::Good(file) | Found::Moved(file) => {
                Ok(Some(Blob::file(Arc::new(file), row.size, self.tasks.clone())))
            }
            Found::Loaded(bytes) => {
                self.small.insert(*digest, bytes.clone()).await;
                Ok(Some(Blob::memory(bytes, self.tasks.clone())))
            }
            Found::Damaged(how) if self.is_read_only() => {
                tracing::warn!(%digest, how, "a stored blob is damaged: it counts for nothing");
                Ok(None)
            }
            Found::Damaged(how) => {
                // A task of its own, too: its second step must not be left out.
                let (store, digest, row) = (self.clone(), *digest, *row);
                let drop = self
                    .tasks
                    .spawn(async move { store.drop_blob(&digest, row, how, false).await });
                drop.await.map_err(|_ended| Error::Lost(Lost))??;
                Ok(None)
            }
        }
    }

    async fn look(&self, digest: &Digest, row: BlobRow) -> Result<Found, Error> {
        let (path, digest) = (self.layout.blob(digest), *digest);
        // Before the look: what was found is not to go meanwhile.
        let in_use = self.budget.in_use().enter(digest);
        let look = move || {
            let Some(file) = OpenFile::open(path)? else {
                return Ok(Found::Damaged("it is gone"));
            };
            let file = file.using(in_use);
            let stamp = file.stamp()?;
            if stamp.size != row.size {
                return Ok(Found::Damaged("its length is wrong"));
            }
            if row.size <= SMALL {
                return Ok(
                    load(&file, &digest, row.size)?.map_or(Found::Damaged("its content is wrong"), Found::Loaded)
                );
            }
            Ok(if stamp.modified_ns == row.modified_ns {
                Found::Good(file)
            } else {
                Found::Moved(file)
            })
        };
        self.tasks.blocking(look).await.map_err(Error::Lost)?
    }

    /// Hashes a blob's file and keeps its new modification time. One after the other: whoever waited looks again first.
    async fn prove_again(&self, digest: &Digest) -> Result<Found, Error> {
        let _turn = self.proofs.acquire().await;
        let Some(row) = self.index.blob(digest).await? else {
            return Ok(Found::Damaged("it is gone"));
        };
        let file = match self.look(digest, row).await? {
            Found::Moved(file) => file,
            found @ (Found::Good(_) | Found::Loaded(_) | Found::Damaged(_)) => return Ok(found),
        };
        if self.is_read_only() && self.touched.get(digest).await == Some(file.stamp()?) {
            return Ok(Found::Good(file));
        }
        tracing::info!(%digest, "a stored blob was touched from outside: it is proven again");
        let asked = *digest;
        let prove = move || {
            let stamp = file.stamp()?;
            Ok::<_, Error>((hash_file(&file, asked.algorithm())? == asked, stamp, file))
        };
        let (right, stamp, file) = self.tasks.blocking(prove).await.map_err(Error::Lost)??;
        if !right {
            return Ok(Found::Damaged("its content is wrong"));
        }
        if self.is_read_only() {
            self.touched.insert(*digest, stamp).await;
        } else {
            self.index.reprove_blob(digest, row, stamp.modified_ns).await?;
        }
        Ok(Found::Good(file))
    }

    /// Forgets a blob that is damaged. What a hosted repository has may exist nowhere else: its bytes are put aside, for
    /// somebody to look at, and so is what is no file at all, and anything with `keep`.
    pub(super) async fn drop_blob(
        &self,
        digest: &Digest,
        row: BlobRow,
        how: &'static str,
        keep: bool,
    ) -> Result<Dropped, Error> {
        let (from, blobs) = (self.layout.blob(digest), self.layout.blobs(digest.algorithm()));
        let (layout, name) = (self.layout.clone(), digest.encoded());
        let rubbish = layout.trash().join(&name);
        let target = rubbish.clone();
        let take_away = move |hosted| {
            let directories = [blobs, layout.trash(), layout.quarantine()];
            FileStep::new(directories, move || {
                let keep = keep || hosted || disk::kind(&from).is_ok_and(|kind| kind == Kind::Other);
                let to = if keep { layout.aside(&name) } else { target };
                disk::rename_if_present(&from, &to).map(drop)
            })
        };
        let dropped = self.index.drop_blob(digest, row, take_away).await?;
        match dropped {
            Dropped::Not => {}
            Dropped::Cached => {
                tracing::warn!(%digest, how, "a stored blob is damaged: it is dropped and fetched again when asked for");
                let remove = self.tasks.blocking(move || disk::remove(&rubbish));
                remove.await.map_err(Error::Lost)??;
            }
            Dropped::Hosted => {
                tracing::error!(
                    %digest, how,
                    "a pushed blob is damaged: what is left of it is in store.path/quarantine, and pushing it again heals it"
                );
            }
        }
        Ok(dropped)
    }

    /// Where a fetch of this blob through this mirror has to begin; `None` when a partial has every byte.
    pub async fn resume_at(&self, mirror: &str, digest: &Digest, expected: Option<u64>) -> Result<Option<u64>, Error> {
        if self.index.staged(mirror, digest).await?.is_none() {
            return Ok(Some(0));
        }
        // The last attempt may have ended a moment ago, with its last note not written yet.
        self.index.flush().await?;
        let Some(row) = self.index.staged(mirror, digest).await? else {
            return Ok(Some(0));
        };
        let (pieces, length) = head_start(&row, expected);
        Ok(length.map_or(Some(pieces.run_end(0)), |length| {
            pieces.missing(0..length).into_iter().next().map(|gap| gap.start)
        }))
    }

    /// Begins, or resumes, the arrival of a blob through a mirror. `expected`: its length in bytes, where it is known. What
    /// must go for it has gone when this returns; [`Error::NoRoom`] where even that is not enough.
    pub async fn stage(
        &self,
        mirror: &str,
        remote: &RemoteName,
        digest: &Digest,
        expected: Option<u64>,
    ) -> Result<Staged, Error> {
        let budget = Arc::clone(&self.budget);
        let take = |id| Reservation::of_partial(budget, id);
        let (row, reservation) = self.index.stage(mirror, remote, digest, take).await?;
        let (mut pieces, length) = head_start(&row, expected);
        if let Err(refused) = reservation.reserve(length).await {
            self.give_back(&row, &reservation).await;
            return Err(refused);
        }
        let (id, path, layout) = (row.id, self.layout.staging(row.id), self.layout.clone());
        let in_use = self.budget.in_use().enter(*digest);
        let open = move || {
            layout.make_way(&path)?;
            let file = OpenFile::create(path)?.using(in_use);
            // What the row says may be more than what a power cut left.
            pieces.clip(file.stamp()?.size.min(length.unwrap_or(u64::MAX)));
            Ok::<_, Error>((file, pieces, length))
        };
        let (file, pieces, length) = self.tasks.blocking(open).await.map_err(Error::Lost)??;
        let arriving = Arc::new(Arriving::new(
            file,
            digest.algorithm(),
            pieces,
            length,
            self.tasks.clone(),
        ));
        Ok(Staged::new(id, *digest, arriving, self.index.clone(), reservation))
    }

    /// A partial that got no room stays if it has bytes.
    async fn give_back(&self, row: &StagedRow, reservation: &Reservation) {
        if !row.pieces.is_empty() {
            return;
        }
        let file = self.layout.staging(row.id);
        let remove = FileStep::new([], move || disk::remove(&file));
        match self.index.unstage(row.id, remove).await {
            Ok(()) => reservation.end(),
            Err(error) => tracing::debug!(%error, "an empty partial stays"),
        }
    }

    /// Makes a proven blob durable and visible: to `repo`, whose upstream answered for it, and to those of the mirror's
    /// repositories that name it. On an error nothing is visible and the bytes are gone.
    pub async fn commit(&self, verified: Verified, mirror: &str, repo: &RepoKey) -> Result<Blob, Error> {
        let (digest, size) = (verified.digest(), verified.size());
        let staged = verified.into_staged();
        match self.land(&staged, digest, size, mirror, repo).await {
            Ok(()) => {
                let blob = Blob::file(Arc::clone(staged.arriving().file()), size, self.tasks.clone());
                staged.landed();
                Ok(blob)
            }
            // The file may have been renamed already: its row stays, and the next fetch or start finds it. But that
            // fetch may end in a discard, so a start must look for the file even where no row tells of it.
            Err(error @ (Error::Batch { .. } | Error::Write { .. } | Error::Closed { .. })) => {
                self.running.set_in_doubt();
                Err(error)
            }
            Err(error) => {
                // A sync that failed must not be tried again: the pages that were lost look clean the next time.
                self.discard(staged).await?;
                Err(error)
            }
        }
    }

    pub(super) async fn land(
        &self,
        staged: &Staged,
        digest: Digest,
        size: u64,
        mirror: &str,
        repo: &RepoKey,
    ) -> Result<(), Error> {
        let stamp = staged.arriving().make_durable(size).await?;
        let (from, to) = (self.layout.staging(staged.id()), self.layout.blob(&digest));
        let rename = FileStep::new([self.layout.blobs(digest.algorithm())], move || {
            disk::rename(&from, &to)
        });
        let landing = Landing {
            digest,
            blob: BlobRow {
                size,
                modified_ns: stamp.modified_ns,
            },
            allocated: stamp.allocated,
            rename,
            arrival: Arrival::Fetched {
                partial: staged.id(),
                mirror: mirror.to_owned(),
                repo: repo.clone(),
            },
        };
        self.index.land_counted(landing, staged.counted()).await
    }

    /// Deletes what arrived. Readers are cut.
    pub async fn discard(&self, staged: Staged) -> Result<(), Error> {
        staged.discard(&self.layout).await
    }
}

/// What a partial's row says is there, and the blob's length. Bytes that belong to another length count for nothing.
fn head_start(row: &StagedRow, expected: Option<u64>) -> (Pieces, Option<u64>) {
    match (row.length, expected) {
        (Some(then), Some(now)) if then != now => (Pieces::default(), expected),
        (then, now) => (Pieces::decode(&row.pieces), now.or(then)),
    }
}

/// The whole of a small file, if it is what its name says. Blocks.
fn load(file: &OpenFile, digest: &Digest, size: u64) -> Result<Option<Bytes>, Error> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    let read = file.read_at(&mut bytes, 0)?;
    let right = read == bytes.len() && Digest::of(digest.algorithm(), &bytes) == *digest;
    Ok(right.then(|| bytes.into()))
}
