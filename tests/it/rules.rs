//! What a mirror's `allow` and `deny` say: by whatever name it is asked for, cached or not, without a word upstream.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::image::Image;
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

/// All ways to say `library/alpine` of docker.io: name, query, `Host`.
const SPELLINGS: [(&str, &str, &str); 8] = [
    ("docker.io/library/alpine", "", "x"),
    ("docker.io/alpine", "", "x"),
    ("library/alpine", "", "x"),
    ("library/alpine", "?ns=docker.io", "x"),
    ("alpine", "?ns=registry-1.docker.io", "x"),
    ("docker.io/alpine", "?ns=Docker.IO", "x"),
    ("alpine", "", "hub.site.example:5000"),
    ("library/alpine", "?ns=wharf.test:5000", "x"),
];

fn hub(upstream: &Upstream, lines: &[(&str, &str)]) -> Setup {
    let hub = Mirror::of("docker.io", upstream).set("hosts", "[\"hub.site.example\"]");
    let hub = lines.iter().fold(hub, |hub, (key, value)| hub.set(key, value));
    Setup::new().server("names", "[\"wharf.test:5000\"]").mirror(hub)
}

fn upstream() -> (Upstream, Image) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    for tag in ["3.19", "3.20", "edge"] {
        upstream.put_image("library/alpine", tag, &image);
    }
    upstream.put_image("org/app", "v1", &image);
    (upstream, image)
}

/// What there is to ask of a repository that has the image.
fn targets(name: &str, query: &str, image: &Image) -> Vec<String> {
    let (digest, layer) = (image.digest(), image.layer(0).digest());
    [
        "manifests/3.20",
        "tags/list",
        &format!("manifests/{digest}"),
        &format!("blobs/{layer}"),
        &format!("referrers/{digest}"),
    ]
    .map(|rest| format!("/v2/{name}/{rest}{query}"))
    .into()
}

fn assert_denied(answer: &Answer, words: &str, target: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (403, "DENIED"), "{target}");
    assert!(answer.text().contains(words), "{target}: {}", answer.text());
    assert_eq!(answer.header("cache-status"), None, "{target}");
}

#[tokio::test]
async fn what_is_denied_is_denied_by_every_name_cached_or_not_and_nobody_is_asked() {
    let (upstream, image) = upstream();
    let mut wharf = hub(&upstream, &[]).start().await;
    for target in targets("library/alpine", "", &image) {
        assert_eq!(wharf.get(&target).await.status, 200, "{target}");
    }
    for cached in [true, false] {
        wharf.reload(&hub(&upstream, &[("deny", "[\"library/alpine\"]")])).await;
        let asked = (upstream.count(&On::any()), upstream.connections());
        for (name, query, host) in SPELLINGS {
            for target in targets(name, query, &image) {
                for method in ["GET", "HEAD"] {
                    let answer = wharf.send(method, &target, &[("Host", host)]).await.whole().await;
                    assert_eq!(answer.status, 403, "{method} {target}, cached: {cached}");
                    if method == "GET" {
                        let words = "mirror.\\\"docker.io\\\".deny has \\\"library/alpine\\\"";
                        assert_denied(&answer, words, &target);
                    }
                }
            }
        }
        assert_eq!(
            (upstream.count(&On::any()), upstream.connections()),
            asked,
            "{}",
            upstream.story()
        );
        assert_eq!(wharf.get(&manifest_path("docker.io/org/app", "v1")).await.status, 200);
        wharf.kill();
        std::fs::remove_dir_all(wharf.store()).unwrap();
        wharf.restart().await;
    }
}

#[tokio::test]
async fn a_tag_that_is_denied_is_no_word_against_content() {
    let (upstream, image) = upstream();
    let wharf = hub(&upstream, &[("deny", "[\"alpine:3.2*\"]")]).start().await;
    for (name, query, host) in SPELLINGS {
        let target = format!("/v2/{name}/manifests/3.20{query}");
        let answer = wharf.send("GET", &target, &[("Host", host)]).await.whole().await;
        assert_denied(&answer, "deny has \\\"alpine:3.2*\\\"", &target);
    }
    assert_eq!(upstream.count(&On::any()), 0, "{}", upstream.story());
    for target in [
        manifest_path("library/alpine", "3.19"),
        manifest_path("library/alpine", image.digest()),
        blob_path("library/alpine", image.layer(0)),
        format!("/v2/library/alpine/referrers/{}", image.digest()),
    ] {
        assert_eq!(wharf.status(&target).await, 200, "{target}");
    }
}

async fn tags(wharf: &Wharf, target: &str) -> (Value, bool) {
    let answer = wharf.get(target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    (body["tags"].clone(), answer.header("link").is_some())
}

#[tokio::test]
async fn tags_that_cannot_be_pulled_are_not_listed() {
    let (upstream, _) = upstream();
    let wharf = hub(&upstream, &[("deny", "[\"library/alpine:3.19\"]")]).start().await;
    let list = "/v2/library/alpine/tags/list";
    assert_eq!(tags(&wharf, list).await, (json!(["3.20", "edge"]), false));
    assert_eq!(tags(&wharf, &format!("{list}?n=1")).await, (json!(["3.20"]), true));
    assert_eq!(
        tags(&wharf, &format!("{list}?n=1&last=3.20")).await,
        (json!(["edge"]), false)
    );
    wharf
        .reload(&hub(&upstream, &[("allow", "[\"library/alpine:3*\"]")]))
        .await;
    assert_eq!(tags(&wharf, list).await, (json!(["3.19", "3.20"]), false));
}

#[tokio::test]
async fn an_allow_list_is_all_there_is() {
    let (upstream, image) = upstream();
    let rules = [
        ("allow", "[\"library/alpine:3*\", \"org/*\"]"),
        ("deny", "[\"org/secret\"]"),
    ];
    let wharf = hub(&upstream, &rules).start().await;
    for (target, words) in [
        (manifest_path("docker.io/library/nginx", "v1"), "allow does not list it"),
        (
            manifest_path("library/alpine", "edge"),
            "docker.io/library/alpine:edge may not be pulled",
        ),
        (
            blob_path("docker.io/other/app", image.layer(0)),
            "allow does not list it",
        ),
        ("/v2/docker.io/other/app/tags/list".to_owned(), "allow does not list it"),
        (
            manifest_path("docker.io/org/secret", "v1"),
            "deny has \\\"org/secret\\\"",
        ),
    ] {
        assert_denied(&wharf.get(&target).await, words, &target);
    }
    assert_eq!(upstream.count(&On::any()), 0, "{}", upstream.story());
    for target in [
        manifest_path("library/alpine", "3.20"),
        manifest_path("library/alpine", image.digest()),
        blob_path("library/alpine", image.layer(0)),
        manifest_path("docker.io/org/app", "v1"),
    ] {
        assert_eq!(wharf.status(&target).await, 200, "{target}");
    }
}

#[tokio::test]
async fn signatures_are_as_welcome_as_what_they_sign() {
    let (upstream, image) = upstream();
    let tag = format!("{}.sig", image.digest().replace(':', "-"));
    upstream.put_image("library/alpine", &tag, &Image::oci(2, &[10]));
    let wharf = hub(&upstream, &[("allow", "[\"library/alpine:3*\"]")]).start().await;
    assert_eq!(wharf.status(&manifest_path("library/alpine", &tag)).await, 200);
}

#[tokio::test]
async fn what_is_denied_is_in_no_catalog_and_cannot_be_mounted() {
    let (upstream, image) = upstream();
    let wharf = hub(&upstream, &[]).start().await;
    for name in ["docker.io/library/alpine", "docker.io/org/app"] {
        let blob = blob_path(name, image.layer(0));
        assert_eq!(wharf.get(&blob).await.status, 200);
        wharf.landed(&blob).await;
    }
    let catalog = async || -> Value { serde_json::from_slice(&wharf.get("/v2/_catalog").await.body).unwrap() };
    assert_eq!(
        catalog().await,
        json!({ "repositories": ["docker.io/library/alpine", "docker.io/org/app"] })
    );
    wharf.reload(&hub(&upstream, &[("allow", "[\"org/app\"]")])).await;
    assert_eq!(catalog().await, json!({ "repositories": ["docker.io/org/app"] }));
    let digest = image.layer(0).digest();
    for from in ["&from=library/alpine", "&from=docker.io/alpine"] {
        assert_eq!(wharf.mount("team/app", digest, from).await.status, 202, "{from}");
    }
    assert_eq!(
        wharf.mount("team/app", digest, "&from=docker.io/org/app").await.status,
        201
    );
    wharf.reload(&hub(&upstream, &[("deny", "[\"*\"]")])).await;
    assert_eq!(
        wharf.mount("team/other", digest, "").await.status,
        201,
        "what is hosted is no mirror's"
    );
}
