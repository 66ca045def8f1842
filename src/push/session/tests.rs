#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the store, and harm it, behind its back"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::*;
use crate::access::Principal;
use crate::clock::Clock;
use crate::namespaces::{Namespaces, Repo};
use crate::push::Config;
use crate::store::{self, Store};
use crate::tasks::Tasks;

struct Harbour {
    dir: tempfile::TempDir,
    push: Push,
    caller: Caller,
    repo: HostedRepo,
}

impl Harbour {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tasks, clock) = (Tasks::new(), Clock::manual(Timestamp::UNIX_EPOCH));
        let config = store::Config {
            path: dir.path().into(),
            ..store::Config::default()
        };
        let store = Store::open(&config, tasks.clone()).await.unwrap();
        let caller = Caller {
            principal: Principal::Anonymous,
            address: Ipv4Addr::LOCALHOST.into(),
            by_proxy: false,
        };
        let names = Namespaces::new(&[], &["*".to_owned()], &[]).unwrap();
        let resolved = names.resolve(&"team/app".parse().unwrap(), None, None).unwrap();
        let Repo::Hosted(repo) = resolved.repo else {
            panic!("every name is hosted")
        };
        Self {
            dir,
            push: Push::new(store, clock, tasks, &Config::default()),
            caller,
            repo,
        }
    }

    async fn begin(&self) -> UploadId {
        let begun = self.push.start_upload(&self.caller, &self.repo, None).await;
        begun.unwrap().session
    }

    async fn append(&self, id: &UploadId, chunks: Vec<Bytes>) -> Result<Position, Error> {
        self.push.append(&self.caller, &self.repo, id, piece(chunks)).await
    }

    async fn finish(&self, id: &UploadId, digest: &Digest) -> Result<(), Error> {
        let none = piece(Vec::new());
        self.push.finish(&self.caller, &self.repo, id, digest, none).await
    }

    async fn status(&self, id: &UploadId) -> Result<Position, Error> {
        self.push.upload_status(&self.caller, &self.repo, id).await
    }

    fn file(&self, id: &UploadId) -> PathBuf {
        self.dir.path().join("uploads").join(id.to_string())
    }

    /// Waits until nothing is left of any session.
    async fn is_empty(&self) {
        let files = || fs::read_dir(self.dir.path().join("uploads")).unwrap().count();
        let rows = async || self.push.store.expired_uploads(Timestamp::MAX).await.unwrap().len();
        let gone = async {
            while files() + rows().await > 0 {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.unwrap();
    }
}

fn piece(chunks: Vec<Bytes>) -> Piece<'static> {
    Piece {
        span: None,
        length: None,
        body: stream::iter(chunks.into_iter().map(Ok)).boxed(),
    }
}

/// So much that it is synced as it comes.
fn much() -> Vec<Bytes> {
    vec![Bytes::from(vec![0; 1 << 20]); 64]
}

#[tokio::test]
async fn a_session_whose_client_leaves_while_it_is_deleted_is_gone_altogether() {
    let harbour = Harbour::new().await;
    let id = harbour.begin().await;
    harbour.append(&id, vec![Bytes::from_static(b"hello")]).await.unwrap();
    assert!(harbour.file(&id).exists());
    {
        let delete = pin!(harbour.push.cancel_upload(&harbour.caller, &harbour.repo, &id));
        assert!(delete.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    harbour.is_empty().await;
    let status = harbour.status(&id).await;
    assert!(matches!(status, Err(Error::UploadUnknown)), "{status:?}");
}

#[tokio::test]
async fn a_client_that_closes_a_session_whose_bytes_are_lost_is_not_to_blame() {
    let harbour = Harbour::new().await;
    let id = harbour.begin().await;
    // It takes every byte, and is no file that could be synced.
    symlink("/dev/null", harbour.file(&id)).unwrap();
    harbour.append(&id, much()).await.unwrap();
    while harbour.push.sessions.get(&id).unwrap().is_syncing() {
        yield_now().await;
    }
    let digest = Digest::of(Algorithm::Sha512, &much().concat());
    let closed = harbour.finish(&id, &digest).await;
    assert!(matches!(closed, Err(Error::Store(_))), "{closed:?}");
    let status = harbour.status(&id).await;
    assert!(matches!(status, Err(Error::UploadUnknown)), "{status:?}");
    harbour.is_empty().await;
}

#[tokio::test]
async fn a_session_stays_in_memory_while_a_sync_is_under_way() {
    let harbour = Harbour::new().await;
    let (sessions, repo) = (Sessions::default(), RepoKey::hosted(harbour.repo.name()));
    let store = &harbour.push.store;
    let begun = store.begin_upload(&repo, "me", Algorithm::Sha256, Timestamp::UNIX_EPOCH);
    let (row, mut upload) = begun.await.unwrap();
    let id = row.id;
    upload.append(&much()).unwrap();
    sessions.enter(Session::open(row, upload));
    let later = Instant::now() + Duration::from_hours(1);
    assert!(sessions.take_idle(later).is_empty());
    while sessions.take_idle(later).is_empty() {
        yield_now().await;
    }
    assert!(sessions.get(&id).is_none());
}

/// The answer tells no position, so nobody can go on with what is here.
#[tokio::test]
async fn nothing_stays_of_a_blob_in_one_request_that_the_store_fails() {
    let harbour = Harbour::new().await;
    let index = rusqlite::Connection::open(harbour.dir.path().join("index/index.sqlite3")).unwrap();
    let refuse = "CREATE TRIGGER t BEFORE DELETE ON upload BEGIN SELECT RAISE (ABORT, 'no'); END";
    index.execute_batch(refuse).unwrap();
    let (digest, bytes) = (Digest::of(Algorithm::Sha256, b"other"), Bytes::from_static(b"hello"));
    let saving = harbour
        .push
        .save(&harbour.caller, &harbour.repo, &digest, piece(vec![bytes]));
    let saved = saving.await;
    assert!(matches!(saved, Err(Error::Store(_))), "{saved:?}");
    index.execute_batch("DROP TRIGGER t").unwrap();
    harbour.is_empty().await;
}
