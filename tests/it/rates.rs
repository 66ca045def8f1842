//! `max_rate`: what counts, and what does not. Slowness proves nothing, so only haste is looked for: that no bytes came before
//! their time.

use std::time::{Duration, Instant};

use crate::support::blob_path;
use crate::support::image::{Content, MIB};
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

/// A wharf that takes 2 MiB a second from all of these together.
async fn harbour(upstreams: &[&Upstream]) -> Wharf {
    let urls: Vec<_> = upstreams.iter().map(|it| format!("{:?}", it.url())).collect();
    let mirror = Mirror::of("hub", upstreams[0]).set("max_rate", "\"2MiB\"");
    let mirror = mirror.set("endpoints", &format!("[{}]", urls.join(", ")));
    Setup::new().mirror(mirror).start().await
}

fn path(blob: &Content) -> String {
    blob_path("hub/a/b", blob)
}

/// The least that so many MiB take, but for what each body brings last, which is not waited for.
fn least(mib: u64, bodies: u64) -> Duration {
    Duration::from_millis((mib * 1000 - bodies * 250) / 2)
}

#[tokio::test]
async fn all_bodies_keep_it_together_and_hits_have_none() {
    let (upstream, [first, second]) = (Upstream::start(), [1, 2].map(|seed| Content::seeded(seed, 3 * MIB)));
    upstream.put_blob("a/b", &first);
    upstream.put_blob("a/b", &second);
    let wharf = harbour(&[&upstream]).await;
    let (began, targets) = (Instant::now(), [path(&first), path(&second)]);
    let (one, other) = tokio::join!(wharf.get(&targets[0]), wharf.get(&targets[1]));
    assert!(one.body == first.all() && other.body == second.all());
    assert!(began.elapsed() > least(6, 2), "{:?}", began.elapsed());
    for target in &targets {
        wharf.landed(target).await;
        // From the store it could come however slowly, but not by the upstream.
        wharf.get(target).await;
    }
    assert_eq!(upstream.sent(&On::blobs()), 6 * MIB);
}

#[tokio::test]
async fn the_endpoints_of_a_mirror_keep_it_together() {
    let (upstreams, blobs) = (
        [Upstream::start(), Upstream::start()],
        [1, 2].map(|seed| Content::seeded(seed, 3 * MIB)),
    );
    // Each has one of them, and the other one has the other.
    for (upstream, blob) in upstreams.iter().zip(&blobs) {
        upstream.put_blob("a/b", blob);
    }
    let wharf = harbour(&[&upstreams[0], &upstreams[1]]).await;
    let (began, targets) = (Instant::now(), blobs.each_ref().map(path));
    let (one, other) = tokio::join!(wharf.get(&targets[0]), wharf.get(&targets[1]));
    assert!(one.body == blobs[0].all() && other.body == blobs[1].all());
    assert!(began.elapsed() > least(6, 2), "{:?}", began.elapsed());
    assert!(upstreams.iter().all(|it| it.sent(&On::blobs()) >= 3 * MIB));
}

#[tokio::test]
async fn a_side_stream_keeps_it_too() {
    let (upstream, blob, gate) = (Upstream::start(), Content::seeded(1, 64 * MIB), Gate::at(MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs().ranged(false), [Act::Hold(gate.clone())]);
    let wharf = harbour(&[&upstream]).await;
    let mut main = wharf.open(&path(&blob)).await;
    main.exactly(MIB).await;
    let began = Instant::now();
    let far = wharf
        .range(&path(&blob), &format!("bytes={}-{}", 40 * MIB, 44 * MIB - 1))
        .await;
    assert!(far.body == blob.bytes(40 * MIB..44 * MIB));
    assert!(began.elapsed() > least(4, 4), "{:?}", began.elapsed());
    assert_eq!(upstream.sent(&On::blobs().ranged(false)), MIB, "{}", upstream.story());
}
