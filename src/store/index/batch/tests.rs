use std::collections::HashMap;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{FileType, Mode};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::oci::Digest;
use crate::store::index::notes::Progress;
use crate::store::index::tests::{beside, digest, fresh, landing, repo, row, tag};
use crate::store::index::{BlobRow, Dropped, FileStep, Index, Landing};

/// Keeps the writer busy until the sender is dropped, so that what is queued meanwhile is one batch.
async fn hold(index: &Index) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let step = FileStep::new([], move || {
        let _ = started.send(());
        let _ = held.recv();
        Ok(())
    });
    let writing = index.clone();
    let tasks = &index.0.tasks;
    tasks.spawn(async move { writing.unstage(u64::MAX, step).await });
    running.await.unwrap();
    release
}

fn land(index: &Index, of: &str, rename: FileStep) -> impl Future<Output = Result<(), Error>> + use<> {
    let (index, landing) = (
        index.clone(),
        Landing {
            rename,
            ..landing(99, digest(of), 5, "docker.io/a")
        },
    );
    async move { index.land(landing).await }
}

/// Asks to take the file of a blob away, which is told when it is done.
fn take_away(index: &Index, of: &str) -> (oneshot::Receiver<()>, JoinHandle<Result<bool, Error>>) {
    let (done, told) = oneshot::channel();
    let step = FileStep::new([], move || {
        let _ = done.send(());
        Ok(())
    });
    let (index, digest) = (index.clone(), digest(of));
    let tasks = index.0.tasks.clone();
    (
        told,
        tasks.spawn(async move { index.unless_stored(&digest, step).await }),
    )
}

/// Forgets a blob whose file is gone already.
fn forget(index: &Index, of: &str) -> JoinHandle<Result<Dropped, Error>> {
    let seen = BlobRow {
        size: 5,
        modified_ns: 7,
    };
    let (index, digest) = (index.clone(), digest(of));
    let tasks = index.0.tasks.clone();
    tasks.spawn(async move { index.drop_blob(&digest, seen, |_hosted| FileStep::none()).await })
}

fn failing_step() -> FileStep {
    FileStep::new([], || {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        Err(Error::Disk {
            verb: "rename",
            path: "staging/7".into(),
            source,
        })
    })
}

async fn stored(index: &Index, digest: Digest) -> bool {
    index.blob(&digest).await.unwrap().is_some()
}

#[tokio::test]
async fn a_file_step_that_fails_harms_nobody_else_in_its_batch() {
    let (_dir, index) = fresh();
    let held = hold(&index).await;
    let before = index.0.tasks.spawn(land(&index, "before", FileStep::none()));
    let failing = index.0.tasks.spawn(land(&index, "failing", failing_step()));
    let after = index.0.tasks.spawn(land(&index, "after", FileStep::none()));
    tokio::task::yield_now().await;
    drop(held);

    before.await.unwrap().unwrap();
    after.await.unwrap().unwrap();
    let error = failing.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::Disk { verb: "rename", .. }),
        "it is told its own error: {error}"
    );
    assert!(stored(&index, digest("before")).await && stored(&index, digest("after")).await);
    assert!(!stored(&index, digest("failing")).await);
    assert!(
        !index
            .sight(&repo("docker.io/a"), &digest("failing"))
            .await
            .unwrap()
            .entered_here
    );
}

#[tokio::test]
async fn a_row_change_that_fails_half_way_is_undone_alone() {
    let (dir, index) = fresh();
    let trigger = "CREATE TRIGGER t BEFORE DELETE ON staged BEGIN SELECT RAISE (ABORT, 'no'); END";
    let remote = "library/a".parse().unwrap();
    let partial = index.partial("docker.io", &remote, &digest("failing")).await.unwrap();
    beside(&dir).execute_batch(trigger).unwrap();
    let held = hold(&index).await;
    let refused = landing(partial.id, digest("failing"), 5, "docker.io/a");
    let failing = index.0.tasks.spawn({
        let index = index.clone();
        async move { index.land(refused).await }
    });
    let after = index.0.tasks.spawn(land(&index, "after", FileStep::none()));
    tokio::task::yield_now().await;
    drop(held);

    let error = failing.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::Write { fact, .. } if **fact == Fact::Blob(digest("failing"))),
        "{error}"
    );
    after.await.unwrap().unwrap();
    assert!(!stored(&index, digest("failing")).await && stored(&index, digest("after")).await);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_durable_fails_the_whole_batch_and_the_next_one_works() {
    let (dir, index) = fresh();
    let held = hold(&index).await;
    let missing = FileStep::new([dir.path().join("missing")], || Ok(()));
    let unsynced = index.0.tasks.spawn(land(&index, "unsynced", missing));
    let beside = index.0.tasks.spawn(land(&index, "beside", FileStep::none()));
    tokio::task::yield_now().await;
    drop(held);

    for (failed, of) in [(unsynced, "unsynced"), (beside, "beside")] {
        let Error::Batch { fact, source } = failed.await.unwrap().unwrap_err() else {
            panic!()
        };
        assert_eq!(*fact, Fact::Blob(digest(of)));
        assert!(
            matches!(
                *source,
                Error::Disk {
                    verb: "sync the directory",
                    ..
                }
            ),
            "{source}"
        );
        assert!(!stored(&index, digest(of)).await);
    }
    land(&index, "beside", FileStep::none()).await.unwrap();
    assert!(stored(&index, digest("beside")).await);
}

#[tokio::test]
async fn when_sqlite_gives_up_the_transaction_everybody_hears_it_and_later_steps_are_not_begun() {
    let (dir, index) = fresh();
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON tag BEGIN SELECT RAISE (ROLLBACK, 'full'); END";
    let other = beside(&dir);
    other.execute_batch(trigger).unwrap();
    let held = hold(&index).await;
    let before = index.0.tasks.spawn(land(&index, "before", FileStep::none()));
    let fatal = index.0.tasks.spawn({
        let index = index.clone();
        async move { index.put_tag(&repo("a"), None, &tag("t"), row(1)).await }
    });
    let never = FileStep::new([], || panic!("its transaction is lost"));
    let after = index.0.tasks.spawn(land(&index, "after", never));
    tokio::task::yield_now().await;
    drop(held);

    for failed in [before, fatal, after] {
        let Err(Error::Batch { source, .. }) = failed.await.unwrap() else {
            panic!()
        };
        assert!(matches!(*source, Error::Write { .. }), "the cause: {source}");
    }
    assert!(!stored(&index, digest("before")).await);
    other.execute_batch("DROP TRIGGER t").unwrap();
    index.put_tag(&repo("a"), None, &tag("t"), row(1)).await.unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test looks at the files from outside")]
async fn a_step_is_done_before_its_row_and_its_directory_is_there() {
    let (dir, index) = fresh();
    let (blobs, staging) = (dir.path().join("blobs"), dir.path().join("staged"));
    disk::create_dir(&blobs).unwrap();
    std::fs::write(&staging, "hello").unwrap();
    let target = blobs.join("hello");
    let rename = FileStep::new([blobs], move || disk::rename(&staging, &target));
    land(&index, "hello", rename).await.unwrap();
    assert_eq!(std::fs::read(dir.path().join("blobs/hello")).unwrap(), b"hello");
    assert_eq!(
        index.blob(&digest("hello")).await.unwrap(),
        Some(BlobRow {
            size: 5,
            modified_ns: 7
        })
    );
}

fn held() -> Arc<Held> {
    Arc::new(Held::new(Vec::new()))
}

fn batches(path: &std::path::Path) -> Batches {
    let connection = schema::open_writer(path).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    Batches::new(connection, Arc::new(Generations::new()), Arc::default(), held())
}

/// How the connection syncs: 1 is `NORMAL`, 2 is `FULL`.
fn synchronous(batches: &Batches) -> i64 {
    let level = batches
        .connection
        .pragma_query_value(None, "synchronous", |row| row.get(0));
    level.unwrap()
}

/// An operation that changes nothing, and where its answer comes.
fn op(durability: Durability) -> (Op, oneshot::Receiver<Result<(), Error>>) {
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let (to, heard) = oneshot::channel();
    let answer = Answer {
        fact: Box::new(Fact::Progress),
        to,
        _place: place,
    };
    let change: Change = Box::new(|_| Ok(()));
    let op = Op {
        durability,
        change,
        answer,
    };
    (op, heard)
}

#[test]
fn a_batch_is_synced_if_anybody_in_it_needs_that() {
    use Durability::{Lazy, Synced};
    let dir = tempfile::tempdir().unwrap();
    let mut batches = batches(&dir.path().join("index.sqlite3"));
    for (ops, expected) in [
        (&[Lazy, Lazy][..], 1),
        (&[Lazy, Synced, Lazy], 2),
        (&[Synced], 2),
        (&[Lazy], 1),
    ] {
        let (ops, heard): (Vec<_>, Vec<_>) = ops.iter().copied().map(op).unzip();
        batches.write(ops, Noted::default());
        assert_eq!(synchronous(&batches), expected);
        for mut answer in heard {
            answer.try_recv().unwrap().unwrap();
        }
    }
}

#[test]
fn a_lazy_batch_that_could_not_begin_does_not_make_the_next_one_lazy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.sqlite3");
    let mut batches = batches(&path);
    let progress = Progress {
        length: None,
        pieces: vec![],
    };

    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let noted = Noted {
        progress: HashMap::from([(1, progress)]),
        ..Noted::default()
    };
    batches.write(vec![], noted);
    assert_eq!(synchronous(&batches), 1, "NORMAL");
    other.execute_batch("COMMIT").unwrap();

    let (synced, mut answer) = op(Durability::Synced);
    batches.write(vec![synced], Noted::default());
    answer.try_recv().unwrap().unwrap();
    assert_eq!(synchronous(&batches), 2, "FULL");
}

#[test]
fn after_a_commit_that_the_disk_has_failed_nothing_is_even_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.sqlite3");
    drop(schema::open_writer(&path).unwrap());
    // Where SQLite keeps its log: every write to it fails.
    let log = dir.path().join("index.sqlite3-wal");
    rustix::fs::mknodat(rustix::fs::CWD, &log, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut batches = Batches::new(
        Connection::open(&path).unwrap(),
        Arc::new(Generations::new()),
        Arc::default(),
        held(),
    );

    let (mut failing, mut failed) = op(Durability::Synced);
    failing.change = Box::new(|tx| {
        tx.repository(&repo("a"), None).unwrap();
        Ok(())
    });
    batches.write(vec![failing], Noted::default());
    let Error::Batch { source, .. } = failed.try_recv().unwrap().unwrap_err() else {
        panic!("its transaction has failed")
    };
    assert!(matches!(*source, Error::Transaction { verb: "commit", .. }), "{source}");

    let (mut refused, mut told) = op(Durability::Lazy);
    refused.change = Box::new(|_| panic!("a later sync could succeed over a log with a hole in it"));
    batches.write(vec![refused], Noted::default());
    let told = told.try_recv().unwrap();
    assert!(matches!(told, Err(Error::Closed { .. })), "{told:?}");
}

#[tokio::test]
async fn a_file_is_not_taken_away_on_the_word_of_a_transaction_that_can_still_fail() {
    let (dir, index) = fresh();
    land(&index, "a", FileStep::none()).await.unwrap();
    for fails in [true, false] {
        let held = hold(&index).await;
        let forgetting = forget(&index, "a");
        let (mut taken, taking) = take_away(&index, "a");
        let directory = dir.path().join(if fails { "missing" } else { "" });
        let step = FileStep::new([directory], || Ok(()));
        let beside = index.0.tasks.spawn(land(&index, "b", step));
        tokio::task::yield_now().await;
        drop(held);

        assert_eq!(beside.await.unwrap().is_err(), fails);
        assert_eq!(forgetting.await.unwrap().is_err(), fails);
        let outcome = taking.await.unwrap();
        if fails {
            assert!(matches!(outcome, Err(Error::Batch { .. })), "{outcome:?}");
            assert!(taken.try_recv().is_err(), "it is stored after all");
            assert!(stored(&index, digest("a")).await);
        } else {
            assert!(outcome.unwrap(), "by the next transaction");
            taken.try_recv().unwrap();
        }
    }
}
