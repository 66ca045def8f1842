#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the files, and harm them, from outside"
)]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::store::index::tests::{MIRROR, beside as connection, digest, fresh, image, open, put, repo, row, tag};
use crate::store::tests::BACK;
use crate::tasks::Tasks;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn copies(dir: &TempDir) -> PathBuf {
    dir.path().join("backup")
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

async fn copy(dir: &TempDir, index: &Index, second: i64) -> Result<(), Error> {
    disk::create_dir(&copies(dir)).unwrap();
    index
        .copy_to(copies(dir).join(FILE), at(second), CancellationToken::new())
        .await
}

fn reopen(dir: &TempDir) -> Result<Index, Error> {
    Index::open(&dir.path().join("index"), &copies(dir), Tasks::new())
}

#[tokio::test]
async fn a_copy_is_the_index_as_it_was_and_says_when() {
    let (dir, index) = fresh();
    index
        .put_tag(&repo("hub/a"), Some(MIRROR), &tag("v1"), row(1))
        .await
        .unwrap();
    assert_eq!(made_at(&copies(&dir).join(FILE)), None);
    copy(&dir, &index, 7).await.unwrap();
    index
        .put_tag(&repo("hub/a"), Some(MIRROR), &tag("v2"), row(1))
        .await
        .unwrap();
    let tags = || {
        let copied = reader(&copies(&dir).join(FILE)).unwrap();
        copied
            .query_row("SELECT count(*) FROM tag", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!((tags(), made_at(&copies(&dir).join(FILE))), (1, Some(at(7))));
    copy(&dir, &index, 9).await.unwrap();
    assert_eq!((tags(), made_at(&copies(&dir).join(FILE))), (2, Some(at(9))));
    assert_eq!(names(&copies(&dir)), [FILE], "nothing is left over");
}

#[tokio::test]
async fn a_copy_that_is_given_up_leaves_the_one_before() {
    let (dir, index) = fresh();
    for number in 0..100 {
        let manifest = image([(digest(&number), 5)]);
        index.put_manifest(put("hub/a", &manifest, None)).await.unwrap();
    }
    copy(&dir, &index, 7).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let given_up = index.copy_to(copies(&dir).join(FILE), at(9), stop).await;
    assert!(matches!(given_up, Err(Error::Copy { .. })), "{given_up:?}");
    assert_eq!(made_at(&copies(&dir).join(FILE)), Some(at(7)));
    assert_eq!(names(&copies(&dir)), [FILE]);
}

#[tokio::test]
async fn an_index_that_is_gone_is_not_begun_anew_while_there_is_a_copy() {
    let (dir, index) = fresh();
    copy(&dir, &index, 7).await.unwrap();
    index.close().await.unwrap();
    let path = dir.path().join("index").join(FILE);
    for emptied in [false, true] {
        fs::remove_file(&path).unwrap();
        if emptied {
            fs::write(&path, "").unwrap();
        }
        let refused = reopen(&dir).unwrap_err();
        assert!(
            matches!(refused, Error::Missing { .. }) && refused.to_string().contains("`wharf restore`"),
            "{refused}"
        );
        fs::write(&path, "").unwrap();
    }
    fs::rename(copies(&dir).join(FILE), beside(&path, RESTORING)).unwrap();
    assert!(
        matches!(reopen(&dir), Err(Error::Missing { .. })),
        "a restore was broken off"
    );
    fs::remove_file(beside(&path, RESTORING)).unwrap();
    reopen(&dir).unwrap();
}

#[tokio::test]
async fn a_damaged_index_is_refused_with_the_remedy() {
    let (dir, index) = fresh();
    index.close().await.unwrap();
    let path = dir.path().join("index").join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..4096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let refused = reopen(&dir).unwrap_err();
    assert!(
        matches!(refused, Error::Damaged { .. }) && refused.to_string().contains("`wharf restore`"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_index_is_copied_before_its_schema_goes_on() {
    let (dir, index) = fresh();
    index
        .put_tag(&repo("hub/a"), Some(MIRROR), &tag("v1"), row(1))
        .await
        .unwrap();
    index.close().await.unwrap();
    assert!(!copies(&dir).exists());
    connection(&dir).execute_batch(BACK).unwrap();

    let index = open(&dir);
    assert!(index.tag(&repo("hub/a"), &tag("v1")).await.unwrap().is_some());
    assert_eq!(names(&copies(&dir)), ["index.sqlite3.schema-1"]);
    let kept = copies(&dir).join("index.sqlite3.schema-1");
    let copied = reader(&kept).unwrap();
    let version: i64 = copied
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 1);
    assert!(made_at(&kept).is_some(), "the time of the file, as it has no note");
    index.close().await.unwrap();
    drop(open(&dir));
    assert_eq!(names(&copies(&dir)), ["index.sqlite3.schema-1"], "and only then");
}

#[test]
fn any_path_is_a_name_that_sqlite_understands() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("a b?c#d%e&é");
    fs::create_dir(&odd).unwrap();
    let source = Connection::open_in_memory().unwrap();
    source.execute_batch("CREATE TABLE t (x)").unwrap();
    let source = {
        source
            .execute("VACUUM INTO ?1", [odd.join("a.db").to_str().unwrap()])
            .unwrap();
        reader(&odd.join("a.db")).unwrap()
    };
    write(&source, &odd.join("b.db")).unwrap();
    assert_eq!(names(&odd), ["a.db", "b.db"]);
}

#[tokio::test]
async fn a_restore_that_is_broken_off_never_leaves_an_index_without_its_log() {
    let (dir, index) = fresh();
    copy(&dir, &index, 7).await.unwrap();
    index.close().await.unwrap();
    let path = dir.path().join("index").join(FILE);
    let (was, log) = (fs::read(&path).unwrap(), beside(&path, "-wal"));
    fs::write(&log, "a log").unwrap();
    let finish = |second| {
        let prepared = Restoration::prepare(&copies(&dir).join(FILE), path.parent().unwrap()).unwrap();
        prepared.finish(at(second))
    };

    let aside = beside(&path, ".aside-19700101T000001.000000Z");
    fs::create_dir(&aside).unwrap();
    finish(1).unwrap_err();
    assert_eq!(
        (fs::read(&path).unwrap(), fs::read(&log).unwrap()),
        (was, b"a log".to_vec())
    );

    fs::remove_dir(&aside).unwrap();
    let blocked = beside(&aside, "-wal");
    fs::create_dir(&blocked).unwrap();
    finish(1).unwrap_err();
    assert!(log.exists() && matches!(reopen(&dir), Err(Error::Missing { .. })));
    assert_eq!(finish(2).unwrap(), None, "it is aside already");
    assert!(aside.exists() && !log.exists());
    reopen(&dir).unwrap();
}
