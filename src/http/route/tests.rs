use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn get(path: &str) -> Result<Route, Error> {
    parse(&Method::GET, path, None).map(|target| target.route)
}

fn manifest(name: &str, reference: &str) -> Route {
    Route::Manifest {
        name: name.parse().unwrap(),
        reference: reference.parse().unwrap(),
    }
}

fn blob(name: &str) -> Route {
    Route::Blob {
        name: name.parse().unwrap(),
        digest: DIGEST.parse().unwrap(),
    }
}

#[test]
fn ping_with_and_without_slash() {
    assert_eq!(get("/v2"), Ok(Route::Ping));
    assert_eq!(get("/v2/"), Ok(Route::Ping));
    for path in [
        "",
        "/",
        "v2",
        "/v2//",
        "//v2/",
        "/v1/",
        "/v2x/",
        "/v2/a",
        "/V2/",
        "*",
        "/v2/_catalogue",
    ] {
        assert_eq!(get(path), Err(Error::NotFound), "{path}");
    }
}

#[test]
fn reads_from_the_right() {
    let tags = |name: &str| {
        Ok(Route::Tags {
            name: name.parse().unwrap(),
            page: Page::default(),
        })
    };
    assert_eq!(get("/v2/a/b/c/manifests/latest"), Ok(manifest("a/b/c", "latest")));
    assert_eq!(get(&format!("/v2/a/manifests/{DIGEST}")), Ok(manifest("a", DIGEST)));
    assert_eq!(get("/v2/a/tags/list"), tags("a"));
    assert_eq!(get("/v2/tags/list/tags/list"), tags("tags/list"));
    assert_eq!(get("/v2/a/manifests/tags/list"), tags("a/manifests"));
    assert_eq!(
        get("/v2/a/blobs/uploads/manifests/latest"),
        Ok(manifest("a/blobs/uploads", "latest"))
    );
    assert_eq!(get("/v2/a/tags/manifests/list"), Ok(manifest("a/tags", "list")));
    assert_eq!(
        get("/v2/manifests/manifests/manifests"),
        Ok(manifest("manifests", "manifests"))
    );
    assert_eq!(get("/v2/a/manifests/uploads"), Ok(manifest("a", "uploads")));
    for name in [
        "blobs",
        "a/blobs",
        "blobs/uploads",
        "a/blobs/uploads",
        "tags/list",
        "docker.io/library/nginx",
    ] {
        assert_eq!(get(&format!("/v2/{name}/blobs/{DIGEST}")), Ok(blob(name)));
    }
    let referrers = Route::Referrers {
        name: "referrers".parse().unwrap(),
        digest: DIGEST.parse().unwrap(),
        artifact_type: None,
        after: None,
    };
    assert_eq!(get(&format!("/v2/referrers/referrers/{DIGEST}")), Ok(referrers));
}

fn ask(method: &Method, path: &str, query: &str) -> Result<Route, Error> {
    parse(method, path, Some(query)).map(|target| target.route)
}

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

#[test]
fn lists_come_in_pages() {
    let page = |query: &str| {
        let route = ask(&Method::GET, "/v2/a/tags/list", query)?;
        let Route::Tags { page, .. } = route else {
            panic!("{route:?}")
        };
        Ok(page)
    };
    let expected = |n, last: Option<&str>| {
        let last = last.map(str::to_owned);
        Ok(Page { n, last })
    };
    assert_eq!(page("n=&last="), expected(None, None));
    assert_eq!(page("n=0"), expected(Some(0), None));
    assert_eq!(page("n=7&last=v1%2B2&n=8"), expected(Some(7), Some("v1+2")));
    assert_eq!(page("n=99999999999999999999999"), expected(Some(usize::MAX), None));
    for bad in ["n=-1", "n=-0", "n=+1", "n=x", "n=1.5", "n=%20"] {
        assert_eq!(page(bad), Err(Error::Page), "{bad}");
    }
    let last = page("last=c");
    assert_eq!(
        ask(&Method::GET, "/v2/_catalog", "last=c"),
        last.map(|page| Route::Catalog { page })
    );
    assert_eq!(ask(&Method::GET, "/v2/_oci/ext/discover", ""), Ok(Route::Extensions));
    assert_eq!(
        ask(&Method::GET, "/v2/a/b/_oci/ext/discover", ""),
        Ok(Route::Extensions)
    );
    let nobodys = ask(&Method::GET, "/v2/A/_oci/ext/discover", "");
    assert!(matches!(nobodys, Err(Error::Name { writing: false, .. })));
}

#[test]
fn referrers_may_be_filtered() {
    let referrers = |query: &str| ask(&Method::GET, &format!("/v2/a/referrers/{DIGEST}"), query);
    let digest: Digest = DIGEST.parse().unwrap();
    let expected = Route::Referrers {
        name: "a".parse().unwrap(),
        digest,
        artifact_type: Some("application/spdx+json".to_owned()),
        after: Some(digest),
    };
    let query = format!("artifactType=application%2Fspdx+json&last={DIGEST}");
    assert_eq!(referrers(&query), Ok(expected));
    assert!(matches!(referrers("last=x"), Err(Error::Digest { .. })));
}

#[test]
fn allow_lists_what_is_allowed() {
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get",
    ];
    let blob = format!("/v2/a/blobs/{DIGEST}");
    let referrers = format!("/v2/a/referrers/{DIGEST}");
    for path in [
        "/v2/",
        "/v2/a/manifests/x",
        &blob,
        "/v2/_catalog",
        "/v2/_oci/ext/discover",
        "/v2/a/tags/list",
        &referrers,
        "/v2/a/blobs/uploads/",
        "/v2/a/blobs/uploads/7",
    ] {
        let refused = parse(&Method::TRACE, path, None);
        let Err(Error::MethodNotAllowed { allow }) = refused else {
            panic!("{path}: {refused:?}")
        };
        let query = format!("digest={DIGEST}");
        for method in methods {
            let answer = parse(&method.parse().unwrap(), path, Some(&query));
            assert_eq!(
                answer.is_ok(),
                allow.split(", ").any(|it| it == method),
                "{method} {path}: {answer:?}"
            );
        }
    }
}

#[test]
fn percent_signs_are_decoded_once_and_hide_nothing() {
    assert_eq!(
        get(&format!("/v2/a/blobs/{}", DIGEST.replace(':', "%3A"))),
        Ok(blob("a"))
    );
    assert_eq!(get("/%762/%61/manifests/v1%2e0"), Ok(manifest("a", "v1.0")));
    for path in [
        "/v2/a%2Fb/manifests/x",
        "/v2/a%2fmanifests/x/y",
        "/v2/a/manifests/x%00",
        "/v2/a%ff/manifests/x",
        "/v2/a/blobs/uploads/%2f",
    ] {
        assert_eq!(get(path), Err(Error::Encoding), "{path}");
    }
    for path in [
        "/v2/%252e/manifests/x",
        "/v2/%2e%2e/manifests/x",
        "/v2/a/../b/manifests/x",
        "/v2/a%zz/manifests/x",
        "/v2/a%2/manifests/x",
    ] {
        let error = Error::Name {
            writing: false,
            why: InvalidName::Malformed,
        };
        assert_eq!(get(path), Err(error), "{path}");
    }
}

#[test]
fn says_what_is_malformed() {
    let long = format!("/v2/{}/manifests/x", "a".repeat(300));
    for (path, why) in [
        ("/v2/A/tags/list", InvalidName::Malformed),
        ("/v2//tags/list", InvalidName::Malformed),
        ("/v2/tags/list", InvalidName::Malformed),
        ("/v2/a//b/manifests/x", InvalidName::Malformed),
        (&long, InvalidName::TooLong),
    ] {
        assert_eq!(get(path), Err(Error::Name { writing: false, why }), "{path}");
    }
    let put = |path: &str| parse(&Method::PUT, path, None).unwrap_err();
    assert_eq!(
        put("/v2/A/manifests/x"),
        Error::Name {
            writing: true,
            why: InvalidName::Malformed
        }
    );
    assert_eq!(
        put("/v2/a/manifests/-x"),
        Error::Tag {
            writing: true,
            why: InvalidTag
        }
    );
    assert_eq!(
        get("/v2/a/manifests/.INVALID_MANIFEST_NAME"),
        Err(Error::Tag {
            writing: false,
            why: InvalidTag
        })
    );
    assert_eq!(
        get("/v2/a/manifests/"),
        Err(Error::Tag {
            writing: false,
            why: InvalidTag
        })
    );
    let unsupported = format!("/v2/a/blobs/md5:{}", "0".repeat(32));
    for (path, why) in [
        ("/v2/a/manifests/sha256:totallywrong", InvalidDigest::Malformed),
        ("/v2/a/blobs/sha256:x", InvalidDigest::Malformed),
        ("/v2/a/blobs/latest", InvalidDigest::Malformed),
        ("/v2/a/blobs/", InvalidDigest::Malformed),
        ("/v2/a/referrers/x", InvalidDigest::Malformed),
        (&unsupported, InvalidDigest::UnsupportedAlgorithm),
    ] {
        assert_eq!(get(path), Err(Error::Digest { why }), "{path}");
    }
}

#[test]
fn ns_is_read_once_and_the_rest_of_the_query_ignored() {
    let ns = |query: &str| parse(&Method::HEAD, "/v2/a/tags/list", Some(query)).map(|target| target.ns);
    for (query, expected) in [
        ("", None),
        ("n=5&last=%zz&=&&ns2=x", None),
        ("ns=docker.io", Some("docker.io")),
        ("a=b&ns=quay.example%3A8443", Some("quay.example:8443")),
        ("%6Es=x", Some("x")),
        ("ns", Some("")),
        ("ns=http%3A//a/=b", Some("http://a/=b")),
        ("ns=%ff%00", Some("\u{fffd}\0")),
    ] {
        assert_eq!(ns(query), Ok(expected.map(str::to_owned)), "{query}");
    }
    assert_eq!(ns("ns=a&ns=a"), Err(Error::RepeatedNs));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(path in ".*", query in prop::option::of(".*")) {
        let _ = parse(&Method::GET, &path, query.as_deref());
    }

    #[test]
    fn nothing_that_looks_right_makes_it_panic(
        path in "/v2(/(a|blobs|uploads|manifests|tags|list|referrers|sha256:|\\.\\.|%2[e5f]|%|é|))*",
        method in "GET|PUT|POST|DELETE|X",
        query in "((ns|n|%6es)?=?[a%é]*&?)*",
    ) {
        let _ = parse(&method.parse().unwrap(), &path, Some(&query));
    }

    #[test]
    fn every_name_can_be_asked_for(name in "(a|b0|blobs|uploads|manifests|tags|list|referrers)(/(a|blobs|uploads|manifests|tags|list|referrers)){0,4}") {
        prop_assert_eq!(get(&format!("/v2/{name}/manifests/latest")), Ok(manifest(&name, "latest")));
        prop_assert_eq!(get(&format!("/v2/{name}/blobs/{DIGEST}")), Ok(blob(&name)));
        prop_assert_eq!(get(&format!("/v2/{name}/tags/list")), Ok(Route::Tags {
            name: name.parse().unwrap(),
            page: Page::default(),
        }));
        for slash in ["", "/"] {
            let target = parse(&Method::POST, &format!("/v2/{name}/blobs/uploads{slash}"), None);
            let route = Route::StartUpload { name: name.parse().unwrap(), start: Start::Empty(None) };
            prop_assert_eq!(target, Ok(Target { route, ns: None }));
        }
    }
}
