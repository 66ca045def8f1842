use super::*;
use crate::store::tests::Dir;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn everything_is_looked_over_once_a_day_also_over_restarts() {
    let dir = Dir::new();
    let mut store = dir.open().await;
    let hour = |n: u64| Timestamp::from_second(1_000_000).unwrap() + Duration::from_hours(n);
    assert_eq!(store.index.looked_over_at().await.unwrap(), None);
    for (at, left, looked) in [(0, 24, 0), (23, 1, 0), (24, 24, 24), (30, 18, 24), (5, 24, 5)] {
        assert_eq!(
            store.forget_if_due(hour(at), DAY).await.unwrap(),
            Duration::from_hours(left),
            "{at}"
        );
        assert_eq!(store.index.looked_over_at().await.unwrap(), Some(hour(looked)), "{at}");
        store.close().await.unwrap();
        drop(store);
        store = dir.open().await;
    }
}

#[tokio::test]
async fn forgetting_ends_with_wharf() {
    let dir = Dir::new();
    let store = dir.open().await;
    let clock = Clock::manual(Timestamp::from_second(7).unwrap());
    let keeping = store.tasks.spawn(store.clone().keep_forgetting(clock, DAY));
    assert!(store.tasks.close(Duration::from_mins(1)).await);
    keeping.await.unwrap();
}
