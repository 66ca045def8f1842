//! P10: memory is bounded, whatever the size of the blobs and however many clients pull, push or stall.

use std::sync::Arc;
use std::time::Duration;

use crate::support::client::{Client, Response};
use crate::support::image::{Content, KIB, MIB, OCI_INDEX};
use crate::support::script::{Act, Gate, On};
use crate::support::upload::alone;
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;
use crate::support::{blob_path, quiet, soon};

const READERS: u64 = 200;

async fn stall(wharf: &Wharf, target: &str) -> Vec<Response> {
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        let mut answer = Client::narrow(wharf.address()).await.get(target).await;
        assert_eq!(answer.status, 200);
        answer.exactly(1).await;
        stalled.push(answer);
    }
    // As much as wharf is willing to hold for them gets held now; there is no event for "no more".
    quiet(Duration::from_millis(500), std::future::pending::<()>()).await;
    stalled
}

#[tokio::test]
async fn a_stalled_reader_of_a_stored_blob_costs_at_most_128_kib() {
    let (upstream, blob) = (Upstream::start(), Content::seeded(1, 32 * MIB));
    upstream.put_blob("a/b", &blob);
    let wharf = Wharf::of(&upstream).await;
    let target = blob_path("hub/a/b", &blob);
    wharf.open(&target).await.hashed().await;
    wharf.landed(&target).await;
    wharf.open(&target).await.hashed().await;

    let before = wharf.memory("VmRSS");
    let stalled = stall(&wharf, &target).await;
    let cost = wharf.memory("VmRSS").saturating_sub(before) / READERS;
    assert!(cost <= 128 * KIB, "{cost} bytes for each of {} readers", stalled.len());
}

#[tokio::test]
async fn two_hundred_transfers_of_ten_gigabytes_fit_into_256_mib() {
    let (upstream, blob, gate) = (Upstream::start(), Content::promised(10_000 * MIB), Gate::at(12 * MIB));
    upstream.put_blob("a/b", &blob);
    upstream.script(On::blobs(), [Act::Hold(gate)]);
    let wharf = Wharf::of(&upstream).await;
    let target = blob_path("hub/a/b", &blob);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let answer = wharf.open(&target).await;
        assert_eq!((answer.status, answer.length()), (200, Some(blob.len())));
        readers.push(answer);
    }
    for _ in 0..6 {
        for reader in &mut readers {
            reader.exactly(MIB).await;
        }
    }
    assert_eq!(upstream.count(&On::blobs()), 1, "{}", upstream.story());
    let most = wharf.memory("VmHWM");
    assert!(most <= 256 * MIB, "{} MiB", most / MIB);
}

/// All at once, and faster than a disk is: what wharf does not take in time, waits with its client.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_uploads_of_a_gigabyte_fit_into_256_mib() {
    let (wharf, piece) = (alone().await, Content::seeded(1, 3 * MIB));
    let (bytes, mut pushers) = (Arc::new(piece.all()), Vec::new());
    for _ in 0..READERS {
        let location = wharf.begin("a/b").await;
        let headers = [("Content-Length", "1000000000")];
        let mut client = wharf.begins("PATCH", &location, &headers, b"").await;
        let bytes = Arc::clone(&bytes);
        let pushed = tokio::spawn(async move {
            client.write(&bytes).await.unwrap();
            client
        });
        pushers.push((location, pushed));
    }
    for (location, pushed) in pushers {
        let _open = soon("its bytes to be taken", pushed).await.unwrap();
        wharf.reaches(&location, piece.len()).await;
    }
    let most = wharf.memory("VmHWM");
    assert!(most <= 256 * MIB, "{} MiB", most / MIB);
}

/// Of the largest kind, and of the kind that takes most to look into.
#[tokio::test]
async fn a_hundred_manifests_at_once_fit_into_256_mib() {
    let wharf = Arc::new(alone().await);
    let subject = Content::of("{}").descriptor(OCI_INDEX);
    let annotations: serde_json::Map<_, _> = (0..4_000).map(|n| (n.to_string(), "x".repeat(1000).into())).collect();
    let body = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject, "annotations": annotations,
    });
    let body = Arc::new(body.to_string().into_bytes());
    let pushers: Vec<_> = (0..100)
        .map(|number| {
            let (wharf, body) = (Arc::clone(&wharf), Arc::clone(&body));
            let push = async move {
                wharf
                    .push_manifest("a/b", &format!("v{number}"), OCI_INDEX, &body)
                    .await
            };
            tokio::spawn(push)
        })
        .collect();
    for pusher in pushers {
        pusher.await.unwrap();
    }
    let most = wharf.memory("VmHWM");
    assert!(most <= 256 * MIB, "{} MiB", most / MIB);
}
