use super::*;
use crate::store::index::tests::{beside, digest, fresh, open};

#[tokio::test]
async fn pages_follow_each_other_in_order() {
    let (dir, index) = fresh();
    let mut all: Vec<Digest> = (0..7).map(|n| digest(&format!("{n}"))).collect();
    for digest in &all {
        let (digest, put) = (
            digest.to_string(),
            "INSERT INTO blob (digest, size, modified) VALUES (?1, 3, 1)",
        );
        beside(&dir).execute(put, [digest]).unwrap();
    }
    all.sort_by_key(ToString::to_string);
    let (mut told, mut behind) = (Vec::new(), None);
    loop {
        let page = index.blobs_behind(behind, 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        behind = Some(*last);
        told.extend(page.into_iter().map(|(digest, _)| digest));
    }
    assert_eq!(told, all);
    assert_eq!(index.stored().await.unwrap(), (7, 21));
}

#[tokio::test]
async fn how_far_a_scrub_has_come_is_kept() {
    let (dir, index) = fresh();
    assert_eq!(index.scrubbed().await.unwrap(), None);
    let began = Timestamp::from_second(7).unwrap();
    for (behind, done) in [(None, false), (Some(digest("a")), false), (None, true)] {
        let round = Round { began, behind, done };
        index.note_scrub(round).await.unwrap();
        assert_eq!(index.scrubbed().await.unwrap(), Some(round));
    }
    drop(index);
    assert!(open(&dir).scrubbed().await.unwrap().is_some_and(|round| round.done));
}
