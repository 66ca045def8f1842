//! What there is to pull, and the clients that pull it: each one blob after the other, until enough bytes have come.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::blob_path;
use crate::support::dice::Dice;
use crate::support::image::{Content, KIB, sha256};
use crate::support::push::Pusher;
use crate::support::upstream::Upstream;

const NAME: &str = "hub/a/b";

/// Blobs of which the nth is asked for 1/n times as often as the first one (Zipf).
#[derive(Debug)]
pub(super) struct Stock {
    blobs: Vec<Content>,
    /// The sums of the weights up to each.
    weights: Vec<u64>,
}

impl Stock {
    pub(super) fn of(blobs: u64, dice: &mut Dice) -> Self {
        let mut sum = 0;
        let weight = |rank| {
            sum += 1_000_000_000 / rank;
            sum
        };
        Self {
            blobs: (0..blobs)
                .map(|seed| Content::seeded(seed, 64 * KIB + dice.roll(448 * KIB)))
                .collect(),
            weights: (1..=blobs).map(weight).collect(),
        }
    }

    pub(super) fn offer(&self, upstream: &Upstream) {
        self.blobs.iter().for_each(|blob| upstream.put_blob("a/b", blob));
    }

    /// What the nth takes on the disk.
    pub(super) fn takes(&self, n: usize) -> u64 {
        self.blobs[n].len().next_multiple_of(4 * KIB)
    }

    fn pick(&self, dice: &mut Dice) -> usize {
        let at = dice.roll(self.weights[self.weights.len() - 1]);
        self.weights.partition_point(|sum| *sum <= at)
    }
}

#[derive(Debug)]
pub(super) struct Load {
    stock: Arc<Stock>,
    /// Bytes that are still to be asked for.
    left: AtomicU64,
    told: Mutex<Told>,
    /// Counts the pulls.
    pub(super) done: watch::Sender<u64>,
    /// From now on pulls may fail.
    pub(super) killed: AtomicBool,
}

#[derive(Debug, Default)]
struct Told {
    trace: Vec<usize>,
    misses: usize,
}

impl Load {
    pub(super) fn of(stock: Arc<Stock>, bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            stock,
            left: AtomicU64::new(bytes),
            told: Mutex::default(),
            done: watch::Sender::new(0),
            killed: AtomicBool::new(false),
        })
    }

    /// Until all has been pulled, or the server is gone.
    pub(super) async fn run(self: &Arc<Self>, address: SocketAddr, clients: u64, dice: &mut Dice) {
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (load, dice) = (Arc::clone(self), Dice::of(dice.roll(u64::MAX)));
            running.spawn(load.client(Pusher::at(address), dice));
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    }

    /// What was pulled, in the order in which the pulls were complete, and how often wharf said that it fetched.
    pub(super) fn trace(&self) -> (Vec<usize>, usize) {
        let told = self.told.lock().unwrap();
        (told.trace.clone(), told.misses)
    }

    async fn client(self: Arc<Self>, client: Pusher, mut dice: Dice) {
        while let Some(n) = self.next(&mut dice) {
            let blob = &self.stock.blobs[n];
            let answer = match client.get(&blob_path(NAME, blob)).await {
                Ok(answer) => answer,
                Err(_) if self.killed.load(Ordering::SeqCst) => return,
                Err(how) => panic!("a pull has failed: {how:?}"),
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(sha256(&answer.body), blob.digest());
            let how = answer.header("cache-status").unwrap();
            assert!(!how.contains("relay"), "there is room for it: {how}");
            let fetched = how.starts_with("wharf; fwd=uri-miss") && !how.ends_with("collapsed");
            self.tell(n, fetched);
            self.done.send_modify(|done| *done += 1);
        }
    }

    fn next(&self, dice: &mut Dice) -> Option<usize> {
        let n = self.stock.pick(dice);
        let take = |left: u64| Some(left.saturating_sub(self.stock.takes(n)));
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        (left.unwrap() > 0).then_some(n)
    }

    fn tell(&self, n: usize, fetched: bool) {
        let mut told = self.told.lock().unwrap();
        told.trace.push(n);
        told.misses += usize::from(fetched);
    }
}
