//! What may go wrong after the head of an answer.

use super::*;

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_refused() {
    let bad: [&[(&str, &str)]; 4] = [
        &[],
        &[("Content-Range", "bytes 0-5/10")],
        &[("Content-Range", "bytes 4-8/10")],
        &[("Content-Range", "bytes 4-9/9")],
    ];
    for headers in bad {
        let fake = Fake::start(move |_| Reply::new(206, headers, &BLOB[4..])).await;
        let error = asker()
            .blob(&fake.mirror(|_| {}), Span { from: 4, to: None })
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unusable {
                    fault: Fault::WrongRange,
                    ..
                }
            ),
            "{headers:?} {error}"
        );
    }
}

#[tokio::test]
async fn an_upstream_without_ranges_starts_at_zero() {
    let fake = Fake::start(|_| ok(BLOB)).await;
    let body = asker()
        .blob(&fake.mirror(|_| {}), Span { from: 4, to: Some(5) })
        .await
        .unwrap();
    assert_eq!((body.start(), body.total()), (0, Some(10)));
    assert_eq!(fake.seen()[0].header("range"), Some("bytes=4-5"));
}

#[tokio::test]
async fn a_body_that_ends_early_is_cut() {
    type Framing = &'static [(&'static str, &'static str)];
    let framings: [(Framing, &[u8], Option<u64>); 3] = [
        (&[("Content-Length", "10")], b"0123", Some(10)),
        (&[("Transfer-Encoding", "chunked")], b"4\r\n0123\r\n", None),
        (
            &[("Transfer-Encoding", "chunked"), ("Content-Range", "bytes 0-9/10")],
            b"4\r\n0123\r\n0\r\n\r\n",
            Some(10),
        ),
    ];
    for (headers, bytes, expected) in framings {
        let status = if headers.len() == 2 { 206 } else { 200 };
        let fake = Fake::start(move |_| Reply::new(status, headers, bytes)).await;
        let mut body = asker().blob(&fake.mirror(|_| {}), Span::default()).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "0123");
        let error = body.chunk().await.unwrap_err();
        let Error::Cut { got: 4, promised, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((promised, error.verdict()), (expected, Verdict::Cut), "{error}");
    }
}

#[tokio::test]
async fn more_than_promised_is_refused() {
    let headers = [("Transfer-Encoding", "chunked"), ("Content-Range", "bytes 0-1/10")];
    let fake = Fake::start(move |_| Reply::new(206, &headers, b"4\r\n0123\r\n0\r\n\r\n")).await;
    let mut body = asker()
        .blob(&fake.mirror(|_| {}), Span { from: 0, to: Some(1) })
        .await
        .unwrap();
    let error = body.chunk().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unusable {
                fault: Fault::Excess,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn silence_has_a_deadline_and_a_body_has_none() {
    let fake = Fake::start(|_| Reply::new(200, &[("Content-Length", "10")], b"0123").then_stall()).await;
    let mut body = asker().blob(&fake.mirror(quick), Span::default()).await.unwrap();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "0123");
    let error = soon(body.chunk()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::Silence,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.verdict(), Verdict::Cut);

    let fake = Fake::start(|_| Reply::new(200, &[("Content-Length", "1000")], b"").then_trickle()).await;
    let mut body = asker().blob(&fake.mirror(quick), Span::default()).await.unwrap();
    let (began, mut bytes) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(600) {
        bytes += body.chunk().await.unwrap().unwrap().len();
    }
    assert!(bytes > 0, "four times the silence have passed, and bytes still come");
}

#[tokio::test]
async fn an_endless_manifest_ends() {
    let slow = Fake::start(|_| Reply::new(200, &[("Content-Length", "100000")], b"{").then_trickle()).await;
    let error = soon(asker().manifest(&slow.mirror(quick))).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::SmallBody,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.verdict(), Verdict::Slow);

    let silent = Fake::start(|_| Reply::new(200, &[("Content-Length", "9")], b"{").then_stall()).await;
    let error = soon(asker().manifest(&silent.mirror(quick))).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::SmallBody,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_beyond_the_limit_is_refused() {
    let told = Fake::start(|_| Reply::new(200, &[("Content-Length", "999999999")], b"{").then_stall()).await;
    let untold = Fake::start(|_| {
        let chunk = [b"500000\r\n".as_slice(), &vec![b' '; 0x50_0000], b"\r\n"].concat();
        Reply::new(200, &[("Transfer-Encoding", "chunked")], &chunk).then_stall()
    })
    .await;
    for fake in [told, untold] {
        let error = asker().manifest(&fake.mirror(|_| {})).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unusable {
                    fault: Fault::TooBig { .. },
                    ..
                }
            ),
            "{error}"
        );
    }
}
