//! Pushes, uploads and deletions.

use super::*;

#[test]
fn writes_are_told_from_reads_and_have_no_ns() {
    let (name, digest) = ("a/b".parse::<RepoName>().unwrap(), DIGEST.parse::<Digest>().unwrap());
    let reference: Reference = "latest".parse().unwrap();
    let expected = [
        (
            Method::PUT,
            "/v2/a/b/manifests/latest".to_owned(),
            Route::PutManifest {
                name: name.clone(),
                reference: reference.clone(),
                tags: Vec::new(),
            },
        ),
        (
            Method::DELETE,
            "/v2/a/b/manifests/latest".to_owned(),
            Route::DeleteManifest {
                name: name.clone(),
                reference,
            },
        ),
        (
            Method::DELETE,
            format!("/v2/a/b/blobs/{DIGEST}"),
            Route::DeleteBlob { name, digest },
        ),
    ];
    for (method, path, route) in expected {
        let target = parse(&method, &path, Some("ns=docker.io&ns=x"));
        assert_eq!(target, Ok(Target { route, ns: None }), "{method} {path}");
    }
}

#[test]
fn a_manifest_may_come_with_tags() {
    let tags = |path: &str, query: &str| {
        let route = ask(&Method::PUT, path, query)?;
        let Route::PutManifest { tags, .. } = route else {
            panic!("{route:?}")
        };
        Ok(tags.iter().map(Tag::to_string).collect::<Vec<_>>())
    };
    let by_digest = format!("/v2/a/manifests/{DIGEST}");
    assert_eq!(
        tags(&by_digest, "tag=b&x=y&tag=%61"),
        Ok(vec!["b".to_owned(), "a".to_owned()])
    );
    assert!(matches!(
        tags(&by_digest, "tag=-"),
        Err(Error::Tag { writing: true, .. })
    ));
    assert!(matches!(
        tags(&by_digest, "tag="),
        Err(Error::Tag { writing: true, .. })
    ));
    assert_eq!(tags("/v2/a/manifests/latest", "tag=b"), Err(Error::TagForTag));
    let many = |count: usize| (0..count).map(|n| format!("tag=t{n}")).collect::<Vec<_>>().join("&");
    assert_eq!(
        tags(&by_digest, &many(limits::TAGS)).map(|tags| tags.len()),
        Ok(limits::TAGS)
    );
    assert_eq!(tags(&by_digest, &many(limits::TAGS + 1)), Err(Error::TooManyTags));
}

#[test]
fn uploads_begin_in_three_ways() {
    let start = |query: &str| {
        let with_slash = ask(&Method::POST, "/v2/a/blobs/uploads/blobs/uploads/", query)?;
        assert_eq!(
            ask(&Method::POST, "/v2/a/blobs/uploads/blobs/uploads", query),
            Ok(with_slash.clone())
        );
        let Route::StartUpload { name, start } = with_slash else {
            panic!("{with_slash:?}")
        };
        assert_eq!(name.as_str(), "a/blobs/uploads");
        Ok(start)
    };
    let digest: Digest = DIGEST.parse().unwrap();
    let encoded = DIGEST.replace(':', "%3A");
    let mount = |from| Ok(Start::Mount { digest, from });
    assert_eq!(start(""), Ok(Start::Empty(None)));
    assert_eq!(start("digest=&mount=&from=b"), Ok(Start::Empty(None)));
    assert_eq!(
        start("digest-algorithm=sha512"),
        Ok(Start::Empty(Some(Algorithm::Sha512)))
    );
    assert_eq!(start(&format!("digest={encoded}")), Ok(Start::Whole(digest)));
    assert_eq!(start(&format!("mount={encoded}&origin=x")), mount(From::Anywhere));
    let from = From::Repository("b/c".parse().unwrap());
    assert_eq!(start(&format!("digest=x&mount={DIGEST}&from=b%2Fc")), mount(from));
    assert_eq!(start(&format!("mount={DIGEST}&from=B")), mount(From::Nowhere));
    for bad in [
        "digest=sha256:1",
        "mount=sha256:1&from=b",
        "digest-algorithm=md5",
        "digest-algorithm=!",
    ] {
        assert!(matches!(start(bad), Err(Error::Digest { .. })), "{bad}");
    }
}

#[test]
fn uploads_go_on_in_four_ways() {
    let step = |method: Method, query: &str| {
        let route = ask(&method, "/v2/a/b/blobs/uploads/0-1-2", query)?;
        let Route::Upload { name, session, step } = route else {
            panic!("{route:?}")
        };
        assert_eq!((name.as_str(), session.as_str()), ("a/b", "0-1-2"));
        Ok(step)
    };
    let digest: Digest = DIGEST.parse().unwrap();
    let leftover = format!("ns=docker.io&digest={DIGEST}");
    assert_eq!(step(Method::GET, &leftover), Ok(Step::Status));
    assert_eq!(step(Method::HEAD, ""), Ok(Step::Status));
    assert_eq!(step(Method::PATCH, &leftover), Ok(Step::Append));
    assert_eq!(step(Method::DELETE, ""), Ok(Step::Cancel));
    assert_eq!(step(Method::PUT, &leftover), Ok(Step::Finish(digest)));
    assert_eq!(step(Method::PUT, ""), Err(Error::NoDigest));
    assert!(matches!(step(Method::PUT, "digest=md5:00"), Err(Error::Digest { .. })));
}
