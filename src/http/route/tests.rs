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
        "/v2/_catalog",
    ] {
        assert_eq!(get(path), Err(Error::NotFound), "{path}");
    }
}

#[test]
fn reads_from_the_right() {
    let tags = |name: &str| {
        Ok(Route::Tags {
            name: name.parse().unwrap(),
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
    };
    assert_eq!(get(&format!("/v2/referrers/referrers/{DIGEST}")), Ok(referrers));
}

#[test]
fn writes_are_told_from_reads() {
    let write = |method: Method, path: &str| parse(&method, path, Some("ns=docker.io&ns=x"));
    let target = |name: &str, action| {
        Ok(Target {
            route: Route::Write {
                name: name.parse().unwrap(),
                action,
            },
            ns: None,
        })
    };
    assert_eq!(write(Method::PUT, "/v2/a/manifests/latest"), target("a", Action::Push));
    assert_eq!(
        write(Method::DELETE, "/v2/a/manifests/latest"),
        target("a", Action::Delete)
    );
    assert_eq!(
        write(Method::DELETE, &format!("/v2/a/blobs/{DIGEST}")),
        target("a", Action::Delete)
    );
    assert_eq!(write(Method::POST, "/v2/a/blobs/uploads"), target("a", Action::Push));
    assert_eq!(write(Method::POST, "/v2/a/blobs/uploads/"), target("a", Action::Push));
    assert_eq!(
        write(Method::POST, "/v2/a/blobs/uploads/blobs/uploads/"),
        target("a/blobs/uploads", Action::Push)
    );
    for method in [Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE] {
        assert_eq!(
            write(method, "/v2/a/b/blobs/uploads/0-1-2"),
            target("a/b", Action::Push)
        );
    }
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
        "/v2/a/tags/list",
        &referrers,
        "/v2/a/blobs/uploads/",
        "/v2/a/blobs/uploads/7",
    ] {
        let refused = parse(&Method::TRACE, path, None);
        let Err(Error::MethodNotAllowed { allow }) = refused else {
            panic!("{path}: {refused:?}")
        };
        for method in methods {
            let answer = parse(&method.parse().unwrap(), path, None);
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
        prop_assert_eq!(get(&format!("/v2/{name}/tags/list")), Ok(Route::Tags { name: name.parse().unwrap() }));
        for slash in ["", "/"] {
            let target = parse(&Method::POST, &format!("/v2/{name}/blobs/uploads{slash}"), None);
            let route = Route::Write { name: name.parse().unwrap(), action: Action::Push };
            prop_assert_eq!(target, Ok(Target { route, ns: None }));
        }
    }
}
