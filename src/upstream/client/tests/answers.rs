//! What the head of an answer means.

use super::*;

#[tokio::test]
async fn what_is_sent_says_who_we_are_and_nothing_else() {
    let fake = Fake::start(|_| ok(b"{}")).await;
    asker().manifest(&fake.mirror(|_| {})).await.unwrap();
    let seen = &fake.seen()[0];
    assert_eq!(seen.line, "GET /v2/org/app/manifests/latest HTTP/1.1");
    assert_eq!(
        seen.header("user-agent"),
        Some(concat!("wharf/", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    let accept = seen.header("accept").unwrap();
    for kind in [
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        MediaType::DOCKER_LIST,
        MediaType::DOCKER_MANIFEST,
    ] {
        assert!(accept.contains(kind.as_str()), "{accept}");
    }
    assert!(accept.ends_with(", */*"), "{accept}");
}

#[tokio::test]
async fn statuses_have_their_meanings() {
    let cases = [
        (404, Verdict::RepositoryAbsent),
        (429, Verdict::Throttled),
        (500, Verdict::Broken),
        (503, Verdict::Broken),
        (400, Verdict::Broken),
        (204, Verdict::Broken),
        (416, Verdict::NoSuchRange),
    ];
    for (status, verdict) in cases {
        let fake = Fake::start(move |_| Reply::new(status, &[("Retry-After", "30")], b"")).await;
        let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
        assert_eq!((error.verdict(), error.status()), (verdict, Some(status)), "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("{} answered {status}", fake.authority())),
            "{error}"
        );
        let wait = matches!(status, 429 | 500 | 503).then_some(Duration::from_secs(30));
        assert_eq!(error.retry_after(), wait);
    }
}

#[tokio::test]
async fn a_throttling_upstream_may_name_the_hour() {
    for (date, expected) in [
        ("Thu, 01 Jan 1970 00:02:00 GMT", 120),
        ("Wed, 31 Dec 1969 23:00:00 GMT", 0),
    ] {
        let fake = Fake::start(move |_| Reply::new(429, &[("Retry-After", date)], b"")).await;
        let error = asker().whole(&fake.mirror(|_| {})).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)), "{date}");
    }
}

#[tokio::test]
async fn a_page_or_an_encoding_is_no_content() {
    let cases = [
        (("Content-Type", "Text/HTML; charset=utf-8"), Fault::Html),
        (("Content-Encoding", "gzip"), Fault::Encoded),
    ];
    for (header, expected) in cases {
        let fake = Fake::start(move |_| Reply::new(200, &[header], BLOB)).await;
        let (mirror, asker) = (fake.mirror(|_| {}), asker());
        for error in [
            asker.whole(&mirror).await.unwrap_err(),
            asker.manifest(&mirror).await.unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::Unusable { fault, .. } if *fault == expected),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn no_answer_has_a_deadline() {
    let fake = Fake::start(|_| Reply::silence()).await;
    let error = soon(asker().whole(&fake.mirror(quick))).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::FirstByte,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        format!("{} was too slow: no answer within 300ms", fake.authority())
    );
    assert_eq!(error.verdict(), Verdict::Slow);
}

#[tokio::test]
async fn a_head_tells_what_it_tells() {
    let digest = Digest::of(Algorithm::Sha256, b"x");
    let text = digest.to_string();
    let fake = Fake::start(move |_| {
        let headers = [
            (
                "Content-Type",
                MediaType::OCI_INDEX.as_str().to_owned() + "; charset=utf-8",
            ),
            ("Docker-Content-Digest", text.clone()),
        ];
        Reply::new(
            200,
            &headers.each_ref().map(|(name, value)| (*name, value.as_str())),
            BLOB,
        )
    })
    .await;
    let (asker, mirror) = (asker(), fake.mirror(|_| {}));
    let latest = "latest".parse().unwrap();
    let head = asker
        .client
        .head_manifest(&mirror, &asker.remote, &latest, &Tally::default())
        .await;
    let expected = ManifestHead {
        digest: Some(digest),
        media_type: Some(MediaType::OCI_INDEX),
        size: Some(10),
    };
    assert_eq!(head.unwrap(), expected);
    assert_eq!(fake.seen()[0].method(), "HEAD");

    let without = Fake::start(|_| Reply::new(405, &[], b"")).await;
    let head = asker
        .client
        .head_manifest(&without.mirror(|_| {}), &asker.remote, &latest, &Tally::default())
        .await;
    assert_eq!(head.unwrap(), ManifestHead::default());
}

#[tokio::test]
async fn a_blob_is_measured_by_head_or_by_its_first_byte() {
    let asker = asker();
    let size = async |fake: &Fake| {
        asker
            .client
            .head_blob(&fake.mirror(|_| {}), &asker.remote, &asker.digest, &Tally::default())
            .await
    };
    let plain = Fake::start(|_| ok(BLOB)).await;
    assert_eq!(size(&plain).await.unwrap(), Some(10));

    let signed = Fake::start(|seen| match (seen.method(), seen.header("range")) {
        ("HEAD", _) => Reply::new(403, &[], b""),
        (_, Some("bytes=0-0")) => Reply::new(206, &[("Content-Range", "bytes 0-0/10")], b"0"),
        _ => Reply::new(500, &[], b""),
    })
    .await;
    let to = format!("http://{}/blob", signed.authority());
    let fake = Fake::start(move |_| redirect(&to)).await;
    assert_eq!(size(&fake).await.unwrap(), Some(10));

    let empty = Fake::start(|seen| match seen.method() {
        "HEAD" => Reply::new(405, &[], b""),
        _ => Reply::new(416, &[("Content-Range", "bytes */0")], b""),
    })
    .await;
    assert_eq!(size(&empty).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_failure_to_reach_says_how_far_it_came() {
    let asker = asker();
    let at = |endpoint: &str| {
        let endpoints = vec![endpoint.to_owned()];
        Arc::new(
            Mirror::new(
                "hub",
                &MirrorConfig {
                    endpoints,
                    ..MirrorConfig::default()
                },
            )
            .unwrap(),
        )
    };
    let closed = Fake::start(|_| ok(b""))
        .await
        .authority()
        .replace("127.0.0.1", "127.0.0.3");
    let plain = Fake::start(|_| ok(b"")).await.authority();
    let gone = Fake::start(|_| Reply::hang_up()).await.authority();
    let cases = [
        ("http://nowhere.invalid".to_owned(), Step::Name),
        (format!("http://{closed}"), Step::Connect),
        (format!("https://{plain}"), Step::Tls),
        (format!("http://{gone}"), Step::Answer),
    ];
    for (endpoint, expected) in cases {
        let error = asker.whole(&at(&endpoint)).await.unwrap_err();
        let Error::Unreachable { step, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*step, expected, "{error}");
        assert_eq!(error.verdict(), Verdict::Broken);
        assert!(
            error.to_string().starts_with(endpoint.split_once("//").unwrap().1),
            "{error}"
        );
    }
}
