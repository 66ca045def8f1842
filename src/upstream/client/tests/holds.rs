//! `Retry-After`, and the budget that an upstream tells.

use super::endpoints::{answering, mirror};
use super::*;

#[tokio::test]
async fn nobody_asks_before_the_time_that_a_throttling_upstream_named() {
    for (status, named, wait) in [(429, Some("30"), 30), (429, None, 5), (503, Some("7"), 7)] {
        let fake = Fake::start(move |_| {
            let header = named.map(|named| ("Retry-After", named));
            Reply::new(status, header.as_slice(), b"")
        })
        .await;
        let (asker, mirror) = (asker(), mirror(&[&fake], |_| {}));
        asker.whole(&mirror).await.unwrap_err();
        asker.clock.advance(Duration::from_secs(wait - 1));
        let error = asker.manifest(&mirror).await.unwrap_err();
        let left = Some(Duration::from_secs(1));
        assert_eq!((error.status(), error.retry_after()), (Some(status), left), "{error}");
        assert_eq!(fake.seen().len(), 1, "{status} {named:?}");
        asker.clock.advance(Duration::from_secs(1));
        asker.whole(&mirror).await.unwrap_err();
        assert_eq!(fake.seen().len(), 2, "{status} {named:?}");
    }
}

#[tokio::test]
async fn other_repositories_and_other_credentials_are_not_held() {
    let (fake, safe) = (answering(429, &[("Retry-After", "30")]).await, Safe::new());
    let file = safe.put("secret", "one");
    let mirror = mirror(&[&fake], |config| {
        config.username = Some("site".to_owned());
        config.password_file = Some(file);
    });
    let mut asker = asker();
    asker.whole(&mirror).await.unwrap_err();
    let held = std::mem::replace(&mut asker.remote, "org/other".parse().unwrap());
    asker.whole(&mirror).await.unwrap_err();
    assert_eq!(fake.seen().len(), 2);
    asker.remote = held;
    asker.whole(&mirror).await.unwrap_err();
    assert_eq!(fake.seen().len(), 2);
    safe.put("secret", "two");
    asker.clock.advance(Duration::from_secs(1));
    until("the new credentials to be used", async || {
        asker.whole(&mirror).await.unwrap_err();
        fake.seen().len() == 3
    })
    .await;
}

#[tokio::test]
async fn a_throttled_endpoint_has_a_successor_and_is_not_asked_meanwhile() {
    let first = answering(429, &[("Retry-After", "30")]).await;
    let second = answering(200, &[]).await;
    let (asker, mirror) = (asker(), mirror(&[&first, &second], |_| {}));
    for _ in 0..3 {
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (1, 3));
}

#[tokio::test]
async fn a_budget_is_kept_as_it_was_told_last() {
    let told = [
        ("RateLimit-Limit", "100;w=21600"),
        ("RateLimit-Remaining", "76;w=21600"),
    ];
    let fake = Fake::start(move |_| Reply::new(200, &told, BLOB)).await;
    let (asker, mirror) = (asker(), mirror(&[&fake], |_| {}));
    assert!(mirror.endpoint().budget().is_none());
    asker.clock.advance(Duration::from_secs(9));
    asker.whole(&mirror).await.unwrap();
    let budget = mirror.endpoint().budget().unwrap();
    assert_eq!((budget.limit, budget.remaining), (Some(100), 76));
    assert_eq!(budget.window, Some(Duration::from_hours(6)));
    assert_eq!(budget.at, asker.clock.now());
}
