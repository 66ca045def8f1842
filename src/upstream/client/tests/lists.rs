//! Tag lists: all pages of them, and no more than that.

use super::*;

fn page(tags: &[&str], headers: &[(&str, &str)]) -> Reply {
    let body = serde_json::json!({ "name": "org/app", "tags": tags }).to_string();
    let headers = [&[("Content-Type", "application/json")], headers].concat();
    Reply::new(200, &headers, body.as_bytes())
}

fn linked(tags: &[&str], to: &str) -> Reply {
    page(tags, &[("Link", &format!("<{to}>; rel=\"next\""))])
}

async fn tags(fake: &Fake) -> Result<Vec<String>, Error> {
    let (asker, tally) = (asker(), Tally::default());
    let mirror = fake.mirror(quick);
    let tags = soon(asker.client.tags(&mirror, &asker.remote, &tally)).await?;
    Ok(tags.iter().map(ToString::to_string).collect())
}

async fn fault(fake: &Fake) -> Fault {
    match tags(fake).await {
        Err(Error::Unusable { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_page_is_read_at_the_endpoint_by_its_links_query() {
    let fake = Fake::start(|seen| match seen.target() {
        "/v2/org/app/tags/list?n=1000" => linked(&["b", "a"], "/v2/org/app/tags/list?last=a&n=2"),
        // Another path, port and scheme than ours: only the query counts.
        "/v2/org/app/tags/list?last=a&n=2" => linked(&["d"], "https://127.0.0.1:1/else/where?page=x%2Fy"),
        "/v2/org/app/tags/list?page=x%2Fy" => page(&["c"], &[]),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(tags(&fake).await.unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(fake.seen()[0].header("accept"), Some("application/json"));
}

#[tokio::test]
async fn a_list_that_goes_on_elsewhere_is_not_followed_and_not_taken_for_whole() {
    let other = Fake::start(|_| page(&["z"], &[])).await;
    let to = other.authority().replace("127.0.0.1", "localhost");
    let link = format!("http://{to}/v2/org/app/tags/list?n=2");
    let fake = Fake::start(move |_| linked(&["a"], &link)).await;
    assert_eq!(fault(&fake).await, Fault::ForeignLink { host: to });
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_page_that_is_missing_is_not_a_missing_repository() {
    let fake = Fake::start(|seen| match seen.target().rsplit('?').next() {
        Some("p=1") => Reply::new(404, &[], b"{}"),
        _ => linked(&["a"], "?p=1"),
    })
    .await;
    assert_eq!(fault(&fake).await, Fault::BadLink);
}

#[tokio::test]
async fn a_circle_ends() {
    let fake = Fake::start(|seen| match seen.target().rsplit('?').next() {
        Some("p=1") => linked(&["b"], "?p=2"),
        _ => linked(&["a"], "?p=1"),
    })
    .await;
    assert_eq!(fault(&fake).await, Fault::Circle);
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn a_full_page_without_a_link_is_asked_for_more() {
    let names: Vec<String> = (0..1500).map(|n| format!("t{n:04}")).collect();
    let names: &'static [String] = names.leak();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let (first, second) = all.split_at(1000);
    let (first, second) = (first.to_vec(), second.to_vec());
    let fake = Fake::start(move |seen| match seen.target() {
        "/v2/org/app/tags/list?n=1000" => page(&first, &[]),
        "/v2/org/app/tags/list?n=1000&last=t0999" => page(&second, &[]),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(tags(&fake).await.unwrap(), all);

    // It knows neither n nor last, and happens to have just as many.
    let thousand = all[..1000].to_vec();
    let fake = Fake::start(move |_| page(&thousand, &[])).await;
    let listed = tags(&fake).await.unwrap();
    assert_eq!((listed.len(), fake.seen().len()), (1000, 2));
}

#[tokio::test]
async fn a_registry_that_refuses_the_page_size_is_asked_for_its_own() {
    let fake = Fake::start(|seen| match seen.target() {
        "/v2/org/app/tags/list" => linked(&["a"], "?last=a&n=1"),
        "/v2/org/app/tags/list?last=a&n=1" => page(&["b"], &[]),
        _ => Reply::new(400, &[], b"{}"),
    })
    .await;
    assert_eq!(tags(&fake).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let many = vec!["t"; 100_001];
    let fake = Fake::start(move |seen| linked(&many, &format!("?p={}", seen.target().len()))).await;
    assert!(matches!(fault(&fake).await, Fault::LongList { .. }), "too many");
    assert_eq!(fake.seen().len(), 2);

    let long = format!("{{\"tags\":[],\"x\":\"{}\"}}", "x".repeat(9 * 1024 * 1024));
    let fake = Fake::start(move |seen| {
        let link = format!("<?p={}>; rel=next", seen.target().len());
        Reply::new(200, &[("Link", &link)], long.as_bytes())
    })
    .await;
    assert!(matches!(fault(&fake).await, Fault::LongList { .. }), "too large");

    let pages = AtomicU32::new(0);
    let fake = Fake::start(move |_| linked(&[], &format!("?p={}", pages.fetch_add(1, Ordering::SeqCst)))).await;
    let mirror = fake.mirror(|_| {});
    let asker = asker();
    let listed = soon(asker.client.tags(&mirror, &asker.remote, &Tally::default())).await;
    let fault = |error| {
        matches!(
            error,
            Error::Unusable {
                fault: Fault::LongList { .. },
                ..
            }
        )
    };
    assert!(listed.is_err_and(fault), "too many pages");
}

#[tokio::test]
async fn many_slow_pages_end_with_the_time_for_the_whole() {
    let pages = AtomicU32::new(0);
    let fake = Fake::start(move |_| {
        let next = format!("?p={}", pages.fetch_add(1, Ordering::SeqCst));
        linked(&[], &next).late(Duration::from_millis(100))
    })
    .await;
    let error = tags(&fake).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::List, .. }), "{error}");
    assert!(fake.seen().len() < 20);
}

#[tokio::test]
async fn what_is_no_list_is_unusable() {
    for body in ["{}", "[]", "nonsense", r#"{"tags":{}}"#] {
        let fake = Fake::start(move |_| ok(body.as_bytes())).await;
        assert_eq!(fault(&fake).await, Fault::NoList, "{body}");
    }
    let fake = Fake::start(|_| Reply::new(200, &[("Content-Type", "text/html")], b"{\"tags\":[]}")).await;
    assert_eq!(fault(&fake).await, Fault::Html);
    let fake = Fake::start(|_| Reply::new(404, &[], b"{}")).await;
    assert!(matches!(tags(&fake).await, Err(Error::Absent { .. })));
}
