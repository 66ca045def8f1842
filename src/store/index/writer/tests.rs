use super::*;
use crate::store::index::tests::{beside, digest, fresh, open, repo, row, tag};
use crate::store::index::{FileStep, Index};

/// Queues a write as a caller does that goes away at once.
fn abandon(write: impl Future) {
    let mut write = std::pin::pin!(write);
    let waker = std::task::Waker::noop();
    assert!(
        write
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker))
            .is_pending()
    );
}

async fn put(index: &Index, n: u64) -> Result<(), Error> {
    index.put_tag(&repo("a"), None, &tag("t"), row(n)).await
}

#[tokio::test]
async fn a_write_that_is_queued_is_made_whoever_listens() {
    let (_dir, index) = fresh();
    abandon(put(&index, 1));
    index.flush().await.unwrap();
    assert_eq!(index.tag(&repo("a"), &tag("t")).await.unwrap(), Some(row(1)));
}

#[tokio::test]
async fn writes_are_made_in_the_order_they_were_queued() {
    let (_dir, index) = fresh();
    for n in 1..=1000 {
        abandon(put(&index, n));
        tokio::task::yield_now().await; // tokio lets a task be polled only so often without a pause
    }
    index.flush().await.unwrap();
    assert_eq!(index.tag(&repo("a"), &tag("t")).await.unwrap(), Some(row(1000)));
}

#[tokio::test]
async fn dropping_the_index_writes_what_is_queued() {
    let (dir, index) = fresh();
    let staged = index
        .partial("docker.io", &"a".parse().unwrap(), &digest("x"))
        .await
        .unwrap();
    index.note_progress(staged.id, Some(9), vec![1]);
    abandon(put(&index, 1));
    drop(index);
    let index = open(&dir);
    assert_eq!(index.tag(&repo("a"), &tag("t")).await.unwrap(), Some(row(1)));
    assert_eq!(
        index.staged("docker.io", &digest("x")).await.unwrap().unwrap().pieces,
        [1]
    );
}

#[tokio::test]
async fn a_closed_index_says_so() {
    let (_dir, index) = fresh();
    index.close().await.unwrap();
    index.close().await.unwrap();
    assert!(matches!(put(&index, 1).await, Err(Error::Closed { .. })));
    assert!(matches!(index.partials().await, Err(Error::Closed { .. })));
    index.note_progress(1, None, vec![]);
}

#[tokio::test]
async fn the_last_handle_may_go_with_a_file_step() {
    let (dir, index) = fresh();
    let last = index.clone();
    let step = FileStep::new([], move || {
        drop(last);
        Ok(())
    });
    abandon(index.unstage(1, step));
    abandon(put(&index, 1));
    drop(index);
    // The thread winds down by itself then: reading waits for nothing but its commit.
    let index = open(&dir);
    index.flush().await.unwrap();
}

#[tokio::test]
async fn progress_is_written_in_its_time_without_anybody_asking() {
    let (_dir, index) = fresh();
    let staged = index
        .partial("docker.io", &"a".parse().unwrap(), &digest("x"))
        .await
        .unwrap();
    for n in 0..=100 {
        index.note_progress(staged.id, Some(9), vec![n]);
    }
    let written = async {
        loop {
            let row = index.staged("docker.io", &digest("x")).await.unwrap().unwrap();
            if row.pieces == [100] {
                return row;
            }
        }
    };
    let row = tokio::time::timeout(Duration::from_secs(30), written).await.unwrap();
    assert_eq!((row.id, row.length), (staged.id, Some(9)));
}

#[tokio::test]
async fn progress_goes_along_with_the_next_batch() {
    let (_dir, index) = fresh();
    let staged = index
        .partial("docker.io", &"a".parse().unwrap(), &digest("x"))
        .await
        .unwrap();
    index.note_progress(staged.id, Some(9), vec![1]);
    put(&index, 1).await.unwrap();
    assert_eq!(
        index.staged("docker.io", &digest("x")).await.unwrap().unwrap().pieces,
        [1]
    );
}

#[tokio::test]
async fn more_callers_than_places_are_all_served() {
    let (dir, index) = fresh();
    let tasks = index.0.tasks.clone();
    let write = |n| {
        let index = index.clone();
        tasks.spawn(async move { index.put_tag(&repo("a"), None, &tag(&format!("t{n}")), row(n)).await })
    };
    let writes: Vec<_> = (0..2 * PLACES as u64).map(write).collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let tags: u32 = beside(&dir)
        .query_row("SELECT count(*) FROM tag", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tags as usize, 2 * PLACES);
}
