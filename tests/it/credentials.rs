//! Credentials of upstreams: presented where they belong, named when they fail, and shown to nobody.

use crate::support::image::{Image, MIB};
use crate::support::registry::{Door, Registry};
use crate::support::script::{Act, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf, run};
use crate::support::{blob_path, manifest_path};

const PASSWORD: &str = "hunter2-s3cret";
/// `site:hunter2-s3cret`.
const PAIR: &str = "c2l0ZTpodW50ZXIyLXMzY3JldA==";

/// A wharf that says all there is to say, with a mirror that has these lines besides.
async fn wharf(upstream: &Upstream, lines: &[(&str, &str)]) -> Wharf {
    let mirror = Mirror::of("hub", upstream).set("fresh_for", "\"0s\"");
    let mirror = lines.iter().fold(mirror, |mirror, (key, value)| mirror.set(key, value));
    Setup::new().mirror(mirror).variable("RUST_LOG", "trace").start().await
}

fn assert_kept(told: &str) {
    for secret in [PASSWORD, PAIR] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn a_password_goes_to_the_token_endpoint_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.token");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let (upstream, cdn, image) = (
        Upstream::with_door(Door::Bearer),
        Upstream::start(),
        Image::oci(1, &[MIB]),
    );
    upstream.put_image("a/b", "v1", &image);
    cdn.put_image("any", "v1", &image);
    let to = format!("{}/cdn/{{digest}}?sig={{n}}", cdn.url());
    upstream.script(On::blobs().get(), [Act::Redirect(307, to)]);
    let file = format!("{:?}", file.display().to_string());
    let wharf = wharf(&upstream, &[("username", "\"site\""), ("password_file", &file)]).await;
    for target in [manifest_path("hub/a/b", "v1"), blob_path("hub/a/b", image.layer(0))] {
        let answer = wharf.get(&target).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let presented = |on: &On| -> Vec<Option<String>> {
        let seen = upstream.seen(on).into_iter();
        seen.map(|seen| seen.request.header("authorization").map(str::to_owned))
            .collect()
    };
    assert_eq!(presented(&On::tokens()), [Some(format!("Basic {PAIR}"))]);
    let others = presented(&On::manifests()).into_iter().chain(presented(&On::blobs()));
    assert!(others.flatten().all(|value| value.starts_with("Bearer ")));
    let at_cdn = cdn.seen(&On::any());
    assert!(!at_cdn.is_empty() && at_cdn.iter().all(|seen| seen.request.header("authorization").is_none()));
    assert_kept(&wharf.log());
}

#[tokio::test]
async fn credentials_that_fail_are_named_and_what_is_cached_is_served() {
    let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &image);
    let password = format!("\"{PASSWORD}\"");
    let wharf = wharf(&upstream, &[("username", "\"site\""), ("password", &password)]).await;
    let cached = manifest_path("hub/a/b", "v1");
    assert_eq!(wharf.get(&cached).await.status, 200);

    upstream.holds(Registry::revoke_tokens);
    upstream.script(On::tokens(), [Act::Status(401)]);
    let stale = wharf.get(&cached).await;
    assert_eq!((stale.status, stale.body == wharf.get(&cached).await.body), (200, true));
    let answer = wharf.get(&manifest_path("hub/a/b", "v2")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "UNAVAILABLE"));
    let expected = "answered 401: it does not accept the credentials of mirror \\\"hub\\\" (user \\\"site\\\")";
    assert!(answer.text().contains(expected), "{}", answer.text());
    assert_kept(&answer.text());
    assert_kept(&wharf.log());
}

#[tokio::test]
async fn a_source_that_gives_nothing_is_told_to_clients_by_its_key_and_to_the_log_by_its_path() {
    let upstream = Upstream::with_door(Door::Bearer);
    let wharf = wharf(&upstream, &[("docker_config", "\"/no/such/config.json\"")]).await;
    let answer = wharf.get(&manifest_path("hub/a/b", "v1")).await;
    assert_eq!(answer.status, 502);
    let expected = "mirror.\\\"hub\\\".docker_config gives no credentials";
    assert!(answer.text().contains(expected), "{}", answer.text());
    assert!(!answer.text().contains("/no/such"), "{}", answer.text());
    wharf.says("/no/such/config.json cannot be read").await;
    assert_eq!(upstream.count(&On::tokens()), 0);
}

#[tokio::test]
async fn config_check_shows_no_password() {
    let check = ["config", "check", "--config", "wharf.toml"];
    let good = format!("[mirror.'quay.io']\nusername = 'site'\npassword = '{PASSWORD}'\n");
    let (status, said) = run(&check, &good).await;
    assert!(status.success() && said.contains("password = \"********\""), "{said}");
    assert_kept(&said);
    for bad in [
        format!("[mirror.'quay.io']\npassword = '{PASSWORD}'\n"),
        format!("[mirror.'quay.io']\nusername = 'site'\npassword = {PASSWORD}\n"),
        format!("[mirror.'quay.io']\nusername = 'site'\npassword = ['{PASSWORD}']\n"),
        format!("[mirror.'quay.io']\nendpoints = ['https://site:{PASSWORD}@quay.io']\n"),
        format!("[mirror.'quay.io']\ntoken_realm = 'https://site:{PASSWORD}@quay.io/token'\n"),
        format!("[[mirror.'quay.io']]\npassword = '{PASSWORD}'\n"),
    ] {
        let (status, said) = run(&check, &bad).await;
        assert!(!status.success() && said.contains("wharf.toml"), "{said}");
        assert_kept(&said);
    }
}
