use super::*;
use crate::oci::RemoteName;
use crate::store::UploadId;
use crate::store::index::facts::{FileStep, Landing};
use crate::store::index::tests::{MIRROR, digest, fresh, landing, open, pushed, repo};
use crate::store::index::{Pulled, StagedRow};

const ALL: Bounds = Bounds {
    until: i64::MAX as u64,
    enough: u64::MAX,
    rows: 64,
};

/// Lands a blob of a mirror that takes as many bytes as its number says.
async fn land(index: &Index, n: u64) -> Digest {
    let blob = digest(&n);
    index.land(landing(100 + n, blob, n, "docker.io/a")).await.unwrap();
    blob
}

async fn partial(index: &Index, of: &str) -> StagedRow {
    let remote: RemoteName = "library/a".parse().unwrap();
    index.partial(MIRROR, &remote, &digest(of)).await.unwrap()
}

/// Lands a blob of a hosted repository that takes as many bytes as its number says.
async fn push(index: &Index, n: u64) -> Digest {
    let (blob, now) = (digest(&n), "2026-08-01T12:00:00Z".parse().unwrap());
    let landing = pushed(UploadId::new(), blob, "team/app", now);
    index
        .land(Landing {
            allocated: n,
            ..landing
        })
        .await
        .unwrap();
    blob
}

/// Evicts all but `kept`, and says what went.
async fn evict(index: &Index, bounds: Bounds, kept: &[Candidate]) -> (Vec<Candidate>, bool) {
    let kept = kept.to_vec();
    let judge = move |candidate| match candidate {
        _ if kept.contains(&candidate) => None,
        Candidate::Blob(_, bytes) => Some((bytes, ())),
        Candidate::Partial(_) => Some((0, ())),
    };
    let step = index.evict(bounds, judge).await.unwrap();
    (
        step.forgotten.into_iter().map(|(candidate, ())| candidate).collect(),
        step.more,
    )
}

#[tokio::test]
async fn what_is_counted_is_known_with_the_answer_and_after_a_restart() {
    let (dir, index) = fresh();
    land(&index, 5).await;
    let pushed = push(&index, 7).await;
    assert_eq!(*index.counted().bytes(), 5);
    index.delete_blob(&repo("team/app"), &pushed).await.unwrap();
    assert_eq!(*index.counted().bytes(), 5, "it is gone");
    let both = land(&index, 9).await;
    assert_eq!(push(&index, 9).await, both);
    assert_eq!(*index.counted().bytes(), 5);
    index.delete_blob(&repo("team/app"), &both).await.unwrap();
    assert_eq!(*index.counted().bytes(), 14, "a mirror's repository has it still");
    index.close().await.unwrap();
    drop(index);
    assert_eq!(*open(&dir).counted().bytes(), 14);
}

#[tokio::test]
async fn the_least_recently_pulled_goes_first_and_no_more_than_is_enough() {
    let (_dir, index) = fresh();
    let (one, two, three) = (land(&index, 1).await, land(&index, 2).await, land(&index, 3).await);
    let left = partial(&index, "x").await;
    index.note_pull(Pulled::Blob(one));
    let enough = Bounds { enough: 4, ..ALL };
    let (gone, more) = evict(&index, enough, &[]).await;
    assert_eq!(gone, [Candidate::Blob(two, 2), Candidate::Blob(three, 3)]);
    assert!(more && index.blob(&two).await.unwrap().is_none());
    assert_eq!(*index.counted().bytes(), 1);
    let (gone, more) = evict(&index, ALL, &[]).await;
    assert_eq!(gone, [Candidate::Partial(left.id), Candidate::Blob(one, 1)]);
    assert!(!more && index.partials().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_may_not_go_counts_as_pulled_and_is_looked_at_once() {
    let (_dir, index) = fresh();
    let blobs = [land(&index, 1).await, land(&index, 2).await, land(&index, 3).await];
    let kept = Candidate::Blob(blobs[0], 1);
    let bounds = Bounds {
        until: index.last_use(),
        rows: 1,
        ..ALL
    };
    assert_eq!(evict(&index, bounds, &[kept]).await, (vec![], true));
    assert_eq!(evict(&index, bounds, &[kept]).await.0, [Candidate::Blob(blobs[1], 2)]);
    assert_eq!(evict(&index, bounds, &[kept]).await.0, [Candidate::Blob(blobs[2], 3)]);
    assert_eq!(
        evict(&index, bounds, &[]).await,
        (vec![], false),
        "all have been looked at"
    );
    assert_eq!(evict(&index, ALL, &[]).await.0, [kept]);
}

#[tokio::test]
async fn what_a_hosted_repository_has_is_neither_weighed_nor_evicted() {
    let (_dir, index) = fresh();
    let (cached, pushed) = (land(&index, 5).await, push(&index, 7).await);
    let asked = vec![cached, pushed, digest("never seen")];
    assert_eq!(index.weigh(asked).await.unwrap(), 5);
    assert_eq!(evict(&index, ALL, &[]).await.0, [Candidate::Blob(cached, 5)]);
    assert!(index.blob(&pushed).await.unwrap().is_some());
}

#[tokio::test]
async fn a_pull_that_is_not_written_yet_counts() {
    let (_dir, index) = fresh();
    let blobs = [land(&index, 1).await, land(&index, 2).await];
    let enough = Bounds { enough: 1, ..ALL };
    index.note_pull(Pulled::Blob(blobs[0]));
    assert_eq!(evict(&index, enough, &[]).await.0, [Candidate::Blob(blobs[1], 2)]);
}

#[tokio::test]
async fn who_counted_a_blob_before_hears_of_it_before_anybody_can_count_it_twice() {
    let (_dir, index) = fresh();
    let (tell, told) = std::sync::mpsc::channel();
    let counted = Arc::clone(index.counted());
    let heard = tell.clone();
    let ends = move || heard.send(counted.bytes.try_lock().is_err()).unwrap();
    index
        .land_counted(landing(1, digest("a"), 5, "docker.io/a"), ends)
        .await
        .unwrap();
    assert!(told.try_recv().unwrap(), "nobody reads the number meanwhile");

    let mut refused = landing(1, digest("b"), 5, "docker.io/a");
    refused.rename = FileStep::new([], || {
        Err(Error::ReadOnly {
            fact: Box::new(Fact::Room),
        })
    });
    let ends = move || tell.send(true).unwrap();
    index.land_counted(refused, ends).await.unwrap_err();
    told.try_recv().unwrap_err();
}
