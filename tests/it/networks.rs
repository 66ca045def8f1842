//! The ways to an upstream: certificates of one's own, proxies, and what goes around them.

use std::time::Duration;

use crate::support::gateway::{Asked, Gateway, Speaks};
use crate::support::image::{Content, Image, MIB};
use crate::support::proxy::Proxy;
use crate::support::registry::Door;
use crate::support::script::{Act, How, On};
use crate::support::tls::{Authority, Files, Front};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf, run};
use crate::support::{blob_path, manifest_path, soon};

/// A name that is nowhere in any DNS (RFC 6761).
const NAME: &str = "registry.invalid";

fn upstream() -> (Upstream, Image) {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &image);
    (upstream, image)
}

async fn pulls(wharf: &Wharf, mirror: &str, image: &Image) {
    let name = format!("{mirror}/a/b");
    for (target, content) in [
        (manifest_path(&name, "v1"), &image.manifest),
        (blob_path(&name, image.layer(0)), image.layer(0)),
    ] {
        let answer = wharf.get(&target).await;
        assert_eq!(
            (answer.status, answer.body == content.all()),
            (200, true),
            "{target}: {}",
            answer.text()
        );
    }
}

/// What a 502 for this mirror says.
async fn refusal(wharf: &Wharf, mirror: &str) -> String {
    let answer = wharf.get(&manifest_path(&format!("{mirror}/a/b"), "v1")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UNAVAILABLE"),
        "{}",
        answer.text()
    );
    answer.text()
}

#[tokio::test]
async fn a_ca_file_says_whom_to_believe_and_may_change() {
    let ((upstream, image), files, old) = (upstream(), Files::new(), Authority::new());
    let front = Front::start(&old.issue(&["127.0.0.1"]), None, upstream.address()).await;
    let ca_file = files.write("ca.pem", &old.pem());
    let believing = Mirror::at("hub", &front.url()).set("ca_file", &ca_file);
    let believing = believing.set("fresh_for", "\"1ms\"");
    let doubting = Mirror::at("other", &front.url());
    let wharf = Setup::new().mirror(believing).mirror(doubting).start().await;
    pulls(&wharf, "hub", &image).await;
    let said = refusal(&wharf, "other").await;
    assert!(said.contains("no TLS session"), "{said}");

    // The registry's certificates are renewed by another authority; wharf hears of it by the file.
    let new = Authority::new();
    files.write("ca.pem", &new.pem());
    let mut steps = tokio::time::interval(Duration::from_millis(20));
    let heard = async {
        while wharf.get(&manifest_path("hub/c/d", "v1")).await.status == 404 {
            steps.tick().await;
        }
    };
    soon("the old certificate to be refused", heard).await;
    pulls(&wharf, "hub", &image).await;
}

#[tokio::test]
async fn a_registry_that_demands_a_certificate_is_shown_one() {
    let ((upstream, image), files) = (upstream(), Files::new());
    let (servers, clients) = (Authority::new(), Authority::new());
    let front = Front::start(&servers.issue(&["127.0.0.1"]), Some(&clients), upstream.address()).await;
    let ca_file = files.write("ca.pem", &servers.pem());
    let client = clients.issue(&["wharf"]);
    let (certificate, key) = (
        files.write("client.pem", &client.certificate),
        files.write("client.key", &client.key),
    );
    let known = Mirror::at("hub", &front.url()).set("ca_file", &ca_file);
    let known = known.set("client_cert", &certificate).set("client_key", &key);
    let nobody = Mirror::at("other", &front.url()).set("ca_file", &ca_file);
    let wharf = Setup::new().mirror(known).mirror(nobody).start().await;
    pulls(&wharf, "hub", &image).await;
    let said = refusal(&wharf, "other").await;
    assert!(said.contains(&front.address().to_string()), "{said}");
}

#[tokio::test]
async fn skip_verify_works_and_is_said_aloud() {
    let ((upstream, image), nobody) = (upstream(), Authority::new());
    let front = Front::start(&nobody.issue(&["elsewhere.example"]), None, upstream.address()).await;
    let mirror = Mirror::at("hub", &front.url()).set("skip_verify", "true");
    let wharf = Setup::new().mirror(mirror).start().await;
    pulls(&wharf, "hub", &image).await;
    let warning = "mirror.\"hub\".skip_verify = true: no certificate is checked";
    wharf.says(warning).await;

    let toml = "[mirror.hub]\nendpoints = [\"https://h\"]\nskip_verify = true\n[mirror.plain]\nendpoints = [\"http://10.0.0.1\"]";
    let (status, said) = run(&["config", "check", "--config", "wharf.toml"], toml).await;
    assert!(status.success(), "it may be meant");
    for warning in [warning, "mirror.\"plain\".endpoints: http://10.0.0.1 is plain http"] {
        assert!(said.contains(&format!("wharf: warning: {warning}")), "{said}");
    }
}

#[tokio::test]
async fn the_environments_proxies_are_used_and_hear_who_wharf_is_and_nobody_else_does() {
    let ((upstream, image), authority) = (upstream(), Authority::new());
    let front = Front::start(&authority.issue(&[NAME]), None, upstream.address()).await;
    let secure = Gateway::locked(Speaks::Http, "site:hunter2", front.address()).await;
    let plain = Gateway::locked(Speaks::Http, "site:hunter2", upstream.address()).await;
    let files = Files::new();
    let ca_file = files.write("ca.pem", &authority.pem());
    let https = Mirror::at("https", &format!("https://{NAME}")).set("ca_file", &ca_file);
    let wharf = Setup::new()
        .mirror(https)
        .mirror(Mirror::at("http", &format!("http://{NAME}:5000")))
        .variable("HTTPS_PROXY", &format!("http://site:hunter2@{}", secure.address()))
        .variable("http_proxy", &format!("site:hunter2@{}", plain.address()))
        .start()
        .await;
    pulls(&wharf, "https", &image).await;
    pulls(&wharf, "http", &image).await;
    let tunnel = Asked {
        how: "CONNECT".to_owned(),
        target: format!("{NAME}:443"),
    };
    assert_eq!(secure.asked(), [tunnel], "one connection for both");
    assert_eq!(plain.targets(), [format!("{NAME}:5000")]);
    for seen in upstream.seen(&On::any()) {
        assert_eq!(seen.request.header("proxy-authorization"), None);
        assert_eq!(seen.request.header("authorization"), None);
    }
    wharf.says("through the environment's proxies: ").await;
    let log = wharf.log();
    assert!(
        log.contains("through the environment's proxies: ") && !log.contains("hunter2"),
        "{log}"
    );
}

#[tokio::test]
async fn what_no_proxy_names_is_asked_directly() {
    let (upstream, image) = upstream();
    let gateway = Gateway::open(Speaks::Http, upstream.address()).await;
    let setup = |no_proxy: &str| {
        Setup::new()
            .mirror(Mirror::at("named", &format!("http://{NAME}")))
            .mirror(Mirror::of("near", &upstream))
            .variable("ALL_PROXY", &format!("http://{}", gateway.address()))
            .variable("NO_PROXY", no_proxy)
    };
    let wharf = setup("other.invalid").start().await;
    pulls(&wharf, "named", &image).await;
    let asked = gateway.asked();
    pulls(&wharf, "near", &image).await;
    assert_eq!(gateway.asked(), asked, "this machine is asked without a proxy");
    let wharf = setup("x, .invalid").start().await;
    let said = refusal(&wharf, "named").await;
    assert!(said.contains("does not resolve") && !said.contains("proxy"), "{said}");
    assert_eq!(gateway.asked(), asked);
}

#[tokio::test]
async fn a_mirrors_own_proxy_is_the_last_word() {
    let (upstream, image) = upstream();
    let [own, everybodys] = [
        Gateway::open(Speaks::Http, upstream.address()).await,
        Gateway::open(Speaks::Http, upstream.address()).await,
    ];
    let url = |gateway: &Gateway| format!("\"http://{}\"", gateway.address());
    let named = |key: &str| Mirror::at(key, &format!("http://{NAME}"));
    let wharf = Setup::new()
        .table(
            "upstream",
            &format!("proxy = {}\nno_proxy = [\"127.0.0.0/8\"]", url(&everybodys)),
        )
        .mirror(named("site"))
        .mirror(named("own").set("proxy", &url(&own)))
        .mirror(Mirror::of("near", &upstream).set("proxy", &url(&own)))
        .mirror(named("none").set("proxy", "\"none\""))
        .variable("HTTP_PROXY", "http://127.0.0.1:1")
        .start()
        .await;
    pulls(&wharf, "site", &image).await;
    assert_eq!((everybodys.asked().len(), own.asked().len()), (3, 0));
    pulls(&wharf, "own", &image).await;
    assert_eq!(own.targets(), [NAME]);
    pulls(&wharf, "near", &image).await;
    assert_eq!(own.targets(), [upstream.address().to_string(), NAME.to_owned()]);
    let said = refusal(&wharf, "none").await;
    assert!(said.contains("does not resolve"), "{said}");
    assert_eq!(everybodys.asked().len(), 3);
}

#[tokio::test]
async fn a_socks_proxy_looks_names_up_or_gets_addresses() {
    let ((upstream, image), authority) = (upstream(), Authority::new());
    let front = Front::start(&authority.issue(&[NAME]), None, upstream.address()).await;
    let there = Gateway::locked(Speaks::Socks, "site:hunter2", front.address()).await;
    let here = Gateway::open(Speaks::Socks, upstream.address()).await;
    let files = Files::new();
    let ca_file = files.write("ca.pem", &authority.pem());
    let remote = Mirror::at("there", &format!("https://{NAME}"))
        .set("ca_file", &ca_file)
        .set("proxy", &format!("\"socks5h://site:hunter2@{}\"", there.address()));
    let local = Mirror::at("here", "http://localhost:5000").set("proxy", &format!("\"socks5://{}\"", here.address()));
    let wharf = Setup::new().mirror(remote).mirror(local).start().await;
    pulls(&wharf, "there", &image).await;
    pulls(&wharf, "here", &image).await;
    let asked = |how: &str, target: &str| Asked {
        how: how.to_owned(),
        target: target.to_owned(),
    };
    assert_eq!(there.asked(), [asked("name", &format!("{NAME}:443"))]);
    assert!(
        here.asked().iter().all(|asked| asked.how == "address"),
        "{:?}",
        here.asked()
    );
}

#[tokio::test]
async fn a_proxy_that_is_down_or_wants_another_password_is_named_and_what_is_cached_is_served() {
    let (upstream, image) = upstream();
    let (http, socks) = (Speaks::Http, Speaks::Socks);
    let [http, socks] = [
        Gateway::locked(http, "site:hunter2", upstream.address()).await,
        Gateway::locked(socks, "site:hunter2", upstream.address()).await,
    ];
    let through = |key: &str, endpoint: &str, proxy: &str| {
        let mirror = Mirror::at(key, &format!("{endpoint}://{NAME}"));
        mirror.set("proxy", &format!("\"{proxy}\"")).set("fresh_for", "\"1ms\"")
    };
    let good = format!("http://site:hunter2@{}", http.address());
    let bad = format!("http://site:swordfish@{}", http.address());
    let bad_socks = format!("socks5h://site:swordfish@{}", socks.address());
    let wharf = Setup::new()
        .mirror(through("good", "http", &good))
        .mirror(through("plain", "http", &bad))
        .mirror(through("tunnel", "https", &bad))
        .mirror(through("socks", "https", &bad_socks))
        .mirror(through("down", "https", "http://127.0.0.1:1"))
        .start()
        .await;
    let proxy = format!("{NAME} through the proxy {}", http.address());
    let said = refusal(&wharf, "plain").await;
    assert!(
        said.contains(&proxy) && said.contains("the proxy wants a user and a password"),
        "{said}"
    );
    let said = refusal(&wharf, "tunnel").await;
    assert!(
        said.contains(&proxy) && said.contains("proxy authorization required"),
        "{said}"
    );
    let said = refusal(&wharf, "socks").await;
    assert!(said.contains("no connection through the proxy"), "{said}");
    let said = refusal(&wharf, "down").await;
    assert!(
        said.contains("through the proxy 127.0.0.1:1 ") && said.contains("refused"),
        "{said}"
    );
    assert!(!wharf.log().contains("swordfish"));

    pulls(&wharf, "good", &image).await;
    drop(http);
    pulls(&wharf, "good", &image).await;
}

#[tokio::test]
async fn behind_a_proxy_an_upstream_may_not_point_to_addresses_inside_by_number() {
    let (upstream, inner, blob) = (Upstream::start(), Upstream::start(), Content::seeded(1, MIB));
    for holder in [&upstream, &inner] {
        holder.put_blob("a/b", &blob);
    }
    let gateway = Gateway::open(Speaks::Http, upstream.address()).await;
    let named = Mirror::at("hub", &format!("http://{NAME}")).set("proxy", &format!("\"http://{}\"", gateway.address()));
    let wharf = Setup::new().mirror(named).start().await;
    let port = inner.address().port();
    for host in ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "localhost"] {
        upstream.heal();
        let to = format!("http://{host}:{port}/v2/a/b/blobs/{{digest}}");
        upstream.script(On::blobs(), [Act::Redirect(307, to)]);
        let answer = wharf.get(&blob_path("hub/a/b", &blob)).await;
        assert_eq!(answer.status, 502, "{host}: {}", answer.text());
        assert!(
            answer.text().contains("may not point there"),
            "{host}: {}",
            answer.text()
        );
    }
    assert_eq!(inner.connections(), 0);
    assert_eq!(gateway.targets(), [NAME]);
    // A name is the proxy's to judge.
    upstream.heal();
    upstream.script(
        On::blobs(),
        [Act::Redirect(307, "http://cdn.invalid/cdn/{digest}".to_owned())],
    );
    let answer = wharf.get(&blob_path("hub/a/b", &blob)).await;
    assert_eq!(
        (answer.status, answer.body == blob.all()),
        (200, true),
        "{}",
        answer.text()
    );
    assert_eq!(gateway.targets(), ["cdn.invalid", NAME]);
}

#[tokio::test]
async fn tokens_come_through_the_proxy_too() {
    let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &image);
    let gateway = Gateway::open(Speaks::Http, upstream.address()).await;
    let mirror = Mirror::of("hub", &upstream).set("proxy", &format!("\"http://{}\"", gateway.address()));
    let wharf = Setup::new().mirror(mirror).start().await;
    pulls(&wharf, "hub", &image).await;
    assert!(upstream.count(&On::tokens()) > 0);
    assert_eq!(gateway.asked().len(), upstream.count(&On::any()));
}

#[tokio::test]
async fn a_tunnel_that_breaks_in_the_middle_of_a_blob_is_made_anew() {
    let (upstream, blob, authority) = (Upstream::start(), Content::seeded(1, 8 * MIB), Authority::new());
    upstream.put_blob("a/b", &blob);
    let front = Front::start(&authority.issue(&[NAME]), None, upstream.address()).await;
    let breaking = Proxy::start(front.address(), How::Rst, &[3 * MIB, 2 * MIB]).await;
    let gateway = Gateway::open(Speaks::Http, breaking.address()).await;
    let mirror = Mirror::at("hub", &format!("https://{NAME}"))
        .set("skip_verify", "true")
        .set("proxy", &format!("\"http://{}\"", gateway.address()));
    let wharf = Setup::new().mirror(mirror).start().await;
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole(), "{}", upstream.story());
    assert_eq!(gateway.asked().len(), 3);
}

#[tokio::test]
async fn mirrors_with_equal_settings_share_connections_and_others_do_not() {
    let ((upstream, image), files) = (upstream(), Files::new());
    let authority = Authority::new();
    let front = Front::start(&authority.issue(&["127.0.0.1"]), None, upstream.address()).await;
    let paths = ["one.pem", "two.pem"].map(|name| files.write(name, &authority.pem()));
    let mirror = |key: &str| Mirror::at(key, &front.url());
    let wharf = Setup::new()
        .mirror(mirror("one").set("ca_file", &paths[0]))
        .mirror(mirror("two").set("ca_file", &paths[1]))
        .mirror(mirror("other").set("skip_verify", "true"))
        .start()
        .await;
    for (mirror, connections) in [("one", 1), ("two", 1), ("other", 2)] {
        let answer = wharf.get(&manifest_path(&format!("{mirror}/a/b"), "v1")).await;
        assert_eq!(
            (answer.status, answer.body == image.manifest.all()),
            (200, true),
            "{}",
            answer.text()
        );
        assert_eq!(upstream.connections(), connections, "{mirror}");
    }
}
