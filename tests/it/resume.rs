//! P4: a broken upstream body is resumed with `Range`, not restarted, and a partial survives a restart of wharf.

use std::time::Duration;

use crate::support::client::Ended;
use crate::support::image::{Content, Image, KIB, MIB};
use crate::support::proxy::Proxy;
use crate::support::registry::{Door, Registry};
use crate::support::script::{Act, Gate, How, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};
use crate::support::{blob_path, manifest_path, quiet};

const LEN: u64 = 40 * MIB;

async fn harbour() -> (Upstream, Wharf, Content) {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, LEN));
    upstream.put_blob("a/b", &blob);
    let wharf = Wharf::of(&upstream).await;
    (upstream, wharf, blob)
}

/// Where the resumed requests began, in order.
fn resumed_at(upstream: &Upstream, on: &On) -> Vec<u64> {
    let begin = |range: &str| range.trim_start_matches("bytes=").split('-').next()?.parse().ok();
    let seen = upstream.seen(&on.clone().ranged(true));
    seen.iter()
        .filter_map(|seen| begin(seen.request.header("range")?))
        .collect()
}

#[tokio::test]
async fn broken_at_30_60_and_90_percent_is_one_uninterrupted_200() {
    for how in [How::Rst, How::Fin] {
        let (upstream, wharf, blob) = harbour().await;
        for (n, percent) in [30, 60, 90].into_iter().enumerate() {
            let nth = On::blobs().after(u32::try_from(n).unwrap()).times(1);
            upstream.script(nth, [Act::Cut(LEN / 100 * percent, how)]);
        }
        let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
        assert_eq!((answer.status, answer.length()), (200, Some(LEN)));
        assert_eq!(answer.hashed().await, blob.whole());
        assert_eq!(resumed_at(&upstream, &On::blobs()).len(), 3, "{}", upstream.story());
        assert_eq!(upstream.count(&On::blobs()), 4, "{}", upstream.story());
        assert!(upstream.sent(&On::blobs()) <= LEN / 100 * 102, "{}", upstream.story());
    }
}

#[tokio::test]
async fn a_network_that_breaks_every_few_mebibytes_is_outlived() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, LEN));
    upstream.put_blob("a/b", &blob);
    let cuts: Vec<u64> = (1..=10).map(|n| 3 * MIB + n * 1000).collect();
    let proxy = Proxy::start(upstream.address(), How::Rst, &cuts).await;
    let wharf = Setup::new().mirror(Mirror::at("hub", &proxy.url())).start().await;
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole(), "{}", upstream.story());
    // What reached wharf is not asked for again.
    assert!(proxy.passed() <= LEN / 100 * 102 + 16 * KIB, "{} bytes", proxy.passed());
}

#[tokio::test]
async fn silence_in_mid_body_is_broken_off_and_resumed() {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, LEN), Gate::at(10 * MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs().times(1), [Act::Hold(gate)]);
    let mirror = Mirror::of("hub", &upstream).set("silence", "\"300ms\"");
    let wharf = Setup::new().mirror(mirror).start().await;
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole());
    assert_eq!(resumed_at(&upstream, &On::blobs()), [10 * MIB], "{}", upstream.story());
    assert_eq!(upstream.sent(&On::blobs()), LEN);
}

/// Ends wharf at 50 % of a fill, starts it anew, pulls again: the upstream must be asked only for the rest.
/// `lost` bytes may be fetched twice.
async fn survives(lost: u64, end: impl AsyncFnOnce(&mut Wharf)) {
    let (upstream, image, gate) = (Upstream::start(), Image::oci(1, &[LEN]), Gate::at(LEN / 2));
    upstream.put_image("a/b", "v1", &image);
    let blob = image.layer(0);
    upstream.script(On::blobs(), [Act::Hold(gate.clone())]);
    let mut wharf = Wharf::of(&upstream).await;
    let mut leaver = wharf.open(&blob_path("hub/a/b", blob)).await;
    assert_eq!(leaver.exactly(LEN / 2).await.len() as u64, LEN / 2);
    drop(leaver);
    // A transaction that is waited for takes the partial's row along.
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    end(&mut wharf).await;

    gate.open();
    wharf.restart().await;
    let answer = wharf.open(&blob_path("hub/a/b", blob)).await.hashed().await;
    assert_eq!(answer, blob.whole());
    let resumed = resumed_at(&upstream, &On::blobs());
    assert!(
        resumed.len() == 1 && resumed[0] >= LEN / 2 - lost,
        "{}",
        upstream.story()
    );
    assert_eq!(upstream.count(&On::blobs()), 2, "{}", upstream.story());
    assert!(
        upstream.sent(&On::blobs()) <= LEN / 100 * 102 + lost,
        "{}",
        upstream.story()
    );
}

#[tokio::test]
async fn a_partial_survives_kill_9_and_is_resumed() {
    // The row is written now and then; what came since is fetched again.
    survives(4 * MIB, async |wharf: &mut Wharf| wharf.kill()).await;
}

#[tokio::test]
async fn a_partial_survives_sigterm_and_is_resumed() {
    survives(0, async |wharf: &mut Wharf| {
        wharf.signal_term();
        assert!(wharf.ends().await.success());
    })
    .await;
}

#[tokio::test]
async fn a_fresh_token_and_a_fresh_redirect_are_fetched_to_resume() {
    let (upstream, cdn) = (Upstream::with_door(Door::Bearer), Upstream::start());
    let (blob, gate) = (Content::seeded(1, LEN), Gate::at(LEN / 2 - 1));
    upstream.put_blob("a/b", &blob);
    cdn.put_blob("any", &blob);
    upstream.script(
        On::blobs(),
        [Act::Redirect(307, format!("{}/cdn/{{digest}}?sig={{n}}", cdn.url()))],
    );
    cdn.script(
        On::cdn().times(1),
        [Act::Hold(gate.clone()), Act::Cut(LEN / 2, How::Rst)],
    );
    let wharf = Wharf::of(&upstream).await;

    let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    assert_eq!(
        (answer.status, answer.exactly(LEN / 4).await.len() as u64),
        (200, LEN / 4)
    );
    upstream.holds(Registry::revoke_tokens);
    cdn.holds(Registry::expire_signatures);
    gate.open();
    assert_eq!(
        answer.rest().await,
        (blob.bytes(LEN / 4..LEN), Ended::Clean),
        "{}",
        upstream.story()
    );
    assert_eq!(resumed_at(&cdn, &On::cdn()).len(), 1, "{}", cdn.story());
    assert_eq!(upstream.count(&On::tokens()), 2, "{}", upstream.story());
    assert!(cdn.sent(&On::cdn()) <= LEN / 100 * 102, "{}", cdn.story());
    assert!(
        cdn.seen(&On::any())
            .iter()
            .all(|seen| seen.request.header("authorization").is_none())
    );
}

/// In small: what takes a minute is a tenth of the blob, and then tokens and signed addresses have expired.
#[tokio::test]
async fn ten_minutes_with_tokens_for_one_and_two_resets_are_one_clean_200() {
    let (upstream, cdn) = (Upstream::with_door(Door::Bearer), Upstream::start());
    let (blob, arrives) = (Content::seeded(1, LEN), Gate::at(LEN / 10));
    upstream.put_blob("a/b", &blob);
    cdn.put_blob("any", &blob);
    upstream.holds(|registry| registry.expires_in = 60);
    let to = format!("{}/cdn/{{digest}}?sig={{n}}", cdn.url());
    upstream.script(On::blobs(), [Act::Redirect(307, to)]);
    cdn.script(On::cdn(), [Act::Hold(arrives.clone())]);
    for (n, percent) in [(0, 35), (1, 72)] {
        let reset = Act::Cut(LEN / 100 * percent, How::Rst);
        cdn.script(On::cdn().after(n).times(1), [Act::Hold(arrives.clone()), reset]);
    }
    let wharf = Wharf::of(&upstream).await;
    let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    assert_eq!((answer.status, answer.length()), (200, Some(LEN)));
    for minute in 1..10 {
        let read = LEN / 10 * (minute - 1)..LEN / 10 * minute;
        assert!(answer.exactly(LEN / 10).await == blob.bytes(read), "minute {minute}");
        upstream.holds(Registry::revoke_tokens);
        cdn.holds(Registry::expire_signatures);
        arrives.raise(LEN / 10 * (minute + 1));
    }
    arrives.open();
    let last = blob.bytes(LEN / 10 * 9..LEN);
    assert!(answer.rest().await == (last, Ended::Clean), "{}", cdn.story());
    assert_eq!(
        (cdn.count(&On::cdn()), upstream.count(&On::tokens())),
        (3, 3),
        "{}",
        upstream.story()
    );
    assert_eq!(
        resumed_at(&cdn, &On::cdn()),
        [35, 72].map(|percent| LEN / 100 * percent)
    );
    assert_eq!(cdn.sent(&On::cdn()), LEN);
}

#[tokio::test]
async fn an_upstream_that_knows_no_range_is_read_again_from_the_start() {
    let (upstream, wharf, blob) = harbour().await;
    upstream.script(On::blobs(), [Act::IgnoreRange]);
    upstream.script(On::blobs().times(1), [Act::Cut(LEN / 2, How::Rst)]);
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole(), "{}", upstream.story());
}

#[tokio::test]
async fn a_resumed_part_from_elsewhere_is_not_believed() {
    let (upstream, wharf, blob) = harbour().await;
    let lie = format!("bytes 0-{}/{LEN}", LEN - 1);
    upstream.script(On::blobs().ranged(true), [Act::Header("content-range", lie)]);
    upstream.script(On::blobs().times(1), [Act::Cut(LEN / 2, How::Rst)]);
    let (length, _, ended) = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_ne!(ended, Ended::Clean, "{}", upstream.story());
    assert!(length < LEN);
    upstream.heal();
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole(), "the true half was kept");
}

#[tokio::test]
async fn a_registry_that_is_gone_for_a_moment_in_mid_transfer_is_waited_for() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, LEN));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs().times(1), [Act::Hold(Gate::at(LEN / 2))]);
    let setup = Setup::new().mirror(Mirror::of("hub", &upstream));
    let wharf = setup.variable("RUST_LOG", "wharf=debug").start().await;
    let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    assert!(answer.exactly(LEN / 2).await == blob.bytes(0..LEN / 2));
    upstream.stop().await;
    // It has been looked for, and is known to be gone.
    wharf.says("barren=2").await;
    upstream.resume().await;
    assert!(answer.rest().await == (blob.bytes(LEN / 2..LEN), Ended::Clean));
    assert_eq!(resumed_at(&upstream, &On::blobs()), [LEN / 2]);
}

#[tokio::test]
async fn a_front_that_answers_for_a_registry_that_is_gone_for_a_moment_is_waited_for_too() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, LEN));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs().ranged(true), [Act::Status(503)]);
    upstream.script(On::blobs().times(1), [Act::Cut(LEN / 2, How::Fin)]);
    let setup = Setup::new().mirror(Mirror::of("hub", &upstream));
    let wharf = setup.variable("RUST_LOG", "wharf=debug").start().await;
    let mut answer = wharf.open(&blob_path("hub/a/b", &blob)).await;
    wharf.says("barren=2").await;
    assert!(answer.exactly(LEN / 2).await == blob.bytes(0..LEN / 2));
    assert!(
        quiet(Duration::from_secs(2), answer.rest()).await,
        "{}",
        upstream.story()
    );
    upstream.heal();
    let rest = answer.rest().await;
    assert!(
        rest == (blob.bytes(LEN / 2..LEN), Ended::Clean),
        "{:?} {}",
        rest.1,
        upstream.story()
    );
}

#[tokio::test]
async fn who_is_asked_to_wait_for_a_moment_in_mid_transfer_waits() {
    let (upstream, wharf, blob) = harbour().await;
    let wait = [Act::Status(429), Act::Header("retry-after", "1".to_owned())];
    upstream.script(On::blobs().ranged(true).times(1), wait);
    upstream.script(On::blobs().ranged(false), [Act::Cut(LEN / 2, How::Rst)]);
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    let whole = blob.whole();
    assert_eq!(answer, whole, "{}", upstream.story());
    assert_eq!(upstream.count(&On::blobs()), 3, "{}", upstream.story());
}

#[tokio::test]
async fn after_three_attempts_that_bring_nothing_readers_are_cut_and_the_partial_is_kept() {
    let (upstream, wharf, blob) = harbour().await;
    upstream.script(On::blobs().ranged(true), [Act::Cut(0, How::Rst)]);
    upstream.script(On::blobs().times(1), [Act::Cut(LEN / 2, How::Rst)]);
    let (length, _, ended) = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert!(length <= LEN / 2 && ended == Ended::Reset, "{length} {ended:?}");
    assert_eq!(upstream.count(&On::blobs()), 4, "{}", upstream.story());
    upstream.heal();
    let answer = wharf.open(&blob_path("hub/a/b", &blob)).await.hashed().await;
    assert_eq!(answer, blob.whole(), "{}", upstream.story());
    assert!(
        upstream.sent(&On::blobs()) <= LEN / 100 * 102 + MIB,
        "{}",
        upstream.story()
    );
}
