//! SIGHUP: mirrors, names and access are read again while all goes on, and a file that cannot work changes nothing.

use std::process::ExitStatus;

use serde_json::Value;

use crate::support::client::Ended;
use crate::support::image::{Content, Image, MIB};
use crate::support::registry::Door;
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const KEY: &str = "hub.example";

fn one(upstream: &Upstream) -> Setup {
    Setup::new().mirror(Mirror::of(KEY, upstream))
}

#[tokio::test]
async fn a_transfer_under_way_ends_whole_although_its_mirror_is_gone() {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, 4 * MIB), Gate::at(MIB));
    upstream.put_blob("a/b", &blob);
    // It breaks after the reload, and is resumed.
    let breaks = [Act::Hold(gate.clone()), Act::Cut(2 * MIB, How::Rst)];
    upstream.script(On::blobs().times(1), breaks);
    let wharf = one(&upstream).start().await;
    let target = blob_path(&format!("{KEY}/a/b"), &blob);
    let mut answer = wharf.open(&target).await;
    assert_eq!(answer.exactly(MIB).await, blob.bytes(0..MIB));

    wharf.reload(&Setup::new()).await;
    let gone = wharf.get(&target).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "NAME_UNKNOWN"));
    gate.open();
    assert_eq!(answer.rest().await, (blob.bytes(MIB..blob.len()), Ended::Clean));
    assert_eq!(upstream.count(&On::blobs()), 2, "{}", upstream.story());

    wharf.reload(&one(&upstream)).await;
    wharf.landed(&target).await;
    assert_eq!(wharf.get(&target).await.body, blob.all());
    assert_eq!(
        upstream.count(&On::blobs()),
        2,
        "what came is kept\n{}",
        upstream.story()
    );
}

#[tokio::test]
async fn a_mirror_that_is_new_serves_and_one_that_is_gone_is_a_404() {
    let (old, new, image) = (Upstream::start(), Upstream::start(), Image::oci(1, &[1000]));
    old.put_image("a/b", "v1", &image);
    new.put_image("a/b", "v1", &image);
    let wharf = one(&old).start().await;
    let (gone, added) = (
        manifest_path("hub.example/a/b", "v1"),
        manifest_path("new.example/a/b", "v1"),
    );
    let bare = manifest_path("a/b", "v1");
    assert_eq!((wharf.status(&gone).await, wharf.status(&added).await), (200, 404));
    let mirror = Mirror::of("new.example", &new)
        .set("ns", "[\"other.example\"]")
        .set("hosts", "[\"new.site.example\"]");
    let said = wharf.reload(&Setup::new().mirror(mirror)).await;
    assert!(said.contains("mirroring ") && said.contains("new.example"), "{said}");
    let asked = old.count(&On::any());
    assert_eq!((wharf.status(&gone).await, wharf.status(&added).await), (404, 200));
    assert_eq!(wharf.status(&format!("{bare}?ns=other.example")).await, 200);
    let by_host = wharf.send("GET", &bare, &[("Host", "new.site.example")]).await;
    assert_eq!(by_host.status, 200);
    assert_eq!(old.count(&On::any()), asked);
}

/// Its names are hosted ones from then on: they have no dot.
#[tokio::test]
async fn what_a_mirror_left_behind_is_nobodys() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[1000]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    let targets = [
        manifest_path("hub/a/b", "v1"),
        manifest_path("hub/a/b", image.digest()),
        blob_path("hub/a/b", image.layer(0)),
        "/v2/hub/a/b/tags/list".to_owned(),
        format!("/v2/hub/a/b/referrers/{}", image.digest()),
    ];
    for target in &targets {
        assert_eq!(wharf.status(target).await, 200, "{target}");
    }
    wharf.landed(&targets[2]).await;
    wharf.reload(&Setup::new()).await;
    for target in &targets[..4] {
        assert_eq!(wharf.status(target).await, 404, "{target}");
    }
    wharf.push_image("hub/a/b", "v2", &image).await;
    assert_eq!(wharf.status(&targets[1]).await, 200, "it has been pushed");
    assert_eq!(wharf.get(&targets[2]).await.body, image.layer(0).all());
}

#[tokio::test]
async fn a_mirror_that_stays_keeps_its_token_and_its_connection() {
    let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[10]));
    for tag in ["v1", "v2"] {
        upstream.put_image("a/b", tag, &image);
    }
    let wharf = one(&upstream).start().await;
    let get = async |tag: &str| wharf.get(&manifest_path("hub.example/a/b", tag)).await.status;
    assert_eq!(get("v1").await, 200);
    let connections = upstream.connections();
    let more = || one(&upstream).mirror(Mirror::at("more.example", "http://127.0.0.1:9"));
    for setup in [more(), more().server("names", "[\"w.example\"]")] {
        wharf.reload(&setup).await;
    }
    assert_eq!(get("v2").await, 200);
    assert_eq!(upstream.count(&On::tokens()), 1, "{}", upstream.story());
    assert_eq!(upstream.connections(), connections);
}

#[tokio::test]
async fn a_realm_that_is_no_longer_trusted_is_not_used_for_what_it_gave_before() {
    let (upstream, image) = (Upstream::with_door(Door::Bearer), Image::oci(1, &[10]));
    for tag in ["v1", "v2"] {
        upstream.put_image("a/b", tag, &image);
    }
    let wharf = one(&upstream).start().await;
    assert_eq!(wharf.get(&manifest_path("hub.example/a/b", "v1")).await.status, 200);
    let mirror = Mirror::of(KEY, &upstream).set("token_realm", "\"http://127.0.0.1:9/token\"");
    wharf.reload(&Setup::new().mirror(mirror)).await;
    let answer = wharf.get(&manifest_path("hub.example/a/b", "v2")).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("token_realm"), "{}", answer.text());
    assert_eq!(upstream.count(&On::tokens()), 1, "{}", upstream.story());
    let kept = upstream.seen(&On::any().of("v2"));
    assert!(kept.iter().all(|seen| seen.request.header("authorization").is_none()));
}

#[tokio::test]
async fn whoever_asked_us_to_wait_is_not_asked_for_the_sake_of_another_rule() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let wait = [Act::Status(429), Act::Header("retry-after", "3600".to_owned())];
    upstream.script(On::any(), wait);
    let wharf = one(&upstream).start().await;
    let target = manifest_path("hub.example/a/b", "v1");
    assert_eq!(wharf.get(&target).await.status, 429);
    let asked = upstream.count(&On::any());
    for (key, value) in [
        ("deny", "[\"a/secret\"]"),
        ("stale_for", "\"1h\""),
        ("when_deleted", "\"forget\""),
        ("tag", "[{ pattern = \"v*\", fresh_for = \"forever\" }]"),
        ("segments", "4"),
        ("max_connections", "1"),
        ("max_rate", "\"1MiB\""),
    ] {
        let mirror = Mirror::of(KEY, &upstream).set(key, value);
        wharf.reload(&Setup::new().mirror(mirror)).await;
        assert_eq!(wharf.get(&target).await.status, 429);
        assert_eq!(upstream.count(&On::any()), asked, "{key}: {}", upstream.story());
    }
}

#[tokio::test]
async fn names_and_access_are_read_again() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = one(&upstream).start().await;
    wharf.push_image("team/app", "v1", &image).await;
    let setup = one(&upstream)
        .server("names", "[\"w.example:5000\"]")
        .table("hosted", "namespaces = [\"team/*\"]")
        .table("access", "anonymous = [\"pull\"]");
    wharf.reload(&setup).await;
    let push = |name: &str| {
        let target = format!("/v2/{name}/blobs/uploads/");
        let wharf = &wharf;
        async move {
            wharf
                .sends("POST", &target, &[("Content-Length", "0")], b"")
                .await
                .status
        }
    };
    assert_eq!((push("team/app").await, push("other/app").await), (403, 404));
    let pull = format!("{}?ns=w.example:5000", manifest_path("team/app", "v1"));
    assert_eq!(wharf.status(&pull).await, 200);
    wharf.reload(&one(&upstream)).await;
    assert_eq!((push("team/app").await, push("other/app").await), (202, 202));
    assert_eq!(wharf.status(&pull).await, 404);
}

/// What a start with this file says: all but the log's own words.
async fn refused_start(wharf: &Wharf) -> (ExitStatus, String) {
    let file = wharf.file().display().to_string();
    let (status, said) = wharf.run(&["serve", "--config", &file]).await;
    (status, said.trim().strip_prefix("wharf: ").unwrap().to_owned())
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_what_a_start_says() {
    let (upstream, image) = (Upstream::start(), Image::oci(1, &[10]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = one(&upstream).start().await;
    // By the path that a start names, whoever starts it.
    let good = std::fs::read_to_string(wharf.file()).unwrap();
    let more = "\n[mirror.\"new.example\"]\nendpoints = [\"http://127.0.0.1:9\"]\n";
    for bad in [
        format!("{good}{more}nonsense = 1\n"),
        format!("{good}{more}fresh_for = \"often\"\n"),
        format!("{good}{more}ns = [\"hub.example\"]\n"),
        format!("{good}{more}ca_file = \"/no/such/file\"\n"),
        format!("{good}{more}deny = [\"new.example/x\"]\n"),
        format!("{good}{more}[upstream]\nproxy = \"ftp://user:hunter2@x\"\n"),
        format!("{good}{more}[hosted]\nnamespaces = [\"A\"]\n"),
        good.replace("path = ", "path = \"/dev/null\" #") + more,
        "not toml".to_owned(),
    ] {
        std::fs::write(wharf.file(), &bad).unwrap();
        let said = wharf.reread().await;
        assert!(
            said.contains("ERROR") && said.contains("the configuration stays as it was"),
            "{said}"
        );
        let (status, at_start) = refused_start(&wharf).await;
        assert_eq!(status.code(), Some(2));
        let at_start = at_start.split_once("wharf.toml").unwrap().1;
        let first = at_start.split(": ").take(3).collect::<Vec<_>>().join(": ");
        assert!(said.contains(&first), "{said}\ndoes not say\n{first}");
        assert!(!said.contains("hunter2"), "{said}");
        assert_eq!(
            wharf.status(&manifest_path("hub.example/a/b", "v1")).await,
            200,
            "{bad}"
        );
        assert_eq!(
            wharf.status(&manifest_path("new.example/a/b", "v1")).await,
            404,
            "{bad}"
        );
    }
    std::fs::remove_file(wharf.file()).unwrap();
    assert!(wharf.reread().await.contains("cannot be read"));
    std::fs::write(wharf.file(), format!("{good}{more}")).unwrap();
    assert!(wharf.reread().await.contains("has been read again"));
    assert_eq!(wharf.status(&manifest_path("new.example/a/b", "v1")).await, 502);
}

#[tokio::test]
async fn what_needs_a_restart_is_said_once_for_each_key_and_stays() {
    let upstream = Upstream::start();
    let wharf = one(&upstream).start().await;
    let setup = || {
        let setup = one(&upstream)
            .server("drain", "\"7s\"")
            .server("client_silence", "\"8s\"");
        setup.table("hosted", "grace = \"2h\"\nnamespaces = [\"team/*\"]")
    };
    for again in [false, true] {
        let said = wharf.reload(&setup()).await;
        for key in ["server.drain", "server.client_silence", "hosted.grace"] {
            let line = format!("{key} has changed: restart needed");
            assert_eq!(said.matches(&line).count(), 1, "again: {again}: {said}");
        }
        assert_eq!(said.matches("restart needed").count(), 3, "{said}");
    }
    assert!(!wharf.reload(&one(&upstream)).await.contains("restart needed"));
}

#[tokio::test]
async fn what_is_dangerous_is_said_again() {
    let upstream = Upstream::start();
    let wharf = one(&upstream).start().await;
    assert!(!wharf.log().contains("skip_verify"));
    let mirror = Mirror::of(KEY, &upstream).set("skip_verify", "true");
    for _ in 0..2 {
        let said = wharf.reload(&Setup::new().mirror(mirror.clone())).await;
        assert!(
            said.contains("WARN") && said.contains("mirror.\"hub.example\".skip_verify"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn many_signals_lose_nothing() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, 8 * MIB));
    upstream.put_blob("a/b", &blob);
    let wharf = one(&upstream).start().await;
    let target = blob_path("hub.example/a/b", &blob);
    let pulls = async {
        for n in 0..20_u64 {
            let answer = wharf.range(&target, &format!("bytes={}-", n * MIB / 4)).await;
            assert_eq!((answer.status, answer.ended), (206, Ended::Clean));
        }
    };
    let reloads = async {
        for n in 0..20_u8 {
            let mirror = Mirror::of(KEY, &upstream).set("revalidate", &format!("\"{}s\"", n + 1));
            wharf.reload(&Setup::new().mirror(mirror)).await;
        }
    };
    tokio::join!(pulls, reloads);
    assert_eq!(upstream.sent(&On::blobs()), blob.len(), "{}", upstream.story());
    let catalog = wharf.get("/v2/_catalog").await;
    let listed: Value = serde_json::from_slice(&catalog.body).unwrap();
    assert_eq!(listed["repositories"][0], "hub.example/a/b");
}
