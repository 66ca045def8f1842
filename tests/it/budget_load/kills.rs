//! The same with kill -9, and with uploads under way: after each recovery the budget holds, nothing is left that no row
//! explains, index and disk tell the same, and what was pushed is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{interval, timeout};

use super::books::{Watch, disagreements};
use super::clients::{Load, Stock};
use super::{MAP, SEED, within};
use crate::support::dice::{Dice, seed};
use crate::support::image::{Content, KIB, MIB, sha256};
use crate::support::push::Pusher;
use crate::support::upstream::Upstream;
use crate::support::wharf::Wharf;
use crate::support::{GUARD, blob_path, soon};

const BUDGET: u64 = 16 * MIB;
const CLIENTS: u64 = 16;
const KILLS: u64 = 6;
/// Each of `UPLOAD` bytes, between two kills.
const UPLOADS: u64 = 6;
const UPLOAD: u64 = 64 * KIB;
const REPOSITORY: &str = "team/app";

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_stays_within_its_budget_and_leaves_nothing_that_no_row_explains() {
    let mut dice = Dice::of(seed(SEED));
    let (upstream, stock) = (Upstream::start(), Arc::new(Stock::of(400, &mut dice)));
    stock.offer(&upstream);
    let mut wharf = within(&upstream, BUDGET).start().await;
    let pushed: Vec<_> = (0..KILLS * UPLOADS)
        .map(|n| Content::seeded(100_000 + n, UPLOAD))
        .collect();
    let names = pushed.iter().map(|blob| blob.digest().replace("sha256:", ""));
    let watch = Watch::of(wharf.store(), names.collect());
    let mut acknowledged = Vec::new();
    for (kill, uploads) in pushed.chunks(usize::try_from(UPLOADS).unwrap()).enumerate() {
        acknowledged.extend(until_killed(&mut wharf, &stock, uploads, &mut dice).await);
        wharf.restart().await;
        wharf.says("looked for blobs that an unclean stop has left").await;
        agrees(&wharf, kill).await;
        for blob in &acknowledged {
            let answer = wharf.get(&blob_path(REPOSITORY, blob)).await;
            assert_eq!((answer.status, sha256(&answer.body).as_str()), (200, blob.digest()));
        }
    }
    assert!(acknowledged.len() > 6, "only {} were pushed", acknowledged.len());
    wharf.signal_term();
    assert!(wharf.ends().await.success());
    let (checked, found) = wharf.run(&["fsck", "--config", "wharf.toml"]).await;
    assert!(checked.success(), "{found}");
    let (seen, most) = (watch.end().await, BUDGET + CLIENTS * MAP + KILLS * UPLOADS * UPLOAD);
    eprintln!("at most {} of {BUDGET} bytes in {} looks", seen.most, seen.looks);
    assert!(seen.most <= most, "{} bytes over", seen.most - most);
}

/// Everybody pulls and pushes, until wharf is killed in the middle of that. What was pushed, and acknowledged.
async fn until_killed(wharf: &mut Wharf, stock: &Arc<Stock>, uploads: &[Content], dice: &mut Dice) -> Vec<Content> {
    let load = Load::of(Arc::clone(stock), u64::MAX);
    let pushing = tokio::spawn(push(wharf.address(), uploads.to_vec()));
    let (running, address, mut own) = (Arc::clone(&load), wharf.address(), Dice::of(dice.roll(u64::MAX)));
    let running = tokio::spawn(async move { running.run(address, CLIENTS, &mut own).await });
    // About what fits goes through, so that all rounds but the first evict.
    let (mut done, enough) = (load.done.subscribe(), 50 + dice.roll(80));
    soon("some pulls", done.wait_for(|done| *done >= enough)).await.unwrap();
    load.killed.store(true, Ordering::SeqCst);
    wharf.kill();
    soon("the end of the clients", running).await.unwrap();
    soon("the end of the pusher", pushing).await.unwrap()
}

/// Pushes until the server is gone; of every other blob only a half.
async fn push(address: SocketAddr, uploads: Vec<Content>) -> Vec<Content> {
    let (pusher, mut acknowledged) = (Pusher::at(address), Vec::new());
    for (n, blob) in (0..).zip(uploads) {
        let Ok(location) = pusher.begin(REPOSITORY).await else {
            break;
        };
        if pusher.chunk(&location, &blob, 0..UPLOAD / 2).await.is_err() {
            break;
        }
        if n % 2 == 0 {
            match pusher.close(&location, &blob, UPLOAD / 2).await {
                Ok(answer) => assert_eq!(answer.status, 201, "{}", answer.text()),
                Err(_) => break,
            }
            acknowledged.push(blob);
        }
    }
    acknowledged
}

/// Waits until index and disk tell the same: a little may be on its way out.
async fn agrees(wharf: &Wharf, kill: usize) {
    let (store, mut looks) = (wharf.store(), interval(Duration::from_millis(20)));
    let agree = async {
        while !disagreements(&store).is_empty() {
            looks.tick().await;
        }
    };
    let agreed = timeout(GUARD, agree).await;
    assert!(
        agreed.is_ok(),
        "after kill {kill}: {}",
        disagreements(&store).join("\n")
    );
}
