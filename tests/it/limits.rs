//! `max_connections`: what is held up, and what is not.

use std::time::Duration;

use crate::support::blob_path;
use crate::support::client::Ended;
use crate::support::image::{Content, Image, KIB, MIB};
use crate::support::manifest_path;
use crate::support::script::{Act, Gate, On};
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

/// An upstream with these blobs, and a wharf that fetches so many at a time.
async fn harbour(most: &str, blobs: &[&Content]) -> (Upstream, Wharf) {
    let upstream = Upstream::start();
    for blob in blobs {
        upstream.put_blob("a/b", blob);
    }
    let mirror = Mirror::of("hub", &upstream).set("max_connections", most);
    (upstream, Setup::new().mirror(mirror).start().await)
}

fn of(blob: &Content) -> On {
    On::blobs().get().of(blob.digest())
}

#[tokio::test]
async fn bodies_wait_in_line_and_metadata_does_not() {
    let [first, second] = [1, 2].map(|seed| Content::seeded(seed, MIB));
    let (upstream, wharf) = harbour("1", &[&first, &second]).await;
    let image = Image::oci(1, &[100 * KIB]);
    upstream.put_image("a/b", "v1", &image);
    let gate = Gate::shut();
    upstream.script(of(&first), [Act::Hold(gate.clone())]);
    let (mut one, mut other) = (wharf.connect().await, wharf.connect().await);
    one.ask("GET", &blob_path("hub/a/b", &first), &[]).await;
    upstream.until("the first body", |it| it.count(&of(&first)) == 1).await;
    other.ask("GET", &blob_path("hub/a/b", &second), &[]).await;
    assert_eq!(wharf.get(&manifest_path("hub/a/b", "v1")).await.status, 200);
    assert_eq!(wharf.head(&blob_path("hub/a/b", image.layer(0))).await.status, 200);
    assert_eq!(upstream.count(&of(&second)), 0);
    gate.open();
    for (client, blob) in [(one, &first), (other, &second)] {
        let answer = client.answer(false).await.unwrap().whole().await;
        assert_eq!((answer.status, answer.ended), (200, Ended::Clean));
        assert!(answer.body == blob.all());
    }
}

#[tokio::test]
async fn a_fill_without_readers_makes_way_for_one_with_readers_and_goes_on_behind_it() {
    let [idle, wanted] = [1, 2].map(|seed| Content::seeded(seed, 8 * MIB));
    let (upstream, wharf) = harbour("1", &[&idle, &wanted]).await;
    let (gate, other) = (Gate::at(MIB), Gate::shut());
    upstream.script(of(&idle).times(1), [Act::Hold(gate.clone())]);
    upstream.script(of(&wanted), [Act::Hold(other.clone())]);
    let mut leaver = wharf.connect().await;
    leaver.ask("GET", &blob_path("hub/a/b", &idle), &[]).await;
    upstream.until("the first body", |it| it.sent(&of(&idle)) >= MIB).await;
    drop(leaver);
    let mut reader = wharf.connect().await;
    reader.ask("GET", &blob_path("hub/a/b", &wanted), &[]).await;
    // Let it hear of both, byte by byte.
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let mut level = MIB;
    crate::support::soon("the body that somebody waits for", async {
        while upstream.count(&of(&wanted)) == 0 {
            steps.tick().await;
            level += 1;
            gate.raise(level);
        }
    })
    .await;
    assert!(upstream.sent(&of(&idle)) < 2 * MIB, "{}", upstream.story());
    other.open();
    let answer = reader.answer(false).await.unwrap().whole().await;
    assert_eq!((answer.status, answer.ended), (200, Ended::Clean));
    wharf.landed(&blob_path("hub/a/b", &idle)).await;
    let resumed = of(&idle).ranged(true);
    assert_eq!(upstream.count(&resumed), 1, "{}", upstream.story());
}

#[tokio::test]
async fn a_herd_that_waits_in_line_costs_one_body() {
    let [first, second] = [1, 2].map(|seed| Content::seeded(seed, MIB));
    let (upstream, wharf) = harbour("1", &[&first, &second]).await;
    let gate = Gate::shut();
    upstream.script(of(&first), [Act::Hold(gate.clone())]);
    let mut one = wharf.connect().await;
    one.ask("GET", &blob_path("hub/a/b", &first), &[]).await;
    upstream.until("the first body", |it| it.count(&of(&first)) == 1).await;
    let mut herd = Vec::new();
    for _ in 0..20 {
        let mut client = wharf.connect().await;
        client.ask("GET", &blob_path("hub/a/b", &second), &[]).await;
        herd.push(client);
    }
    gate.open();
    for client in herd {
        let answer = client.answer(false).await.unwrap().whole().await;
        assert!(answer.status == 200 && answer.body == second.all());
    }
    assert_eq!(upstream.count(&of(&second)), 1);
}

#[tokio::test]
async fn what_waits_in_line_is_served_from_the_cache_when_another_mirror_has_brought_it() {
    let (busy, free) = (Upstream::start(), Upstream::start());
    let (held, wanted) = (Content::seeded(1, MIB), Content::seeded(2, MIB));
    busy.put_blob("a/b", &held);
    for upstream in [&busy, &free] {
        upstream.put_blob("a/b", &wanted);
    }
    let one = Mirror::of("busy", &busy).set("max_connections", "1");
    let setup = Setup::new().mirror(one).mirror(Mirror::of("free", &free));
    let wharf = setup.start().await;
    let gate = Gate::shut();
    busy.script(of(&held), [Act::Hold(gate.clone())]);
    let mut first = wharf.connect().await;
    first.ask("GET", &blob_path("busy/a/b", &held), &[]).await;
    busy.until("the first body", |it| it.count(&of(&held)) == 1).await;
    let mut waiting = wharf.connect().await;
    waiting.ask("GET", &blob_path("busy/a/b", &wanted), &[]).await;
    assert_eq!(wharf.get(&blob_path("free/a/b", &wanted)).await.status, 200);
    let answer = waiting.answer(false).await.unwrap().whole().await;
    assert!(answer.status == 200 && answer.body == wanted.all());
    assert_eq!(busy.count(&of(&wanted)), 0, "but for a HEAD: whether it may have it");
    gate.open();
}

/// Of what is under way and of what is new together, also where the mirror is another one but for its place.
#[tokio::test]
async fn a_limit_that_is_read_again_counts_the_bodies_under_way() {
    let blobs: Vec<_> = (0..6).map(|seed| Content::seeded(seed, MIB)).collect();
    let (upstream, wharf) = harbour("2", &blobs.iter().collect::<Vec<_>>()).await;
    let other = Content::seeded(9, KIB);
    upstream.put_blob("a/b", &other);
    let gates: Vec<_> = blobs.iter().map(|_| Gate::shut()).collect();
    let mut clients = Vec::new();
    let ask = async |nth: usize| {
        upstream.script(of(&blobs[nth]), [Act::Hold(gates[nth].clone())]);
        let mut client = wharf.connect().await;
        client.ask("GET", &blob_path("hub/a/b", &blobs[nth]), &[]).await;
        client
    };
    let begun = |it: &Upstream| it.count(&On::blobs().get());
    for nth in 0..2 {
        clients.push(ask(nth).await);
        upstream.until("its turn", |it| begun(it) == nth + 1).await;
    }
    clients.push(ask(2).await);
    clients.push(ask(3).await);
    let reload = async |most: &str, revalidate: &str| {
        let mirror = Mirror::of("hub", &upstream).set("max_connections", most);
        wharf
            .reload(&Setup::new().mirror(mirror.set("revalidate", revalidate)))
            .await;
    };
    reload("3", "\"1s\"").await;
    upstream.until("one more", |it| begun(it) == 3).await;
    reload("1", "\"2s\"").await;
    clients.push(ask(4).await);
    clients.push(ask(5).await);
    let mut over = Vec::new();
    while over.len() < blobs.len() {
        // A question takes no slot: whoever is in line has had the time for one, too.
        assert_eq!(wharf.head(&blob_path("hub/a/b", &other)).await.status, 200);
        assert_eq!(begun(&upstream), 3.max(over.len() + 1), "{}", upstream.story());
        let nth = (0..blobs.len()).find(|nth| !over.contains(nth) && upstream.count(&of(&blobs[*nth])) == 1);
        let nth = nth.unwrap();
        gates[nth].open();
        wharf.landed(&blob_path("hub/a/b", &blobs[nth])).await;
        over.push(nth);
        if over.len() >= 3 && over.len() < blobs.len() {
            upstream.until("the next one", |it| begun(it) == over.len() + 1).await;
        }
    }
    for (client, blob) in clients.into_iter().zip(&blobs) {
        let answer = client.answer(false).await.unwrap().whole().await;
        assert!(answer.status == 200 && answer.body == blob.all());
    }
}

#[tokio::test]
async fn a_fill_in_line_that_somebody_wants_after_all_is_seen_by_those_who_can_make_way() {
    let [one, two, three] = [1, 2, 3].map(|seed| Content::seeded(seed, 8 * MIB));
    let (upstream, wharf) = harbour("1", &[&one, &two, &three]).await;
    let gate = Gate::at(MIB);
    upstream.script(of(&one).times(1), [Act::Hold(gate.clone())]);
    let target = |blob| blob_path("hub/a/b", blob);
    // All three are asked for and left: the first comes, the others are in line.
    let mut leavers = Vec::new();
    for blob in [&one, &two, &three] {
        let mut client = wharf.connect().await;
        client.ask("GET", &target(blob), &[]).await;
        upstream.until("the first body", |it| it.sent(&of(&one)) >= MIB).await;
        leavers.push(client);
    }
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    // The first one last: until then it makes way for nobody.
    while let Some(client) = leavers.pop() {
        let port = client.port();
        drop(client);
        crate::support::soon("wharf to see it gone", async {
            while wharf.holds(port) {
                steps.tick().await;
            }
        })
        .await;
    }
    let mut level = MIB;
    let mut reader = wharf.connect().await;
    reader.ask("GET", &target(&three), &[]).await;
    crate::support::soon("the body that somebody wants", async {
        while upstream.count(&of(&three)) == 0 {
            steps.tick().await;
            level += 1;
            gate.raise(level);
        }
    })
    .await;
    assert!(level < 2 * MIB);
    assert_eq!(upstream.count(&of(&two)), 0, "{}", upstream.story());
    let answer = reader.answer(false).await.unwrap().whole().await;
    assert!(answer.status == 200 && answer.body == three.all());
}
