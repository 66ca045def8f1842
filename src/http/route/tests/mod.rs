mod refused;
mod writes;

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
