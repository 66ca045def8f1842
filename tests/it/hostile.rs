//! Upstreams and clients that mean harm: bounded in memory and time, told as a 502 that names the cause, and nobody is dialled who
//! is not configured. Lists without end are in `proxied_lists`, redirects in `guards` and `networks`, manifests in `bad_manifests`.

use crate::support::client::Ended;
use crate::support::image::{Content, Image, MIB};
use crate::support::registry::Door;
use crate::support::script::{Act, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path};

const TAGS: &str = "/v2/hub/a/b/tags/list";

struct Harbour {
    upstream: Upstream,
    wharf: Wharf,
    image: Image,
}

async fn harbour(door: Door) -> Harbour {
    let (upstream, image) = (Upstream::with_door(door), Image::oci(1, &[MIB]));
    upstream.put_image("a/b", "v1", &image);
    let wharf = Wharf::of(&upstream).await;
    Harbour { upstream, wharf, image }
}

impl Harbour {
    /// One of each kind of question.
    fn questions(&self) -> [String; 4] {
        [
            manifest_path("hub/a/b", "v1"),
            manifest_path("hub/a/b", self.image.digest()),
            blob_path("hub/a/b", self.image.layer(0)),
            TAGS.to_owned(),
        ]
    }

    async fn assert_refused(&self, target: &str, cause: &str) {
        let answer = self.wharf.get(target).await;
        let told = format!("{target}: {} {}", answer.status, answer.text());
        assert_eq!((answer.status, answer.code().as_str()), (502, "UNAVAILABLE"), "{told}");
        assert!(answer.text().contains(cause), "{told}");
        assert!(answer.text().contains(&self.upstream.address().to_string()), "{told}");
    }

    /// It has taken no more than `bytes`, and remembers no more than it may.
    fn assert_bounded(&self, bytes: u64) {
        let (sent, peak) = (self.upstream.sent(&On::any()), self.wharf.memory("VmHWM"));
        assert!(sent <= bytes, "{sent} bytes:\n{}", self.upstream.story());
        assert!(peak < 128 * MIB, "{} MiB", peak / MIB);
    }
}

#[tokio::test]
async fn a_head_without_end_is_not_read_to_the_end() {
    for (door, on) in [(Door::Open, On::any()), (Door::Bearer, On::tokens())] {
        let harbour = harbour(door).await;
        harbour.upstream.script(on, [Act::EndlessHead]);
        for target in harbour.questions() {
            harbour
                .assert_refused(&target, "the connection broke before an answer")
                .await;
        }
        harbour.assert_bounded(16 * MIB);
    }
}

#[tokio::test]
async fn a_token_without_end_is_not_read_to_the_end() {
    for framing in [vec![], vec![Act::Chunked], vec![Act::CloseDelimited]] {
        let harbour = harbour(Door::Bearer).await;
        let acts = [vec![Act::Body(Content::endless())], framing].concat();
        harbour.upstream.script(On::tokens(), acts);
        for target in harbour.questions() {
            harbour.assert_refused(&target, "larger than 65536 bytes").await;
        }
        harbour.assert_bounded(16 * MIB);
    }
}

#[tokio::test]
async fn what_is_packed_is_not_unpacked() {
    for coding in ["gzip", "x-gzip, deflate", "br", "zstd"] {
        for (door, on) in [(Door::Open, On::any().get()), (Door::Bearer, On::tokens())] {
            let harbour = harbour(door).await;
            let packed = Act::Header("content-encoding", coding.to_owned());
            harbour
                .upstream
                .script(on, [packed, Act::Body(Content::endless()), Act::Chunked]);
            for target in harbour.questions() {
                harbour.assert_refused(&target, "the content is encoded").await;
            }
            harbour.assert_bounded(16 * MIB);
        }
    }
}

/// It may mean a body that ends with its connection, which never ends here.
#[tokio::test]
async fn a_transfer_coding_that_nobody_knows_makes_no_content() {
    for coding in ["gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity"] {
        let (upstream, image) = (Upstream::start(), Image::oci(1, &[MIB]));
        upstream.put_image("a/b", "v1", &image);
        upstream.script(On::any().get(), [Act::Header("transfer-encoding", coding.to_owned())]);
        let mirror = Mirror::of("hub", &upstream).set("silence", "\"300ms\"");
        let wharf = Setup::new().mirror(mirror).start().await;
        for (target, content) in [
            (manifest_path("hub/a/b", "v1"), &image.manifest),
            (blob_path("hub/a/b", image.layer(0)), image.layer(0)),
        ] {
            let answer = wharf.get(&target).await;
            let told = format!("{coding} {target}: {} {:?}", answer.status, answer.ended);
            assert!(matches!(answer.status, 200 | 502 | 504), "{told}");
            let is_taken_for_content = answer.status == 200 && answer.ended == Ended::Clean;
            assert!(!is_taken_for_content || answer.body == content.all(), "{told}");
        }
    }
}

#[tokio::test]
async fn a_challenge_leads_nowhere_but_to_where_tokens_may_come_from() {
    let trap = Upstream::start();
    let harbour = harbour(Door::Open).await;
    let (own, other) = (
        harbour.upstream.address(),
        format!("localhost:{}", trap.address().port()),
    );
    for challenge in [
        format!("Bearer realm=\"http://{other}/token\""),
        format!("Bearer realm=\"http://{own}@{other}/token\""),
        format!("Bearer realm=\"http://{own}\\@{other}/token\""),
        format!("Bearer realm=\"//{other}/token\""),
        format!("Bearer realm=\"http://{other}/token\",realm=\"http://{own}/token\""),
        format!("Basic realm=\"x\", Bearer realm=\"http://{other}/token\""),
        format!("Bearer realm=\"http://{other}#http://{own}/token\""),
        "Bearer realm=\"file:///etc/passwd\"".to_owned(),
        "Bearer realm=\"gopher://127.0.0.1:1/x\"".to_owned(),
        "Bearer realm=\"\"".to_owned(),
        format!("Bearer realm=\"http://{own}/{}\"", "x".repeat(100_000)),
        "Bearer ".repeat(5000),
    ] {
        harbour.upstream.heal();
        let acts = [Act::Status(401), Act::Header("www-authenticate", challenge.clone())];
        harbour.upstream.script(On::any(), acts);
        for target in harbour.questions() {
            let answer = harbour.wharf.get(&target).await;
            let told = format!("{:.200} {target}: {} {}", challenge, answer.status, answer.text());
            assert!(matches!(answer.status, 403 | 404 | 502), "{told}");
            assert_eq!(answer.header("www-authenticate"), None, "{told}");
        }
    }
    assert_eq!(trap.connections(), 0, "{}", trap.story());
    harbour.assert_bounded(16 * MIB);
}

/// Neither what an upstream says nor what a client asks for becomes a header of somebody else's.
#[tokio::test]
async fn no_header_is_split() {
    let harbour = harbour(Door::Bearer).await;
    let realm = format!("{}/token?x=%0d%0aX-Evil:1", harbour.upstream.url());
    harbour
        .upstream
        .holds(|it| it.realm = Some(format!("{realm}\",service=\"a\\\"\\%0d%0aX-Evil: 1")));
    let digest = harbour.image.digest();
    harbour.upstream.script(
        On::kind(crate::support::registry::Kind::Manifest),
        [
            Act::Header("docker-content-digest", format!("{digest}\r\nX-Evil: 1")),
            Act::Header("set-cookie", "evil=1".to_owned()),
            Act::Header("location", "http://evil.example/".to_owned()),
            Act::Header("x-evil", "1\tevil".to_owned()),
        ],
    );
    for target in harbour.questions() {
        let answer = harbour.wharf.get(&target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        for name in ["x-evil", "set-cookie", "location"] {
            assert_eq!(answer.header(name), None, "{target}");
        }
    }
    for target in [
        "/v2/hub/a%0d%0aX-Evil:%201/b/manifests/v1",
        "/v2/hub/a/b/manifests/v1%0d%0aX-Evil:%201",
        "/v2/hub/a/b/manifests/v1?ns=hub%0d%0aX-Evil:%201",
        "/v2/hub/a/b/tags/list?n=1&last=v0%0d%0aX-Evil:%201",
        "/v2/hub/a/b/referrers/sha256:0%0d%0aX-Evil:%201",
    ] {
        let answer = harbour.wharf.get(target).await;
        assert!(answer.status < 500 && answer.header("x-evil").is_none(), "{target}");
    }
    for seen in harbour.upstream.seen(&On::any()) {
        assert_eq!(seen.request.header("x-evil"), None, "{:?}", seen.request);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_redirects_in_a_circle_is_left() {
    let harbour = harbour(Door::Bearer).await;
    let to = format!("{}/token?{{n}}", harbour.upstream.url());
    harbour.upstream.script(On::tokens(), [Act::Redirect(307, to)]);
    harbour
        .assert_refused(&manifest_path("hub/a/b", "v1"), "redirect")
        .await;
    assert!(
        harbour.upstream.count(&On::tokens()) <= 11,
        "{}",
        harbour.upstream.story()
    );
}

#[tokio::test]
async fn no_name_of_a_client_becomes_a_place_to_dial() {
    let (harbour, trap) = (harbour(Door::Open).await, Upstream::start());
    trap.put_image("a/b", "v1", &harbour.image);
    let (address, port) = (trap.address().to_string(), trap.address().port());
    let places = [
        address.clone(),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("2130706433:{port}"),
        format!("http://{address}"),
        format!("hub@{address}"),
        format!("{address}/hub"),
        format!("{address}%23hub"),
        format!("hub%00{address}"),
        format!("hub,{address}"),
        "169.254.169.254".to_owned(),
        "..".to_owned(),
    ];
    for place in &places {
        for (target, host) in [
            (format!("/v2/a/b/manifests/v1?ns={place}"), "x"),
            (format!("/v2/hub/a/b/manifests/v1?ns={place}"), "x"),
            (format!("/v2/{place}/a/b/manifests/v1"), "x"),
            ("/v2/a/b/manifests/v1".to_owned(), place.as_str()),
            (format!("http://{address}/v2/a/b/manifests/v1"), place.as_str()),
        ] {
            let forwarded = [("Host", host), ("X-Forwarded-Host", place), ("Forwarded", place)];
            let answer = harbour.wharf.send("GET", &target, &forwarded).await.whole().await;
            assert!(
                (400..500).contains(&answer.status),
                "{target} {host}: {}",
                answer.status
            );
        }
    }
    assert_eq!(trap.connections(), 0, "{}", trap.story());
    assert_eq!(harbour.upstream.connections(), 0, "{}", harbour.upstream.story());
}
