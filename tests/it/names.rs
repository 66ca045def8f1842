//! What a name means: every spelling of one image is one cache entry, and nothing but the configuration is ever dialled.

use crate::support::client::Answer;
use crate::support::image::Image;
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

async fn harbour() -> (Upstream, Wharf, Image) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("library/alpine", "v1", &image);
    upstream.put_image("org/app", "v1", &image);
    let hub = Mirror::of("docker.io", &upstream).set("hosts", "[\"hub.site.example\"]");
    let other = Mirror::at("other.example", "http://127.0.0.1:9").set("ns", "[\"registry.other.example:5443\"]");
    let wharf = Setup::new()
        .server("names", "[\"wharf.test:5000\"]")
        .mirror(hub)
        .mirror(other)
        .start()
        .await;
    (upstream, wharf, image)
}

async fn ask(wharf: &Wharf, method: &str, target: &str, host: &str) -> Answer {
    wharf.send(method, target, &[("Host", host)]).await.whole().await
}

#[tokio::test]
async fn all_spellings_of_one_image_are_one_cache_entry() {
    let (upstream, wharf, image) = harbour().await;
    for (name, query, host) in [
        ("docker.io/library/alpine", "", "x"),
        ("docker.io/alpine", "", "x"),
        ("library/alpine", "", "x"),
        ("library/alpine", "?ns=docker.io", "x"),
        ("alpine", "?ns=docker.io", "x"),
        ("library/alpine", "?ns=index.docker.io", "x"),
        ("library/alpine", "?ns=registry-1.docker.io", "x"),
        ("library/alpine", "?ns=Docker.IO", "x"),
        ("docker.io/library/alpine", "?ns=docker.io", "x"),
        ("docker.io/alpine", "?ns=docker.io", "x"),
        ("library/alpine", "?unknown=1&ns=docker%2Eio", "x"),
        ("library/alpine", "", "hub.site.example"),
        ("alpine", "", "hub.site.example:5000"),
        ("alpine", "", "HUB.site.example"),
        ("library/alpine", "?ns=wharf.test:5000", "wharf.test:5000"),
    ] {
        for target in [
            format!("/v2/{name}/manifests/v1{query}"),
            format!("/v2/{name}/blobs/{}{query}", image.layer(0).digest()),
        ] {
            let answer = ask(&wharf, "GET", &target, host).await;
            assert_eq!(answer.status, 200, "{target} at {host}: {}", answer.text());
        }
    }
    assert_eq!(upstream.count(&On::manifests().head()), 1, "{}", upstream.story());
    assert_eq!(upstream.count(&On::manifests().get()), 1, "{}", upstream.story());
    assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
    assert_eq!(
        upstream.count(&On::any().repo("library/alpine")),
        3,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn ns_is_echoed_when_it_chose_the_mirror_and_is_not_sent_upstream() {
    let (upstream, wharf, _) = harbour().await;
    let answer = wharf.get("/v2/org/app/manifests/v1?ns=docker.io").await;
    assert_eq!(
        (answer.status, answer.header("oci-namespace")),
        (200, Some("docker.io"))
    );
    assert_eq!(
        wharf
            .get("/v2/docker.io/org/app/manifests/v1")
            .await
            .header("oci-namespace"),
        None
    );
    assert!(
        upstream
            .seen(&On::any())
            .iter()
            .all(|seen| seen.request.query.is_empty()),
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn an_unknown_ns_is_a_404_so_that_the_client_goes_to_the_origin() {
    let (upstream, wharf, _) = harbour().await;
    let connections = upstream.connections();
    let address = upstream.address();
    for ns in [
        "unknown.example",
        &address.to_string(),
        "169.254.169.254",
        "docker.io.evil.example",
        "a%00b",
        "docker.io%2Fx",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&wharf, method, &format!("/v2/library/alpine/manifests/v1?ns={ns}"), "x").await;
            assert_eq!(answer.status, 404, "{ns}: {}", answer.text());
        }
    }
    assert_eq!(upstream.connections(), connections, "ns is a key, never a target");
}

#[tokio::test]
async fn an_unknown_registry_host_is_a_404_that_says_so() {
    let (_upstream, wharf, _) = harbour().await;
    let answer = wharf.get("/v2/registry.unknown.example/org/app/manifests/v1").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NAME_UNKNOWN"));
    assert!(answer.text().contains("registry.unknown.example"), "{}", answer.text());
}

#[tokio::test]
async fn a_hosted_name_is_a_404_until_something_is_pushed_there() {
    let (upstream, wharf, image) = harbour().await;
    for target in [
        "/v2/team/app/manifests/v1".to_owned(),
        format!("/v2/team/app/blobs/{}", image.digest()),
    ] {
        let answer = wharf.get(&target).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "NAME_UNKNOWN"));
        assert_eq!(wharf.head(&target).await.status, 404);
    }
    assert_eq!(upstream.count(&On::any()), 0);
}

#[tokio::test]
async fn a_write_to_a_mirror_is_a_405_unsupported_by_whatever_name() {
    let (upstream, wharf, image) = harbour().await;
    let digest = image.layer(0).digest();
    for name in ["docker.io/library/alpine", "library/alpine", "other.example/x"] {
        for (method, rest) in [
            ("POST", "blobs/uploads/".to_owned()),
            ("POST", "blobs/uploads".to_owned()),
            ("POST", format!("blobs/uploads/?mount={digest}&from=a/b")),
            ("PATCH", "blobs/uploads/some-id".to_owned()),
            ("PUT", format!("blobs/uploads/some-id?digest={digest}")),
            ("PUT", "manifests/v1".to_owned()),
            ("DELETE", "manifests/v1".to_owned()),
            ("DELETE", format!("blobs/{digest}")),
        ] {
            let target = format!("/v2/{name}/{rest}");
            let answer = wharf
                .send(method, &target, &[("Content-Length", "0")])
                .await
                .whole()
                .await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (405, "UNSUPPORTED"),
                "{method} {target}"
            );
            assert!(answer.header("allow").is_some(), "{method} {target}");
        }
    }
    assert_eq!(upstream.count(&On::any()), 0, "{}", upstream.story());
}

#[tokio::test]
async fn all_spellings_of_a_repository_share_its_lists() {
    let (upstream, wharf, image) = harbour().await;
    for (name, ns) in [
        ("docker.io/library/alpine", ""),
        ("docker.io/alpine", ""),
        ("library/alpine", ""),
        ("alpine", "?ns=registry-1.docker.io"),
    ] {
        for rest in ["tags/list".to_owned(), format!("referrers/{}", image.digest())] {
            let answer = wharf.get(&format!("/v2/{name}/{rest}{ns}")).await;
            assert_eq!(answer.status, 200, "{name}{ns}: {}", answer.text());
        }
    }
    assert_eq!(upstream.count(&On::any()), 2, "{}", upstream.story());
}

#[tokio::test]
async fn repositories_may_be_called_like_routes() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    let wharf = Wharf::of(&upstream).await;
    for name in [
        "blobs",
        "manifests",
        "tags/list",
        "foo/manifests",
        "a/blobs/uploads",
        "v2/x",
        "a__b",
        "a---b",
        "a.b/c_d",
    ] {
        upstream.put_image(name, "latest", &image);
        let answer = wharf.get(&format!("/v2/hub/{name}/manifests/latest")).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let blob = wharf
            .get(&format!(
                "/v2/hub/{name}/blobs/{}",
                image.layer(0).digest().replace(':', "%3A")
            ))
            .await;
        assert_eq!(blob.status, 200, "{name}");
    }
}
