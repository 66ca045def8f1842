use std::sync::atomic::AtomicBool;

use super::*;
use crate::store::index::tests::{digest, fresh, repo, row, tag};

#[tokio::test]
async fn an_answer_read_beside_a_commit_is_read_again() {
    let generations = Arc::new(Generations::new());
    let remembered = Remembered::new(8, Arc::clone(&generations));
    let shard = Shard::of_digest(&digest("x"));
    // The old value is read, then the commit of the new one overtakes it, then the old value is put away.
    let overtaken = async {
        generations.raise(shard);
        Ok("old")
    };
    assert_eq!(remembered.get(1, shard, overtaken).await.unwrap(), "old");
    assert_eq!(remembered.get(1, shard, async { Ok("new") }).await.unwrap(), "new");
    let never = async { panic!("remembered, and nothing has changed") };
    assert_eq!(remembered.get(1, shard, never).await.unwrap(), "new");
}

#[tokio::test]
async fn a_read_that_fails_is_not_remembered() {
    let remembered = Remembered::new(8, Arc::new(Generations::new()));
    let shard = Shard::of_tag(&repo("a"), &tag("b"));
    let failing = async {
        Err(Error::Closed {
            fact: Box::new(crate::store::Fact::Partials),
        })
    };
    remembered.get(1, shard, failing).await.unwrap_err();
    assert_eq!(remembered.get(1, shard, async { Ok(5) }).await.unwrap(), 5);
}

/// Writers count up, each its own tag; nobody may ever read less than what had been acknowledged before it asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_reader_is_ever_told_less_than_was_acknowledged_before_it_asked() {
    const WRITERS: usize = 4;
    const WRITES: u64 = 300;
    let (_dir, index) = fresh();
    let tasks = index.0.tasks.clone();
    let acknowledged: Arc<[AtomicU64; WRITERS]> = Arc::default();
    let done = Arc::new(AtomicBool::new(false));

    let read = |seed: usize| {
        let (index, acknowledged, done) = (index.clone(), Arc::clone(&acknowledged), Arc::clone(&done));
        tasks.spawn(async move {
            let mut random = seed as u64 + 1;
            let mut reads = 0_u64;
            while !done.load(Ordering::SeqCst) {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let writer = (random >> 33) as usize % WRITERS;
                let floor = acknowledged[writer].load(Ordering::SeqCst);
                let found = index.tag(&repo("a"), &tag(&format!("t{writer}"))).await.unwrap();
                let found = found.and_then(|row| row.size).unwrap_or(0);
                assert!(
                    found >= floor,
                    "writer {writer}: {found} was read after {floor} had been acknowledged"
                );
                reads += 1;
                if random.trailing_zeros() >= 2 {
                    tokio::task::yield_now().await;
                }
            }
            reads
        })
    };
    let readers: Vec<_> = (0..6).map(read).collect();
    let write = |writer: usize| {
        let (index, acknowledged) = (index.clone(), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            for n in 1..=WRITES {
                index
                    .put_tag(&repo("a"), None, &tag(&format!("t{writer}")), row(n))
                    .await
                    .unwrap();
                acknowledged[writer].store(n, Ordering::SeqCst);
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}
