//! What a process that ended badly leaves to the next one.

use super::*;

#[tokio::test]
async fn a_session_goes_on_after_a_restart_where_its_file_ends() {
    let dir = Dir::new();
    let (bytes, digest) = content(BIG);
    let (first, rest) = bytes.split_at(100_001);
    let store = dir.open().await;
    let row = begin(&store).await;
    append(&mut open(&store, &row).await, first).unwrap();
    drop(store);

    let store = dir.open().await;
    assert_eq!(store.upload(&row.id).await.unwrap(), Some(row.clone()));
    assert_eq!(store.uploaded(&row.id).await.unwrap(), 100_001);
    let mut upload = open(&store, &row).await;
    assert_eq!(upload.received(), 100_001);
    append(&mut upload, rest).unwrap();
    let received = upload.verify(&digest).await.unwrap();
    commit(&store, received).await.unwrap();
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn a_commit_cut_between_rename_and_row_leaves_what_its_client_was_promised() {
    for promised in [true, false] {
        let dir = Dir::new();
        let store = dir.open().await;
        let (bytes, digest) = content(BIG);
        let received = received(&store, &bytes, &digest).await.promised(promised);
        let id = received.id();
        commit_refused(&dir, &store, received).await;
        drop(store);
        fs::rename(file(&dir, &id), dir.blob(&digest)).unwrap();

        let store = dir.open().await;
        let here = store.uploaded(&id).await.unwrap();
        assert_eq!(here, if promised { BIG as u64 } else { 0 });
        assert!(store.upload(&id).await.unwrap().is_some());
        if promised {
            is_committed_after_all(&store, &id, bytes, &digest).await;
        }
    }
}

#[tokio::test]
async fn an_upload_does_not_take_the_file_of_a_blob_that_is_stored() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (bytes, digest) = content(BIG);
    let (lost, landed) = (
        received(&store, &bytes, &digest).await.promised(true),
        received(&store, &bytes, &digest).await,
    );
    let id = lost.id();
    commit_refused(&dir, &store, lost).await;
    fs::remove_file(file(&dir, &id)).unwrap();
    commit(&store, landed).await.unwrap();
    drop(store);

    let store = dir.open().await;
    assert_eq!(store.uploaded(&id).await.unwrap(), 0);
    assert_eq!(get(&store, &digest).await, Some(bytes));
}

#[tokio::test]
async fn a_file_without_a_session_goes_and_a_session_without_a_file_stays() {
    let dir = Dir::new();
    let store = dir.open().await;
    let (empty, begun) = (begin(&store).await, begin(&store).await);
    append(&mut open(&store, &begun).await, b"hello").unwrap();
    drop(store);
    let (orphan, foreign) = (
        file(&dir, &UploadId::new()),
        dir.0.path().join("store/uploads/notes.txt"),
    );
    fs::write(&orphan, b"of a session that a power cut took").unwrap();
    fs::write(&foreign, b"somebody's").unwrap();

    let store = dir.open().await;
    while orphan.exists() {
        tokio::task::yield_now().await;
    }
    assert!(foreign.exists());
    assert_eq!(open(&store, &begun).await.received(), 5);
    assert_eq!(open(&store, &empty).await.received(), 0);
    assert_eq!(store.upload(&empty.id).await.unwrap(), Some(empty));
}
