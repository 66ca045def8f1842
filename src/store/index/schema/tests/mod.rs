mod books;

use tempfile::TempDir;

use super::*;

fn fresh() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.sqlite3");
    (dir, path)
}

fn number(connection: &Connection, pragma: &str) -> i64 {
    connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
}

#[test]
fn a_new_file_gets_the_newest_schema_and_our_mark() {
    let (_dir, path) = fresh();
    let connection = open_writer(&path).unwrap();
    assert_eq!(number(&connection, "user_version"), newest());
    assert_eq!(number(&connection, "application_id"), APPLICATION_ID);
    assert_eq!(number(&connection, "synchronous"), 2, "FULL");
    let format: String = connection
        .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(format, "1");
}

#[test]
fn steps_lead_forward_from_wherever_the_file_is_and_keep_what_is_there() {
    let (_dir, path) = fresh();
    let steps = [
        "CREATE TABLE a (x)",
        "INSERT INTO a VALUES (1)",
        "ALTER TABLE a ADD COLUMN y DEFAULT 2",
    ];
    let connection = Connection::open(&path).unwrap();
    for known in [1, 1, 2, 3] {
        migrate(&connection, &path, &steps[..known]).unwrap();
        assert_eq!(number(&connection, "user_version"), i64::try_from(known).unwrap());
    }
    let rows: (i64, i64, i64) = connection
        .query_row("SELECT count(*), x, y FROM a", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(rows, (1, 1, 2));
}

#[test]
fn a_step_that_fails_leaves_the_file_at_the_step_before() {
    let (_dir, path) = fresh();
    let connection = Connection::open(&path).unwrap();
    let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
    let failed = migrate(&connection, &path, &steps).unwrap_err();
    assert!(matches!(failed, Error::Migrate { to: 2, .. }), "{failed}");
    assert_eq!(number(&connection, "user_version"), 1);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (_dir, path) = fresh();
    let newer = newest() + 1;
    let connection = open_writer(&path).unwrap();
    connection.pragma_update(None, "user_version", newer).unwrap();
    drop(connection);
    let before = file(&path);

    let refused = open_writer(&path).unwrap_err();
    let expected = format!("has schema {newer}, but this wharf knows schemas up to {}", STEPS.len());
    assert!(refused.to_string().contains(&expected), "{refused}");
    assert!(refused.to_string().contains("run the newer wharf"), "{refused}");
    assert_eq!(file(&path), before);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let (_dir, path) = fresh();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let before = file(&path);
    let refused = open_writer(&path).unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    assert_eq!(file(&path), before);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test looks at the file from outside")]
fn what_is_no_database_is_refused() {
    let (_dir, path) = fresh();
    std::fs::write(&path, "hello, I am a text that is long enough to be looked at").unwrap();
    assert!(matches!(open_writer(&path), Err(Error::Damaged { .. })));
}

#[test]
fn the_identity_is_made_up_once() {
    let (_dir, path) = fresh();
    let first = store_id(&open_writer(&path).unwrap()).unwrap();
    assert_eq!(store_id(&open_writer(&path).unwrap()).unwrap(), first);
    let (_other_dir, other) = fresh();
    assert_ne!(store_id(&open_writer(&other).unwrap()).unwrap(), first);
}

#[test]
fn a_long_log_is_copied_into_the_database_and_a_short_one_is_not() {
    let (_dir, path) = fresh();
    let connection = open_writer(&path).unwrap();
    let note = "INSERT INTO meta (key, value) VALUES (hex(randomblob(8)), hex(randomblob(1500)))";
    let log = || {
        connection
            .wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)
            .unwrap()
    };
    let mut longest = 0;
    for _ in 0..1000 {
        connection.execute(note, []).unwrap();
        shorten_log(&connection).unwrap();
        let (pages, copied) = log();
        assert_eq!(copied, if pages < LONG_LOG { 0 } else { pages });
        longest = longest.max(pages);
    }
    assert!((LONG_LOG..LONG_LOG + 10).contains(&longest), "{longest}");
}

#[test]
fn a_log_that_another_process_has_left_is_emptied_first() {
    let (dir, path) = fresh();
    let connection = open_writer(&path).unwrap();
    store_id(&connection).unwrap();
    let left = dir.path().join("index.sqlite3-wal");
    let (database, log) = (file(&path), file(&left));
    drop(connection);
    write(&path, &database);
    write(&left, &log);
    let connection = open_writer(&path).unwrap();
    assert!(!log.is_empty() && file(&left).is_empty());
    let stored: i64 = connection
        .query_row("SELECT count(*) FROM meta WHERE key = 'store'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 1);
}

#[test]
fn a_disk_that_fails_is_told_from_one_that_is_full_or_busy() {
    use rusqlite::ffi;
    let may_be = |code| may_be_of_a_sync(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    assert!(
        [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR]
            .into_iter()
            .all(may_be)
    );
    assert!(
        ![ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_CORRUPT]
            .into_iter()
            .any(may_be)
    );
}

fn newest() -> i64 {
    STEPS.len().try_into().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test looks at the file from outside")]
fn file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test puts back what a crash would have left")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
