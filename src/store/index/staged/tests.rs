use super::*;
use crate::store::index::tests::{MIRROR, digest, fresh};

#[tokio::test]
async fn a_mirror_has_one_partial_of_a_digest_and_its_id_never_comes_back() {
    let (_dir, index) = fresh();
    let (remote, layer): (RemoteName, _) = ("library/alpine".parse().unwrap(), digest("layer"));
    let first = index.partial(MIRROR, &remote, &layer).await.unwrap();
    assert_eq!(
        first,
        StagedRow {
            id: first.id,
            length: None,
            pieces: vec![]
        }
    );
    assert_eq!(index.partial(MIRROR, &remote, &layer).await.unwrap().id, first.id);
    assert_ne!(index.partial("quay.io", &remote, &layer).await.unwrap().id, first.id);

    index.unstage(first.id, FileStep::none()).await.unwrap();
    assert_eq!(index.staged(MIRROR, &layer).await.unwrap(), None);
    let second = index.partial(MIRROR, &remote, &layer).await.unwrap();
    assert!(second.id > first.id);
    index.note_progress(first.id, Some(1), vec![9]);
    index.flush().await.unwrap();
    assert_eq!(index.staged(MIRROR, &layer).await.unwrap(), Some(second));
}
