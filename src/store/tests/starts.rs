//! What a process that ended, well or badly, leaves to the next one.

use super::*;

#[tokio::test]
async fn a_partial_is_resumed_where_it_ended_also_after_a_restart() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (first, rest) = bytes.split_at(100_000);
    let staged = store.stage(MIRROR, &remote(), &digest, Some(BIG as u64)).await.unwrap();
    staged.write(0, vec![Bytes::copy_from_slice(first)]).await.unwrap();
    drop(staged);
    store.close().await.unwrap();
    drop(store);

    let store = dir.open().await;
    assert_eq!(store.resume_at(MIRROR, &digest, None).await.unwrap(), Some(100_000));
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    assert!(staged.is_resumed());
    assert_eq!(staged.arriving().length(), Some(BIG as u64));
    staged.write(100_000, vec![Bytes::copy_from_slice(rest)]).await.unwrap();
    keep(&store, staged).await;
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn a_commit_cut_between_rename_and_row_becomes_a_partial_again() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    {
        let store = dir.open().await;
        let staged = store.stage(MIRROR, &remote(), &digest, Some(BIG as u64)).await.unwrap();
        staged.write(0, vec![bytes.clone().into()]).await.unwrap();
        drop(staged);
        store.close().await.unwrap();
    }
    fs::rename(&dir.files("staging")[0], dir.blob(&digest)).unwrap();
    let store = dir.open().await;
    assert!(dir.files("blobs/sha256").is_empty());
    assert_eq!(
        store.resume_at(MIRROR, &digest, None).await.unwrap(),
        None,
        "nothing is missing"
    );
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    keep(&store, staged).await;
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn a_partial_of_what_has_come_another_way_goes_at_the_next_start() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    let store = dir.open().await;
    let staged = store
        .stage("other", &remote(), &digest, Some(BIG as u64))
        .await
        .unwrap();
    staged
        .write(0, vec![Bytes::copy_from_slice(&bytes[..1000])])
        .await
        .unwrap();
    put(&store, &bytes, &digest).await;
    drop((staged, store));

    let store = dir.open().await;
    assert!(dir.files("staging").is_empty());
    assert_eq!(store.resume_at("other", &digest, None).await.unwrap(), Some(0));
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn what_no_row_explains_is_tidied_and_foreign_files_are_left_alone() {
    let dir = Dir::new();
    dir.open().await.close().await.unwrap();
    let root = dir.0.path().join("store");
    fs::write(root.join("staging/4711"), b"a partial without a row").unwrap();
    fs::write(root.join("staging/notes.txt"), b"somebody's").unwrap();
    fs::write(root.join("trash/x"), b"rubbish").unwrap();
    let tasks = Tasks::new();
    let _store = dir.open_with(&tasks).await.unwrap();
    assert!(tasks.close(Duration::from_secs(30)).await);
    assert_eq!(dir.files("staging"), [root.join("staging/notes.txt")]);
    assert!(dir.files("trash").is_empty());
}

#[tokio::test]
async fn a_blob_whose_row_a_crash_has_taken_goes_and_those_with_a_row_stay() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    let store = dir.open().await;
    put(&store, &bytes, &digest).await;
    // Without `close`: as a process that is killed leaves it.
    drop(store);
    let stray = dir.blob(&Digest::of(Algorithm::Sha256, b"stray"));
    let foreign = stray.with_file_name("notes.txt");
    fs::write(&stray, b"renamed, and then the power went").unwrap();
    fs::write(&foreign, b"somebody's").unwrap();
    tidied(&dir).await;
    let mut left = [dir.blob(&digest), foreign.clone()];
    left.sort();
    assert_eq!(dir.files("blobs/sha256"), left);
    assert!(dir.files("trash").is_empty());

    fs::write(&stray, b"put there behind our back").unwrap();
    tidied(&dir).await;
    assert!(stray.exists(), "after a clean end nobody looks");
}

#[tokio::test]
async fn a_blob_whose_commit_failed_behind_its_rename_is_looked_for_also_after_a_clean_end() {
    let dir = Dir::new();
    // As if killed before: the end of the look that follows can be seen, and nothing looks again while this one runs.
    fs::create_dir(dir.0.path().join("store")).unwrap();
    fs::write(dir.0.path().join("store/running"), "").unwrap();
    let store = dir.open().await;
    assert!(store.running.doubts().is_some());
    looked(&store).await;
    let (bytes, digest) = content(BIG);
    let beside = rusqlite::Connection::open(dir.0.path().join("store/index/index.sqlite3")).unwrap();
    let refuse = "CREATE TRIGGER t BEFORE DELETE ON staged BEGIN SELECT RAISE (ABORT, 'no'); END";
    beside.execute_batch(refuse).unwrap();
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    staged.write(0, vec![bytes.into()]).await.unwrap();
    let verified = staged.verify().await.unwrap();
    store.commit(verified, MIRROR, &repo()).await.unwrap_err();
    beside.execute_batch("DROP TRIGGER t").unwrap();
    // A fetch that brings something else takes the row with it.
    let staged = store.stage(MIRROR, &remote(), &digest, None).await.unwrap();
    store.discard(staged).await.unwrap();
    assert_eq!(dir.files("blobs/sha256"), [dir.blob(&digest)]);
    store.close().await.unwrap();
    drop((store, beside));
    tidied(&dir).await;
    assert!(dir.files("blobs/sha256").is_empty());
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let dir = Dir::new();
    let _first = dir.open().await;
    assert!(matches!(dir.try_open().await, Err(Error::Locked { .. })));
}
