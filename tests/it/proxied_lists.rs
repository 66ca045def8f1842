//! The lists of mirrored repositories: tags and referrers, whole, sorted and cut into pages by wharf; never a lie.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::image::{Content, Image, MIB, OCI_INDEX};
use crate::support::manifest_path;
use crate::support::registry::Door;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::upstream_lists::{about, referrers_index, referrers_tag};
use crate::support::wharf::{Mirror, Setup, Wharf};

const TAGS: &str = "/v2/hub/a/b/tags/list";

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn tagged(upstream: &Upstream, tags: &[&str]) -> Image {
    let image = Image::oci(1, &[10]);
    for tag in tags {
        upstream.put_image("a/b", tag, &image);
    }
    image
}

fn referrers_path(subject: &Content) -> String {
    format!("/v2/hub/a/b/referrers/{}", subject.digest())
}

/// The artifact types in a list, sorted.
fn kinds(answer: &Answer) -> Vec<String> {
    let list = json_of(answer);
    let manifests = list["manifests"].as_array().unwrap();
    let mut kinds: Vec<_> = manifests
        .iter()
        .map(|it| it["artifactType"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

/// A mirror whose lists are due at once, and which is not waited for long.
fn impatient(upstream: &Upstream) -> Mirror {
    let mirror = Mirror::of("hub", upstream).set("fresh_for", "\"0s\"");
    mirror
        .set("connect", "\"400ms\"")
        .set("first_byte", "\"400ms\"")
        .set("silence", "\"400ms\"")
        .set("revalidate", "\"200ms\"")
}

#[tokio::test]
async fn tags_are_listed_whole_sorted_and_in_pages_of_our_own() {
    for door in [Door::Open, Door::Bearer, Door::Hub, Door::Ghcr] {
        let upstream = Upstream::with_door(door);
        upstream.holds(|registry| registry.page = 2);
        tagged(&upstream, &["b", "a", "B", "1.2", "latest"]);
        let wharf = Wharf::of(&upstream).await;
        let listed = wharf.get(TAGS).await;
        let all = json!({ "name": "hub/a/b", "tags": ["1.2", "B", "a", "b", "latest"] });
        assert_eq!(json_of(&listed), all, "{door:?}");
        assert_eq!(listed.header("content-type"), Some("application/json"));
        assert_eq!(listed.header("cache-status"), Some("wharf; fwd=uri-miss; stored"));
        assert_eq!((listed.header("link"), listed.header("warning")), (None, None));
        assert_eq!(upstream.count(&On::tags()), if door == Door::Open { 3 } else { 4 });

        let asked = upstream.count(&On::any());
        let mut next = format!("{TAGS}?n=2");
        let mut walked = Vec::new();
        loop {
            let page = wharf.get(&next).await;
            walked.extend(json_of(&page)["tags"].as_array().unwrap().clone());
            assert_eq!(page.header("cache-status"), Some("wharf; hit"));
            let Some(link) = page.header("link") else { break };
            next = link.trim_start_matches('<').split_once('>').unwrap().0.to_owned();
        }
        assert_eq!(Value::from(walked), all["tags"]);
        assert_eq!(
            json_of(&wharf.get(&format!("{TAGS}?last=a")).await)["tags"],
            json!(["b", "latest"])
        );
        let head = wharf.head(TAGS).await;
        assert_eq!(head.header("content-length"), Some(&*listed.body.len().to_string()));
        assert_eq!(upstream.count(&On::any()), asked, "{}", upstream.story());
    }
}

#[tokio::test]
async fn a_crowd_costs_one_listing() {
    let (upstream, gate) = (Upstream::start(), Gate::shut());
    tagged(&upstream, &["v1"]);
    upstream.script(On::tags(), [Act::HoldHead(gate.clone())]);
    let wharf = Wharf::of(&upstream).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = wharf.connect().await;
        client.ask("GET", TAGS, &[]).await;
        waiting.push(client);
    }
    upstream.until("the listing", |it| it.count(&On::tags()) == 1).await;
    gate.open();
    for client in waiting {
        let answer = client.answer(false).await.unwrap().whole().await;
        assert_eq!(json_of(&answer)["tags"], json!(["v1"]));
    }
    assert_eq!(upstream.count(&On::any()), 1, "{}", upstream.story());
}

#[tokio::test]
async fn what_no_upstream_says_is_an_error_that_names_it() {
    let (upstream, subject) = (Upstream::start(), Content::of("subject"));
    let wharf = Setup::new().mirror(impatient(&upstream)).start().await;
    let nobody = wharf.get(TAGS).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "NAME_UNKNOWN"));
    tagged(&upstream, &["v1"]);
    let failures = [
        (Act::Status(500), 502, "UNAVAILABLE"),
        (Act::Status(429), 429, "TOOMANYREQUESTS"),
        (Act::Status(403), 403, "DENIED"),
        (Act::Html, 502, "UNAVAILABLE"),
        (Act::Body(Content::of("{}")), 502, "UNAVAILABLE"),
        (Act::HoldHead(Gate::shut()), 504, "UNAVAILABLE"),
    ];
    for (n, (act, status, code)) in failures.into_iter().enumerate() {
        // One that has not heard of the others, and a name that has not just been said to be absent.
        let wharf = Setup::new().mirror(impatient(&upstream)).start().await;
        let name = format!("a/c{n}");
        upstream.put_image(&name, "v1", &Image::oci(1, &[]));
        upstream.script(On::any(), [act.clone()]);
        for target in [
            format!("/v2/hub/{name}/tags/list"),
            format!("/v2/hub/{name}/referrers/{}", subject.digest()),
        ] {
            for answer in [wharf.get(&target).await, wharf.head(&target).await] {
                assert_eq!(answer.status, status, "{act:?} {target}: {}", answer.text());
            }
            let answer = wharf.get(&target).await;
            assert_eq!(answer.code(), code, "{act:?} {target}");
            assert!(
                answer.text().contains(&upstream.address().to_string()),
                "{}",
                answer.text()
            );
        }
        upstream.heal();
    }
    upstream.stop().await;
    for target in ["/v2/hub/a/d/tags/list".to_owned(), referrers_path(&subject)] {
        let answer = wharf.get(&target).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "UNAVAILABLE"),
            "{target}"
        );
    }
}

#[tokio::test]
async fn kept_lists_answer_without_the_upstream_and_say_so() {
    let upstream = Upstream::start();
    let image = tagged(&upstream, &["v1", "v2"]);
    upstream.put_about("a/b", &image.manifest, "signature");
    let mut wharf = Setup::new().mirror(impatient(&upstream)).start().await;
    let referrers = referrers_path(&image.manifest);
    json_of(&wharf.get(TAGS).await);
    assert_eq!(kinds(&wharf.get(&referrers).await), ["signature"]);
    upstream.stop().await;
    for round in ["at once", "after a restart"] {
        let tags = wharf.get(&format!("{TAGS}?n=1")).await;
        assert_eq!(json_of(&tags)["tags"], json!(["v1"]), "{round}");
        let listed = wharf.get(&referrers).await;
        assert_eq!(kinds(&listed), ["signature"], "{round}");
        for answer in [tags, listed] {
            let status = answer.header("cache-status").unwrap();
            assert!(status.starts_with("wharf; hit; ttl=-"), "{status}");
            assert!(status.ends_with("detail=upstream-unreachable"), "{status}");
            let warning = answer.header("warning").unwrap();
            assert!(
                warning.starts_with("299 - \"") && warning.contains("upstream-unreachable"),
                "{warning}"
            );
        }
        wharf.kill();
        wharf.restart().await;
    }
    upstream.resume().await;
    tagged(&upstream, &["v3"]);
    let fresh = wharf.get(TAGS).await;
    assert_eq!(json_of(&fresh)["tags"], json!(["v1", "v2", "v3"]));
    assert_eq!(fresh.header("warning"), None);
}

#[tokio::test]
async fn a_list_leads_nowhere_but_to_the_upstream() {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    tagged(&upstream, &["v1"]);
    tagged(&other, &["stolen"]);
    let wharf = Wharf::of(&upstream).await;
    let elsewhere = format!("http://localhost:{}{TAGS}", other.address().port());
    let link = |to: &str| Act::Header("link", format!("<{to}>; rel=\"next\""));
    upstream.script(On::tags(), [link(&elsewhere)]);
    let answer = wharf.get(TAGS).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "UNAVAILABLE"));
    assert!(answer.text().contains("localhost"), "{}", answer.text());
    assert_eq!(other.connections(), 0);

    // Another port of the upstream's own host: asked for where it was configured.
    let asked = upstream.count(&On::tags());
    upstream.heal();
    let moved = link(&format!(
        "http://127.0.0.1:{}/any/where?behind=v1",
        other.address().port()
    ));
    upstream.script(On::tags().times(1), [moved]);
    assert_eq!(json_of(&wharf.get(TAGS).await)["tags"], json!(["v1"]));
    let pages = upstream.seen(&On::tags()).split_off(asked);
    assert_eq!(pages.len(), 2);
    assert_eq!(
        (&*pages[1].request.path, &*pages[1].request.query),
        ("/v2/a/b/tags/list", "behind=v1")
    );
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn lists_without_end_are_refused_in_bounded_memory() {
    let upstream = Upstream::start();
    let wharf = Wharf::of(&upstream).await;
    let many: Vec<String> = (0..1_000_000).map(|n| format!("{n:07}")).collect();
    let many = Content::of(json!({ "tags": many }).to_string());
    let long = Content::of(format!("{{\"tags\":[\"{}\"]}}", "x".repeat(20 << 20)));
    let one = Content::of("{\"tags\":[\"v1\"]}");
    let circle = Act::Header("link", "<?n=1>; rel=\"next\"".to_owned());
    for (name, acts, cause) in [
        ("many", vec![Act::Body(many)], "longer than"),
        ("long", vec![Act::Body(long)], "longer than"),
        (
            "endless",
            vec![Act::Body(Content::endless()), Act::Chunked],
            "longer than",
        ),
        ("circle", vec![Act::Body(one), circle], "circle"),
    ] {
        upstream.put_image(name, "v1", &Image::oci(1, &[]));
        upstream.script(On::tags().repo(name), acts);
        let answer = wharf.get(&format!("/v2/hub/{name}/tags/list")).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "UNAVAILABLE"), "{name}");
        assert!(answer.text().contains(cause), "{name}: {}", answer.text());
    }
    assert!(upstream.count(&On::tags()) < 10, "{}", upstream.story());
    let peak = wharf.memory("VmHWM");
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
}

#[tokio::test]
async fn referrers_are_all_that_the_api_has_filtered_here() {
    for door in [Door::Open, Door::Hub, Door::Ghcr] {
        let upstream = Upstream::with_door(door);
        upstream.holds(|registry| registry.page = 2);
        let image = tagged(&upstream, &["v1"]);
        let signature = upstream.put_about("a/b", &image.manifest, "a/signature+json");
        for kind in ["a/sbom", "a/scan"] {
            upstream.put_about("a/b", &image.manifest, kind);
        }
        upstream.put_about("a/b", &Content::of("another subject"), "a/other");
        let wharf = Wharf::of(&upstream).await;
        let target = referrers_path(&image.manifest);
        let all = wharf.get(&target).await;
        assert_eq!(kinds(&all), ["a/sbom", "a/scan", "a/signature+json"]);
        assert_eq!(all.header("content-type"), Some(OCI_INDEX));
        assert_eq!(all.header("oci-filters-applied"), None);
        let pages = upstream.seen(&On::referrers());
        assert!(pages.iter().all(|seen| !seen.request.query.contains("artifactType")));

        let filtered = wharf.get(&format!("{target}?artifactType=a%2Fsignature%2Bjson")).await;
        let list = json_of(&filtered);
        assert_eq!(list["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(list["manifests"][0]["digest"], signature.digest());
        assert_eq!(list["manifests"][0]["annotations"]["org.example.made-by"], "the tests");
        assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
        assert_eq!(upstream.count(&On::referrers()), pages.len(), "a page of what is known");
        let pulled = wharf.get(&manifest_path("hub/a/b", signature.digest())).await;
        assert_eq!(pulled.body, signature.manifest.all());
        let none = wharf.get(&referrers_path(&Content::of("nobody's subject"))).await;
        assert_eq!(json_of(&none)["manifests"], json!([]));
    }
}

#[tokio::test]
async fn an_upstream_without_the_api_is_asked_for_the_tag() {
    let elsewhere = Upstream::start();
    let page = format!("http://localhost:{}/search", elsewhere.address().port());
    for no_api in [
        Act::Status(404),
        Act::Status(405),
        Act::Status(400),
        Act::Status(406),
        Act::Html,
        Act::Header("content-type", "application/json".to_owned()),
        Act::Redirect(303, page),
    ] {
        let upstream = Upstream::start();
        let (image, unsigned) = (tagged(&upstream, &["v1"]), Image::oci(2, &[]));
        upstream.put_image("a/b", "v2", &unsigned);
        let signature = about(&image.manifest, "signature");
        let index = referrers_index(&[&signature]);
        upstream.put_manifest("a/b", &referrers_tag(&image.manifest), OCI_INDEX, &index);
        upstream.script(On::referrers(), [no_api.clone()]);
        let wharf = Wharf::of(&upstream).await;
        let listed = wharf.get(&referrers_path(&image.manifest)).await;
        assert_eq!(kinds(&listed), ["signature"], "{no_api:?}");
        let none = wharf.get(&referrers_path(&unsigned.manifest)).await;
        assert_eq!(json_of(&none)["manifests"], json!([]), "{no_api:?}");
        assert_eq!(
            upstream.count(&On::referrers()),
            1,
            "that there is no API is remembered"
        );

        // Neither the API nor the tag say anything: that is not nothing.
        upstream.script(On::manifests(), [Act::Status(500)]);
        let unknown = wharf.get(&referrers_path(&Content::of("unknown"))).await;
        assert_eq!(unknown.status, 502, "{no_api:?}: {}", unknown.text());
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_repository_that_is_not_there_does_not_tell_what_the_registry_can() {
    let upstream = Upstream::start();
    let image = tagged(&upstream, &["v1"]);
    upstream.put_about("a/b", &image.manifest, "signature");
    upstream.script(On::referrers().repo("no/body"), [Act::Status(404)]);
    let wharf = Wharf::of(&upstream).await;
    let nobody = format!("/v2/hub/no/body/referrers/{}", image.digest());
    assert_eq!(json_of(&wharf.get(&nobody).await)["manifests"], json!([]));
    assert_eq!(kinds(&wharf.get(&referrers_path(&image.manifest)).await), ["signature"]);
}

#[tokio::test]
async fn signatures_in_tags_are_ordinary_tags_that_are_gone_when_they_are_gone() {
    let upstream = Upstream::start();
    let (image, signature) = (tagged(&upstream, &["v1"]), Image::oci(2, &[20]));
    let tag = |suffix: &str| format!("{}.{suffix}", referrers_tag(&image.manifest));
    upstream.put_image("a/b", &tag("sig"), &signature);
    let wharf = Setup::new().mirror(impatient(&upstream)).start().await;
    let sig = manifest_path("hub/a/b", &tag("sig"));
    assert_eq!(wharf.get(&sig).await.body, signature.manifest.all());
    let again = Image::oci(3, &[20]);
    upstream.put_image("a/b", &tag("sig"), &again);
    assert_eq!(wharf.get(&sig).await.body, again.manifest.all(), "signed again");

    let attestation = manifest_path("hub/a/b", &tag("att"));
    for _ in 0..3 {
        let answer = wharf.get(&attestation).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "MANIFEST_UNKNOWN"));
    }
    assert_eq!(upstream.count(&On::any().of(&tag("att"))), 1, "{}", upstream.story());
    upstream.holds(|registry| registry.forget("a/b", &tag("sig")));
    assert_eq!(wharf.get(&sig).await.status, 404, "taken back");
    upstream.stop().await;
    let other = manifest_path("hub/a/b", &tag("sbom"));
    assert_eq!(wharf.get(&other).await.status, 502);
}
