//! What is here: tag lists, the catalog, referrers, extensions (distribution-spec, "Content Discovery").

use serde_json::{Value, json};

use crate::support::image::{Content, Image, OCI_INDEX, OCI_MANIFEST};
use crate::support::manifest_path;
use crate::support::script::On;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

fn json_of(answer: &crate::support::client::Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// A hosted repository with these tags on one image.
async fn tagged(tags: &[&str]) -> (Wharf, Image) {
    let (wharf, image) = (Setup::new().start().await, Image::oci(1, &[10]));
    wharf.push_image("team/app", image.digest(), &image).await;
    for tag in tags {
        wharf
            .push_manifest("team/app", tag, image.media_type, &image.manifest.all())
            .await;
    }
    (wharf, image)
}

fn tags(of: &[&str]) -> Value {
    json!({ "name": "team/app", "tags": of })
}

#[tokio::test]
async fn tags_are_listed_in_order_and_a_page_says_where_the_next_one_is() {
    let all = ["0.9", "1", "A", "_", "a.b", "a_b", "b"];
    let (wharf, _) = tagged(&["b", "a_b", "1", "A", "_", "a.b", "0.9"]).await;
    let list = "/v2/team/app/tags/list";
    let whole = wharf.get(list).await;
    assert_eq!((json_of(&whole), whole.header("link")), (tags(&all), None));
    assert_eq!(whole.header("content-type"), Some("application/json"));
    assert_eq!(whole.header("cache-status"), Some("wharf; hit"));
    let head = wharf.head(list).await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some(&*whole.body.len().to_string()))
    );

    let mut listed = Vec::new();
    let mut next = Some(format!("{list}?n=3"));
    while let Some(target) = next.take() {
        let page = wharf.get(&target).await;
        let page_tags = json_of(&page)["tags"].as_array().unwrap().clone();
        assert!(page_tags.len() == 3 || page.header("link").is_none(), "{target}");
        listed.extend(page_tags);
        next = page.header("link").map(|link| {
            let target = link
                .strip_prefix('<')
                .and_then(|link| link.strip_suffix(">; rel=\"next\""))
                .unwrap();
            assert!(target.starts_with("/v2/team/app/tags/list?"), "relative: {target}");
            target.to_owned()
        });
    }
    assert_eq!(json!(listed), json!(all));
    for (query, expected, more) in [
        ("n=7", &all[..], false),
        ("n=0", &[], false),
        ("n=999999999", &all, false),
        ("n=99999999999999999999999", &all, false),
        ("n=1&n=2", &all[..1], true),
        ("last=%00", &all, false),
        ("last=%ff", &[], false),
        ("last=A", &all[3..], false),
        ("last=AAA", &all[3..], false),
        ("last=a&n=2", &all[4..6], true),
        ("last=zzz", &[], false),
        ("n=", &all, false),
    ] {
        let page = wharf.get(&format!("{list}?{query}")).await;
        assert_eq!(
            (json_of(&page), page.header("link").is_some()),
            (tags(expected), more),
            "{query}"
        );
    }
    for bad in ["n=-1", "n=+1", "n=1.0", "n=x"] {
        assert_eq!(wharf.get(&format!("{list}?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_repository_without_tags_has_an_empty_list_and_one_without_manifests_none() {
    let (wharf, image) = tagged(&["v1"]).await;
    let list = "/v2/team/app/tags/list";
    assert_eq!(json_of(&wharf.get(list).await), tags(&["v1"]));
    assert_eq!(wharf.delete(&manifest_path("team/app", "v1")).await.status, 202);
    assert_eq!(json_of(&wharf.get(list).await), tags(&[]));
    assert_eq!(
        json_of(&wharf.get("/v2/_catalog").await),
        json!({ "repositories": ["team/app"] })
    );
    assert_eq!(
        wharf.delete(&manifest_path("team/app", image.digest())).await.status,
        202
    );
    let answer = wharf.get(list).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NAME_UNKNOWN"));
    assert_eq!(json_of(&wharf.get("/v2/_catalog").await), json!({ "repositories": [] }));
}

/// A manifest about `subject`: its content, and its type.
fn about(subject: &Image, kind: &str, note: &str) -> Content {
    let empty = Content::of("{}");
    let subject = subject.manifest.descriptor(subject.media_type);
    let body = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
        "config": empty.descriptor("application/vnd.oci.empty.v1+json"), "layers": [],
        "subject": subject, "annotations": { "note": note }
    });
    Content::of(body.to_string())
}

#[tokio::test]
async fn referrers_are_listed_with_their_annotations_and_go_when_they_are_deleted() {
    let (wharf, image) = tagged(&[]).await;
    wharf.push_blob("team/app", &Content::of("{}")).await;
    let (sig, sbom) = (about(&image, "a/sig", "one"), about(&image, "a/sbom+json", "two"));
    for manifest in [&sig, &sbom] {
        let pushed = wharf
            .push_manifest("team/app", manifest.digest(), OCI_MANIFEST, &manifest.all())
            .await;
        assert_eq!(pushed.header("oci-subject"), Some(image.digest()));
    }
    let target = format!("/v2/team/app/referrers/{}", image.digest());
    let listed = async |query: &str| {
        let answer = wharf.get(&format!("{target}{query}")).await;
        assert_eq!(answer.header("content-type"), Some(OCI_INDEX));
        let filtered = answer.header("oci-filters-applied") == Some("artifactType");
        let mut found = json_of(&answer)["manifests"].as_array().unwrap().clone();
        found.sort_by_key(|it| it["annotations"]["note"].to_string());
        (found, filtered)
    };
    let descriptor = |manifest: &Content, kind: &str, note: &str| {
        let mut descriptor = manifest.descriptor(OCI_MANIFEST);
        descriptor["artifactType"] = kind.into();
        descriptor["annotations"] = json!({ "note": note });
        descriptor
    };
    let (first, second) = (
        descriptor(&sig, "a/sig", "one"),
        descriptor(&sbom, "a/sbom+json", "two"),
    );
    assert_eq!(listed("").await, (vec![first, second.clone()], false));
    assert_eq!(
        listed("?artifactType=a%2Fsbom%2Bjson").await,
        (vec![second.clone()], true)
    );
    assert_eq!(listed("?artifactType=a/none").await, (vec![], true));
    assert_eq!(wharf.delete(&manifest_path("team/app", sig.digest())).await.status, 202);
    assert_eq!(listed("").await, (vec![second], false));
    let elsewhere = wharf.get(&format!("/v2/team/b/referrers/{}", image.digest())).await;
    assert_eq!(json_of(&elsewhere)["manifests"], json!([]), "of this repository only");
}

/// A tool that knows no referrers API keeps an index under a tag that the subject's digest names; its artifacts have the
/// subject all the same (distribution-spec, "Enabling the Referrers API").
#[tokio::test]
async fn what_a_fallback_tag_lists_is_listed_once_and_its_index_is_not() {
    let (wharf, image) = tagged(&[]).await;
    wharf.push_blob("team/app", &Content::of("{}")).await;
    let tag = image.digest().replace(':', "-");
    for note in ["one", "two"] {
        let manifest = about(&image, "a/sig", note);
        let bytes = manifest.all();
        wharf
            .push_manifest("team/app", manifest.digest(), OCI_MANIFEST, &bytes)
            .await;
        let child = manifest.descriptor(OCI_MANIFEST);
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] });
        let bytes = index.to_string().into_bytes();
        wharf.push_manifest("team/app", &tag, OCI_INDEX, &bytes).await;
        let pulled = wharf.get(&manifest_path("team/app", &tag)).await;
        assert!(pulled.body == bytes, "the tag is a tag like any other");
    }
    let listed = json_of(&wharf.get(&format!("/v2/team/app/referrers/{}", image.digest())).await);
    let notes = listed["manifests"].as_array().unwrap().iter();
    let mut notes: Vec<_> = notes.map(|it| it["annotations"]["note"].as_str().unwrap()).collect();
    notes.sort_unstable();
    assert_eq!(notes, ["one", "two"]);
}

#[tokio::test]
async fn referrers_that_are_more_than_a_manifest_may_be_come_in_pages() {
    let (wharf, image) = tagged(&[]).await;
    wharf.push_blob("team/app", &Content::of("{}")).await;
    let long = "x".repeat(1024 * 1024);
    for number in 0..6 {
        let kind = if number == 5 { "a/other" } else { "a/sig" };
        let manifest = about(&image, kind, &format!("{number}{long}"));
        wharf
            .push_manifest("team/app", manifest.digest(), OCI_MANIFEST, &manifest.all())
            .await;
    }
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut next = Some(format!(
        "/v2/team/app/referrers/{}?artifactType=a%2Fsig",
        image.digest()
    ));
    while let Some(target) = next.take() {
        let page = wharf.get(&target).await;
        assert!(page.body.len() <= 4 * 1024 * 1024, "{} bytes", page.body.len());
        assert_eq!(
            page.header("oci-filters-applied"),
            Some("artifactType"),
            "the filter goes along"
        );
        found.extend(
            json_of(&page)["manifests"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["digest"].to_string()),
        );
        pages += 1;
        next = page
            .header("link")
            .map(|link| link[1..link.find('>').unwrap()].to_owned());
    }
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), distinct.len(), pages), (5, 5, 2));
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
    let nobodys = wharf.get("/v2/Team/_oci/ext/discover").await;
    assert_eq!((nobodys.status, nobodys.code().as_str()), (404, "NAME_INVALID"));
}
