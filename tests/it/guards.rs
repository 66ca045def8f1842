//! P9: wharf dials what its configuration implies and nothing else, and no credential travels further than it must.

use crate::support::image::{Content, Image, MIB};
use crate::support::registry::Door;
use crate::support::script::{Act, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

fn blob() -> Content {
    Content::seeded(1, MIB)
}

async fn assert_refused(wharf: &Wharf, upstream: &Upstream, target: &str) {
    let answer = wharf.get(target).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UNAVAILABLE"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains(&upstream.address().to_string()),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn authorization_is_not_sent_to_where_a_redirect_leads() {
    for status in [302, 303, 307, 308] {
        let (upstream, cdn, blob) = (Upstream::with_door(Door::Bearer), Upstream::start(), blob());
        upstream.put_blob("a/b", &blob);
        cdn.put_blob("any", &blob);
        let to = format!("{}/cdn/{{digest}}?sig={{n}}", cdn.url());
        upstream.script(On::blobs().get(), [Act::Redirect(status, to)]);
        let wharf = Wharf::of(&upstream).await;
        let answer = wharf.get(&blob_path("hub/a/b", &blob)).await;
        assert_eq!((answer.status, answer.body == blob.all()), (200, true), "{status}");
        assert_eq!(cdn.count(&On::cdn()), 1);
        assert!(
            cdn.seen(&On::any())
                .iter()
                .all(|seen| seen.request.header("authorization").is_none())
        );
        assert_eq!(answer.header("location"), None);
    }
}

#[tokio::test]
async fn what_a_client_presents_never_goes_upstream() {
    let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    let secrets = [
        ("Authorization", "Basic c2VjcmV0OnNlY3JldA=="),
        ("Cookie", "session=secret"),
        ("Referer", "http://secret.example/"),
        ("X-Forwarded-For", "10.9.8.7"),
        ("Accept", "application/secret"),
    ];
    for target in [manifest_path("hub/a/b", "v1"), blob_path("hub/a/b", image.layer(0))] {
        let answer = wharf.send("GET", &target, &secrets).await.whole().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("www-authenticate"), None);
    }
    for seen in upstream.seen(&On::any()) {
        let told = format!("{:?}", seen.request.headers).to_lowercase();
        for word in ["basic", "secret", "10.9.8.7"] {
            assert!(!told.contains(word), "{told}");
        }
    }
}

#[tokio::test]
async fn an_https_upstream_is_pulled_from() {
    let (upstream, image) = (Upstream::start_tls(), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Setup::new()
        .mirror(Mirror::of("hub", &upstream))
        .trusting(&upstream)
        .start()
        .await;
    let manifest = wharf.get(&manifest_path("hub/a/b", "v1")).await;
    assert_eq!(manifest.status, 200, "{}", manifest.text());
    let answer = wharf.get(&blob_path("hub/a/b", image.layer(0))).await;
    assert_eq!(
        (answer.status, answer.body == image.layer(0).all()),
        (200, true),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_body_cut_under_tls_is_resumed_too() {
    let (upstream, blob) = (Upstream::start_tls(), Content::seeded(1, 8 * MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs().times(1), [Act::Cut(4 * MIB, How::Fin)]);
    let wharf = Setup::new()
        .mirror(Mirror::of("hub", &upstream))
        .trusting(&upstream)
        .start()
        .await;
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole(), "{}", upstream.story());
    assert!(
        upstream.sent(&On::blobs()) <= blob.len() / 100 * 102,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_502() {
    let (upstream, image) = (Upstream::start_tls(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let trusted = Upstream::start_tls();
    let wharf = Setup::new()
        .mirror(Mirror::of("hub", &upstream))
        .trusting(&trusted)
        .start()
        .await;
    assert_refused(&wharf, &upstream, &manifest_path("hub/a/b", "v1")).await;
    assert_eq!(upstream.count(&On::any()), 0);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let (upstream, plain, blob) = (Upstream::start_tls(), Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    plain.put_blob("any", &blob);
    upstream.script(
        On::any(),
        [Act::Redirect(307, format!("{}/cdn/{{digest}}", plain.url()))],
    );
    let wharf = Setup::new()
        .mirror(Mirror::of("hub", &upstream))
        .trusting(&upstream)
        .start()
        .await;
    assert_refused(&wharf, &upstream, &blob_path("hub/a/b", &blob)).await;
    assert_refused(&wharf, &upstream, &manifest_path("hub/a/b", "v1")).await;
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_nowhere_sensible_is_refused() {
    for to in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "",
        "http://",
        "http://[",
        "//",
        "javascript:1",
    ] {
        let (upstream, blob) = (Upstream::start(), blob());
        upstream.put_blob("a/b", &blob);
        upstream.script(On::blobs(), [Act::Redirect(307, to.to_owned())]);
        let wharf = Wharf::of(&upstream).await;
        let answer = wharf.get(&blob_path("hub/a/b", &blob)).await;
        assert!(
            matches!(answer.status, 502 | 504),
            "{to}: {} {}",
            answer.status,
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_redirect_loop_ends_after_ten() {
    let (upstream, blob) = (Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    let to = format!("{}/cdn/{{digest}}?sig={{n}}", upstream.url());
    upstream.script(On::any(), [Act::Redirect(307, to)]);
    let wharf = Wharf::of(&upstream).await;
    assert_refused(&wharf, &upstream, &blob_path("hub/a/b", &blob)).await;
    assert!(upstream.count(&On::any()) <= 11 + 1, "{}", upstream.story());
}

#[tokio::test]
async fn manifests_are_redirected_too() {
    let (upstream, elsewhere, image) = (Upstream::start(), Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    elsewhere.put_image("a/b", "v1", &image);
    for (reference, to) in [("v1", "v1"), (image.digest(), image.digest())] {
        let to = format!("{}/v2/a/b/manifests/{to}", elsewhere.url());
        upstream.script(On::manifests().of(reference), [Act::Redirect(307, to)]);
    }
    let wharf = Wharf::of(&upstream).await;
    let answer = wharf.get(&manifest_path("hub/a/b", "v1")).await;
    assert_eq!(
        (answer.status, answer.body == image.manifest.all()),
        (200, true),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_realm_of_another_host_is_not_asked_unless_configured() {
    let (upstream, realm, image) = (
        Upstream::with_door(Door::Bearer),
        Upstream::start(),
        Image::oci(1, &[10]),
    );
    upstream.put_image("a/b", "v1", &image);
    let foreign = format!("http://localhost:{}/token", realm.address().port());
    upstream.holds(|registry| registry.realm = Some(foreign.clone()));
    let wharf = Wharf::of(&upstream).await;
    let answer = wharf.get(&manifest_path("hub/a/b", "v1")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UNAVAILABLE"),
        "{}",
        answer.text()
    );
    assert_eq!(realm.connections(), 0, "{}", realm.story());

    let mirror = Mirror::of("hub", &upstream).set("token_realm", &format!("\"{foreign}\""));
    let wharf = Setup::new().mirror(mirror).start().await;
    wharf.get(&manifest_path("hub/a/b", "v1")).await;
    assert!(realm.count(&On::tokens()) > 0, "now it is ours to ask");
}

#[tokio::test]
async fn no_token_and_no_signature_is_ever_logged_or_told() {
    let (upstream, cdn, blob) = (Upstream::with_door(Door::Bearer), Upstream::start(), blob());
    upstream.put_blob("a/b", &blob);
    let to = format!("{}/cdn/{{digest}}?sig=SIGNATURE", cdn.url());
    upstream.script(On::blobs(), [Act::Redirect(307, to)]);
    let wharf = Wharf::of(&upstream).await;
    // The CDN does not have it: an error that could tell where it looked.
    let answer = wharf.get(&blob_path("hub/a/b", &blob)).await;
    assert!(answer.status >= 400);
    for text in [wharf.log(), answer.text()] {
        assert!(!text.contains("SIGNATURE") && !text.contains("token-"), "{text}");
    }
}
