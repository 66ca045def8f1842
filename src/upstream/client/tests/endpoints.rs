//! Endpoints in order: who is asked next, and whose word counts.

use super::*;

/// A mirror of these upstreams in order.
pub(super) fn mirror(fakes: &[&Fake], adjust: impl FnOnce(&mut MirrorConfig)) -> Arc<Mirror> {
    fakes[0].mirror(|config| {
        config.endpoints = fakes
            .iter()
            .map(|fake| format!("http://{}", fake.authority()))
            .collect();
        quick(config);
        adjust(config);
    })
}

pub(super) async fn answering(status: u16, headers: &'static [(&str, &str)]) -> Fake {
    Fake::start(move |_| Reply::new(status, headers, BLOB)).await
}

/// Nobody is there.
async fn gone() -> Fake {
    Fake::start(|_| Reply::hang_up()).await
}

#[tokio::test]
async fn the_next_endpoint_answers_where_one_does_not() {
    let html: &[_] = &[("Content-Type", "text/html")];
    let encoded: &[_] = &[("Content-Encoding", "gzip")];
    for (status, headers) in [
        (500, &[][..]),
        (503, &[]),
        (429, &[]),
        (401, &[]),
        (403, &[]),
        (404, &[]),
        (200, html),
        (200, encoded),
    ] {
        let (first, second) = (answering(status, headers).await, answering(200, &[]).await);
        let mirror = mirror(&[&first, &second], |_| {});
        let asker = asker();
        assert_eq!(asker.whole(&mirror).await.unwrap(), BLOB, "{status}");
        assert_eq!(*asker.manifest(&mirror).await.unwrap().bytes, *BLOB, "{status}");
        let from = asker.blob(&mirror, Span::default()).await.unwrap();
        assert!(Arc::ptr_eq(from.endpoint(), &mirror.endpoints()[1]), "{status}");
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_or_says_nothing_has_a_successor() {
    for silent in [false, true] {
        let first = Fake::start(move |_| if silent { Reply::silence() } else { Reply::hang_up() }).await;
        let second = answering(200, &[]).await;
        let mirror = mirror(&[&first, &second], |_| {});
        assert_eq!(soon(asker().whole(&mirror)).await.unwrap(), BLOB);
        assert_eq!((first.asked("/v2/org"), second.asked("/")), (1, 1), "{silent}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_what_all_say_who_answered() {
    let absent = Verdict::RepositoryAbsent;
    for (statuses, verdict) in [
        ([404, 404], absent),
        ([0, 404], absent),
        ([404, 0], absent),
        ([503, 404], Verdict::Broken),
        ([404, 500], Verdict::Broken),
        ([404, 429], Verdict::Throttled),
        ([403, 404], Verdict::RepositoryRefused),
        ([0, 429], Verdict::Throttled),
    ] {
        let fake = async |status| {
            if status == 0 {
                gone().await
            } else {
                answering(status, &[]).await
            }
        };
        let (first, second) = (fake(statuses[0]).await, fake(statuses[1]).await);
        let error = asker().whole(&mirror(&[&first, &second], |_| {})).await.unwrap_err();
        assert_eq!(error.verdict(), verdict, "{statuses:?}: {error}");
    }
}

#[tokio::test]
async fn a_404_is_of_all_only_if_all_were_heard() {
    let (well, other, gone) = (answering(404, &[]).await, answering(404, &[]).await, gone().await);
    for (order, of_all) in [
        ([&well, &other], true),
        ([&gone, &well], false),
        ([&well, &gone], false),
    ] {
        let error = asker().manifest(&mirror(&order, |_| {})).await.unwrap_err();
        assert_eq!(
            (error.verdict(), error.is_not_found()),
            (Verdict::RepositoryAbsent, of_all),
            "{error}"
        );
    }
}

#[tokio::test]
async fn that_there_is_no_list_is_the_word_of_all_or_nothing() {
    let (bare, other, gone) = (answering(404, &[]).await, answering(404, &[]).await, gone().await);
    let lister = Fake::start(|seen| match seen.target() {
        target if target.contains("/tags/list") => ok(b"{\"name\":\"org/app\",\"tags\":[\"v1\"]}"),
        target if target.contains("/referrers/") => {
            let listed = format!(
                r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{0}","digest":"{1}","size":5}}]}}"#,
                MediaType::OCI_MANIFEST.as_str(),
                Digest::of(Algorithm::Sha256, b"a signature"),
            );
            Reply::new(
                200,
                &[("Content-Type", MediaType::OCI_INDEX.as_str())],
                listed.as_bytes(),
            )
        }
        _ => Reply::new(404, &[], b""),
    })
    .await;
    let Asker {
        client, remote, digest, ..
    } = &asker();
    let tally = Tally::default();
    for (order, tags, referrers) in [
        ([&bare, &lister], Ok(1), Ok(1)),
        ([&bare, &other], Err(Verdict::RepositoryAbsent), Ok(0)),
        ([&gone, &bare], Err(Verdict::Broken), Err(Verdict::Broken)),
        ([&bare, &gone], Err(Verdict::Broken), Err(Verdict::Broken)),
    ] {
        let mirror = mirror(&order, |_| {});
        let said = client.tags(&mirror, remote, &tally).await;
        assert_eq!(said.map(|it| it.len()).map_err(|error| error.verdict()), tags);
        let said = client.referrers(&mirror, remote, digest, true, &tally).await;
        assert_eq!(said.map(|it| it.len()).map_err(|error| error.verdict()), referrers);
    }
}

#[tokio::test]
async fn a_failure_in_passing_is_repeated_twice_and_others_are_not() {
    for (status, asked) in [(500, 3), (503, 3), (408, 3), (501, 1), (404, 1), (400, 1), (429, 1)] {
        let fake = answering(status, &[]).await;
        asker().whole(&mirror(&[&fake], |_| {})).await.unwrap_err();
        assert_eq!(fake.asked("/v2/org"), asked, "{status}");
    }
    let count = AtomicU32::new(0);
    let fake = Fake::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::hang_up(),
        1 => Reply::new(502, &[], b""),
        _ => ok(BLOB),
    })
    .await;
    assert_eq!(asker().whole(&mirror(&[&fake], |_| {})).await.unwrap(), BLOB);
}

#[tokio::test]
async fn every_question_goes_on_to_the_next_endpoint() {
    let first = answering(500, &[]).await;
    let second = Fake::start(|seen| match seen.target() {
        target if target.contains("/tags/list") => ok(b"{\"name\":\"org/app\",\"tags\":[\"v1\"]}"),
        target if target.contains("/referrers/") => Reply::new(
            200,
            &[("Content-Type", "application/vnd.oci.image.index.v1+json")],
            b"{\"schemaVersion\":2,\"manifests\":[]}",
        ),
        _ => ok(BLOB),
    })
    .await;
    let (asker, tally) = (asker(), Tally::default());
    // Each of a mirror of its own, so that none profits from what another one learned.
    let mirror = || mirror(&[&first, &second], |_| {});
    let latest = "latest".parse().unwrap();
    let Asker {
        client, remote, digest, ..
    } = &asker;
    client.head_manifest(&mirror(), remote, &latest, &tally).await.unwrap();
    let size = client.head_blob(&mirror(), remote, digest, &tally).await.unwrap();
    assert_eq!(size, Some(BLOB.len() as u64));
    assert_eq!(client.tags(&mirror(), remote, &tally).await.unwrap().len(), 1);
    let listed = client.referrers(&mirror(), remote, digest, true, &tally).await;
    assert!(listed.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_of_one_endpoint_is_not_shown_to_another() {
    let realm = Fake::start(|_| ok(b"{\"token\":\"t\",\"expires_in\":300}")).await;
    let endpoint = async |content: bool| {
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"reg\"", realm.authority());
        Fake::start(move |seen| match seen.header("authorization") {
            Some(_) if content => ok(BLOB),
            Some(_) => Reply::new(500, &[], b""),
            None => Reply::new(401, &[("WWW-Authenticate", &challenge)], b"{}"),
        })
        .await
    };
    let (first, second) = (endpoint(false).await, endpoint(true).await);
    assert_eq!(asker().whole(&mirror(&[&first, &second], |_| {})).await.unwrap(), BLOB);
    assert_eq!(realm.asked("/token"), 2);
}

#[tokio::test]
async fn dockers_config_gives_each_endpoint_its_own_and_some_none() {
    let basic_registry = || {
        Fake::start(|seen| match seen.header("authorization") {
            Some(shown) if shown == basic("site:hunter2") => ok(BLOB),
            _ => Reply::new(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], b"{}"),
        })
    };
    let (strange, anonymous) = (basic_registry().await, token_registry(|_| false).await);
    let last = basic_registry().await;
    let safe = Safe::new();
    let text = format!(
        "{{\"auths\":{{\"{}\":{{\"auth\":\"{}\"}}}}}}",
        last.authority(),
        STANDARD.encode("site:hunter2")
    );
    let path = safe.put("config.json", &text);
    let mirror = mirror(&[&strange, &anonymous, &last], |config| {
        config.docker_config = Some(path);
    });
    assert_eq!(asker().whole(&mirror).await.unwrap(), BLOB);
    assert_eq!(strange.seen().len(), 1, "nobody has a login there");
    assert!(anonymous.asked("/token") > 0, "a token for anybody is asked for");
    let shown = [&strange, &anonymous].map(Fake::seen);
    let secret = STANDARD.encode("site:hunter2");
    let told = |seen: &Seen| seen.header("authorization").is_some_and(|it| it.contains(&secret));
    assert!(!shown.iter().flatten().any(told));
}
