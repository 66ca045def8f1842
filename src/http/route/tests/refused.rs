//! What leads nowhere, and what nothing can be made of.

use proptest::prelude::*;

use super::*;

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
