//! What is here: tag lists, the catalog, referrers, extensions (distribution-spec, "Content Discovery").

use serde_json::{Value, json};

use crate::support::image::{Image, OCI_INDEX};
use crate::support::manifest_path;
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

fn json_of(answer: &crate::support::client::Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn an_unknown_repository_has_no_tag_list() {
    let wharf = Setup::new().start().await;
    let answer = wharf.get("/v2/team/nobody/tags/list").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NAME_UNKNOWN"));
    let answer = wharf.head("/v2/team/nobody/tags/list").await;
    assert_eq!((answer.status, answer.body.len()), (404, 0));
    for n in ["n=-1", "n=x"] {
        let answer = wharf.get(&format!("/v2/team/nobody/tags/list?{n}")).await;
        assert_eq!(answer.status, 400, "{n}");
    }
}

#[tokio::test]
async fn nobody_is_about_an_unknown_subject_and_that_is_an_answer() {
    let wharf = Setup::new().start().await;
    let subject = Image::oci(1, &[1]);
    let target = format!("/v2/team/nobody/referrers/{}", subject.digest());
    let answer = wharf.get(&target).await;
    let empty = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    assert_eq!(json_of(&answer), empty);
    assert_eq!(answer.header("content-type"), Some(OCI_INDEX));
    assert_eq!(answer.header("cache-status"), Some("wharf; hit"));
    assert_eq!(answer.header("oci-filters-applied"), None);
    assert_eq!(answer.header("link"), None);
    let head = wharf.head(&target).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some(OCI_INDEX)));
    assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()));

    let filtered = wharf.get(&format!("{target}?artifactType=a%2Fb")).await;
    assert_eq!(json_of(&filtered), empty);
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    let answer = wharf.get("/v2/team/nobody/referrers/sha256:short").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn the_catalog_lists_what_is_cached_by_the_name_it_is_pulled_by() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    for name in ["a/b", "c", "never/pulled"] {
        upstream.put_image(name, "v1", &image);
    }
    let mut wharf = Wharf::of(&upstream).await;
    assert_eq!(json_of(&wharf.get("/v2/_catalog").await), json!({ "repositories": [] }));
    for name in ["hub/a/b", "hub/c"] {
        assert_eq!(wharf.get(&manifest_path(name, "v1")).await.status, 200);
    }
    let listed = wharf.get("/v2/_catalog").await;
    assert_eq!(json_of(&listed), json!({ "repositories": ["hub/a/b", "hub/c"] }));
    assert_eq!(listed.header("content-type"), Some("application/json"));
    let head = wharf.head("/v2/_catalog").await;
    assert_eq!(head.header("content-length"), Some(&*listed.body.len().to_string()));

    let asked = upstream.count(&On::any());
    let first = wharf.get("/v2/_catalog?n=1").await;
    assert_eq!(json_of(&first), json!({ "repositories": ["hub/a/b"] }));
    assert_eq!(
        first.header("link"),
        Some("</v2/_catalog?last=hub%2Fa%2Fb&n=1>; rel=\"next\"")
    );
    let second = wharf.get("/v2/_catalog?last=hub%2Fa%2Fb&n=1").await;
    assert_eq!(json_of(&second), json!({ "repositories": ["hub/c"] }));
    assert_eq!(second.header("link"), None, "nothing follows");
    let none = wharf.get("/v2/_catalog?n=0").await;
    assert_eq!(
        (json_of(&none), none.header("link")),
        (json!({ "repositories": [] }), None)
    );
    assert_eq!(upstream.count(&On::any()), asked, "no upstream is asked for a list");

    wharf.kill();
    wharf.reconfigure(&Setup::new().mirror(Mirror::of("other", &upstream)));
    wharf.restart().await;
    let listed = json_of(&wharf.get("/v2/_catalog").await);
    assert_eq!(
        listed,
        json!({ "repositories": [] }),
        "the mirror is gone, so nobody can pull that"
    );
}

#[tokio::test]
async fn who_may_not_pull_sees_nothing_in_the_catalog() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let mut wharf = Wharf::of(&upstream).await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    wharf.kill();
    wharf.reconfigure(
        &Setup::new()
            .mirror(Mirror::of("hub", &upstream))
            .table("access", "anonymous = []"),
    );
    wharf.restart().await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 403);
    assert_eq!(json_of(&wharf.get("/v2/_catalog").await), json!({ "repositories": [] }));
}

#[tokio::test]
async fn extensions_are_told_for_the_registry_and_for_any_repository() {
    let wharf = Setup::new().start().await;
    for target in ["/v2/_oci/ext/discover", "/v2/team/app/_oci/ext/discover"] {
        let answer = wharf.get(target).await;
        let told = json_of(&answer);
        let names: Vec<_> = told["extensions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].clone())
            .collect();
        assert_eq!(names, ["_oci", "_catalog"]);
        for extension in told["extensions"].as_array().unwrap() {
            let endpoint = extension["endpoints"][0].as_str().unwrap();
            assert_eq!(wharf.get(endpoint).await.status, 200, "{endpoint} is there");
        }
        let head = wharf.head(target).await;
        assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()));
    }
}
