//! A wharf behind a wharf: what a name means, and that it is fetched once, survives both hops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::Ended;
use crate::support::image::{Content, Image, KIB, MIB};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

/// Two registries, a wharf in front of both, and one in front of that.
struct Chain {
    quay: Upstream,
    hub: Upstream,
    inner: Wharf,
    outer: Wharf,
}

async fn chain() -> Chain {
    let (quay, hub) = (Upstream::start(), Upstream::start());
    let inner = Setup::new()
        .mirror(Mirror::of("quay.io", &quay))
        .mirror(Mirror::of("docker.io", &hub));
    let inner = inner.start().await;
    let outer = Setup::new()
        .mirror(behind(&inner, "quay.io"))
        .mirror(behind(&inner, "docker.io"));
    let outer = outer.start().await;
    Chain {
        quay,
        hub,
        inner,
        outer,
    }
}

/// A mirror that another wharf stands for.
fn behind(inner: &Wharf, registry: &str) -> Mirror {
    let endpoint = format!("http://{}", inner.address());
    Mirror::at(registry, &endpoint).set("send_ns", &format!("\"{registry}\""))
}

async fn listed(wharf: &Wharf, target: &str) -> Value {
    let answer = wharf.get(target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// How often a wharf was asked for this.
fn asked(wharf: &Wharf, method: &str, digest: &str) -> usize {
    let about = |line: &&str| line.contains(&format!("method={method}")) && line.contains(digest);
    wharf.log().lines().filter(about).count()
}

#[tokio::test]
async fn twenty_clients_of_the_outer_one_cost_one_download_and_read_it_as_it_arrives() {
    let (chain, gate) = (chain().await, Gate::at(MIB));
    let image = Image::oci(1, &[4 * MIB]);
    let layer = image.layer(0);
    chain.quay.put_image("org/app", "v1", &image);
    chain
        .quay
        .script(On::blobs().of(layer.digest()), [Act::Hold(gate.clone())]);
    let manifest = chain.outer.get(&manifest_path("quay.io/org/app", "v1")).await;
    assert_eq!(manifest.body, image.manifest.all());
    let mut readers = Vec::new();
    for n in 0..20 {
        // Some by prefix, some by ns.
        let target = if n % 2 == 0 {
            blob_path("quay.io/org/app", layer)
        } else {
            format!("{}?ns=quay.io", blob_path("org/app", layer))
        };
        let mut reader = chain.outer.open(&target).await;
        assert_eq!(
            reader.exactly(512 * KIB).await,
            layer.bytes(0..512 * KIB),
            "before the end has come"
        );
        readers.push(reader);
    }
    gate.open();
    for mut reader in readers {
        let (rest, ended) = reader.rest().await;
        assert_eq!(
            (rest == layer.bytes(512 * KIB..layer.len()), ended),
            (true, Ended::Clean)
        );
    }
    let blobs = On::blobs().of(layer.digest());
    assert_eq!(
        (chain.quay.count(&blobs), chain.quay.sent(&blobs)),
        (1, layer.len()),
        "{}",
        chain.quay.story()
    );
    assert_eq!(asked(&chain.inner, "GET", layer.digest()), 1);
    assert_eq!(chain.quay.count(&On::manifests().get()), 1);
    chain.outer.landed(&blob_path("quay.io/org/app", layer)).await;
    chain.inner.landed(&blob_path("quay.io/org/app", layer)).await;
}

#[tokio::test]
async fn a_name_means_the_same_on_both_hops() {
    let chain = chain().await;
    let images = [Image::oci(1, &[10]), Image::oci(2, &[10]), Image::oci(3, &[10])];
    chain.quay.put_image("org/app", "v1", &images[0]);
    chain.hub.put_image("org/app", "v1", &images[1]);
    chain.hub.put_image("library/nginx", "v1", &images[2]);
    for (name, ns, image) in [
        ("quay.io/org/app", "", &images[0]),
        ("org/app", "?ns=quay.io", &images[0]),
        ("org/app", "?ns=registry-1.docker.io", &images[1]),
        ("docker.io/org/app", "", &images[1]),
        ("nginx", "?ns=docker.io", &images[2]),
        ("library/nginx", "", &images[2]),
    ] {
        let answer = chain.outer.get(&format!("{}{ns}", manifest_path(name, "v1"))).await;
        assert_eq!(
            (answer.status, answer.body == image.manifest.all()),
            (200, true),
            "{name}{ns}"
        );
        let target = format!("{}{ns}", blob_path(name, image.layer(0)));
        assert_eq!(chain.outer.get(&target).await.body, image.layer(0).all(), "{name}{ns}");
    }
    let everything = json!({ "repositories": ["docker.io/library/nginx", "docker.io/org/app", "quay.io/org/app"] });
    for wharf in [&chain.outer, &chain.inner] {
        assert_eq!(listed(wharf, "/v2/_catalog").await, everything);
    }
    for registry in [&chain.quay, &chain.hub] {
        let requests = registry.seen(&On::any());
        assert!(
            requests.iter().all(|seen| seen.request.query("ns").is_empty()),
            "{}",
            registry.story()
        );
    }
}

#[tokio::test]
async fn lists_come_through_whole_and_lead_on_under_the_name_they_were_asked_by() {
    let chain = chain().await;
    let image = Image::oci(1, &[10]);
    for tag in ["a", "b", "c"] {
        chain.quay.put_image("org/app", tag, &image);
    }
    let signature = chain.quay.put_about("org/app", &image.manifest, "signature");
    chain.quay.holds(|registry| registry.page = 1);
    let mut next = "/v2/org/app/tags/list?n=2&ns=quay.io".to_owned();
    let mut tags = Vec::new();
    loop {
        let page = chain.outer.get(&next).await;
        tags.extend(
            serde_json::from_slice::<Value>(&page.body).unwrap()["tags"]
                .as_array()
                .unwrap()
                .clone(),
        );
        let Some(link) = page.header("link") else { break };
        next = link.trim_start_matches('<').split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(Value::from(tags), json!(["a", "b", "c"]));
    let target = format!("/v2/quay.io/org/app/referrers/{}", image.digest());
    assert_eq!(
        listed(&chain.outer, &target).await["manifests"][0]["digest"],
        signature.digest()
    );
    assert_eq!(
        (chain.quay.count(&On::tags()), chain.quay.count(&On::referrers())),
        (3, 1)
    );
}

#[tokio::test]
async fn a_list_of_many_pages_comes_through_both() {
    let chain = chain().await;
    let tags: Vec<String> = (0..12_000).map(|n| format!("t{n:05}")).collect();
    chain.hub.put_image("org/many", "v1", &Image::oci(1, &[]));
    let list = Content::of(json!({ "name": "org/many", "tags": tags }).to_string());
    chain.hub.script(On::tags(), [Act::Body(list)]);
    let first = listed(&chain.outer, "/v2/docker.io/org/many/tags/list?n=10000").await;
    let rest = listed(&chain.outer, "/v2/docker.io/org/many/tags/list?last=t09999").await;
    let all = [first, rest]
        .map(|list| list["tags"].as_array().unwrap().clone())
        .concat();
    assert_eq!(Value::from(all), json!(tags));
    assert_eq!(chain.hub.count(&On::tags()), 1);
}

#[tokio::test]
async fn what_a_registry_refuses_is_refused_in_the_same_words() {
    let chain = chain().await;
    for (act, status) in [
        (Act::Status(404), 404),
        (Act::Status(429), 429),
        (Act::Status(503), 502),
    ] {
        // A repository that has not just asked to wait.
        let name = format!("org/app{status}");
        chain.quay.put_image(&name, "v1", &Image::oci(1, &[10]));
        chain
            .quay
            .script(On::any(), [act.clone(), Act::Header("retry-after", "7".to_owned())]);
        let target = manifest_path(&format!("quay.io/{name}"), "other");
        let answer = chain.outer.get(&target).await;
        assert_eq!(answer.status, status, "{act:?}: {}", answer.text());
        if status == 429 {
            assert_eq!(answer.header("retry-after"), Some("7"));
        }
        chain.quay.heal();
    }
    let unknown = chain.outer.get("/v2/org/app/tags/list?ns=ghcr.example").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn a_wharf_that_is_its_own_upstream_ends() {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", door.local_addr().unwrap());
    let mirror = Mirror::at("hub", &endpoint).set("send_ns", "\"hub\"");
    let mirror = mirror.set("connect", "\"300ms\"").set("first_byte", "\"300ms\"");
    let wharf = Setup::new().mirror(mirror).start().await;
    tokio::spawn(lead(door, wharf.address()));
    let subject = Content::of("subject");
    let began = Instant::now();
    for target in [
        manifest_path("hub/a/b", "v1"),
        manifest_path("hub/a/b", subject.digest()),
        blob_path("hub/a/b", &subject),
        "/v2/hub/a/b/tags/list".to_owned(),
        format!("/v2/hub/a/b/referrers/{}", subject.digest()),
    ] {
        let answer = wharf.get(&target).await;
        assert!(matches!(answer.status, 502 | 504), "{target}: {}", answer.text());
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let requests = wharf.log().lines().filter(|line| line.contains("method=")).count();
    assert!(requests < 30, "{requests}");
}

/// Leads every connection to `to`.
async fn lead(door: TcpListener, to: SocketAddr) {
    while let Ok((mut from, _)) = door.accept().await {
        tokio::spawn(async move {
            let mut to = TcpStream::connect(to).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
        });
    }
}
