//! P8 under a load of everything that writes: killed with -9 at any moment and at each step that changes a file, wharf keeps
//! what it acknowledged, shows nothing half-done, and leaks nothing.
//!
//! `WHARF_CRASH_ROUNDS` says how many kills; `WHARF_CRASH_SEED` repeats the dice of a run, though not its timing.

mod ledger;
mod load;
mod stock;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::ledger::Ledger;
use self::load::{Load, MIRRORED};
use self::stock::Stock;
use crate::support::blob_path;
use crate::support::dice::{Dice, number, seed};
use crate::support::image::Content;
use crate::support::push::Pusher;
use crate::support::soon;
use crate::support::upstream::Upstream;
use crate::support::wharf::{Mirror, Setup, Wharf};

const PUSHERS: u64 = 6;
/// So many kills on one store, then everything is deleted and nothing may be left.
const ROUNDS_PER_STORE: u64 = 5;
/// What changes files, and how often at most one thread does it before it is the moment.
const STEPS: [(&str, u64); 7] = [
    ("rename", 30),
    ("fdatasync", 40),
    ("fsync", 30),
    ("pwrite64", 200),
    ("pwritev", 60),
    ("ftruncate", 6),
    ("unlink", 20),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_and_nothing_leaks() {
    let rounds = number("WHARF_CRASH_ROUNDS").unwrap_or(20);
    let mut dice = Dice::of(seed("WHARF_CRASH_SEED"));
    let mut killed_at_steps = 0;
    for store in 0..rounds.div_ceil(ROUNDS_PER_STORE) {
        let mut site = Site::start(store % 2 == 0).await;
        for round in 0..ROUNDS_PER_STORE.min(rounds - store * ROUNDS_PER_STORE) {
            let step = STEPS[usize::try_from((store * 3 + round / 2) % 6).unwrap()];
            let step = (round % 2 == 1).then_some(step);
            let at_step = site.round(step, &mut dice).await && step.is_some();
            eprintln!("killed {}", if at_step { step.unwrap().0 } else { "by hand" });
            killed_at_steps += u64::from(at_step);
        }
        site.leaks_nothing().await;
    }
    assert!(
        killed_at_steps * 8 >= rounds,
        "strace killed wharf at a step only {killed_at_steps} times"
    );
}

/// A store, and what the pushers were told about it.
struct Site {
    upstream: Upstream,
    wharf: Wharf,
    ledgers: Vec<Ledger>,
    stock: Arc<Stock>,
    keeps: bool,
}

impl Site {
    /// `keeps`: a blob stays that nothing names; if not, it is collected all the time.
    async fn start(keeps: bool) -> Self {
        let (upstream, stock) = (Upstream::start(), Stock::new());
        for blob in stock.shared() {
            upstream.put_blob("lib/shared", blob);
        }
        let grace = if keeps { "1h" } else { "100ms" };
        Self {
            wharf: Self::terms(&upstream, &format!("grace = \"{grace}\"")).start().await,
            upstream,
            ledgers: (0..PUSHERS).map(|n| Ledger::of(format!("crash/of-{n}"))).collect(),
            stock: Arc::new(stock),
            keeps,
        }
    }

    fn terms(upstream: &Upstream, hosted: &str) -> Setup {
        Setup::new().mirror(Mirror::of("hub", upstream)).table("hosted", hosted)
    }

    /// Load, a kill, a check. Whether it was strace that killed it.
    async fn round(&mut self, step: Option<(&str, u64)>, dice: &mut Dice) -> bool {
        let traced = match step {
            None => true,
            Some((call, most)) => {
                self.wharf.kill();
                self.wharf
                    .restart_traced(&at_step(call, 1 + dice.roll(most)).each_ref().map(String::as_str))
                    .await
            }
        };
        let most = if step.is_some() { 600 } else { 1 + dice.roll(300) };
        let by_itself = !traced || self.load(most, dice).await;
        self.wharf.kill();
        if dice.once_in(4) {
            // Recovery is cut short too.
            let step = at_step("pwrite64", 1 + dice.roll(20));
            self.wharf.restart_traced(&step.each_ref().map(String::as_str)).await;
            self.wharf.kill();
        }
        self.wharf.restart().await;
        let pusher = Pusher::at(self.wharf.address());
        for ledger in &mut self.ledgers {
            ledger.check(pusher, self.keeps).await;
        }
        by_itself
    }

    /// All pushers at once, until wharf is gone: after `most` deeds by our hand. Whether it went before.
    async fn load(&mut self, most: u64, dice: &mut Dice) -> bool {
        let done = Arc::new(watch::Sender::new(0));
        let mut names: Vec<String> = self.ledgers.iter().map(|ledger| ledger.repository.clone()).collect();
        names.push(MIRRORED.to_owned());
        let mut pushers = JoinSet::new();
        for (n, ledger) in std::mem::take(&mut self.ledgers).into_iter().enumerate() {
            let mut neighbours = names.clone();
            neighbours.remove(n);
            let load = Load {
                pusher: Pusher::at(self.wharf.address()),
                stock: Arc::clone(&self.stock),
                dice: Dice::of(dice.roll(u64::MAX)),
                neighbours,
                keeps: self.keeps,
                done: Arc::clone(&done),
            };
            pushers.spawn(load.run(ledger));
        }
        let mut deeds = done.subscribe();
        let gone = tokio::select! {
            enough = deeds.wait_for(|deeds| *deeds >= most) => enough.is_err(),
            Some(first) = pushers.join_next() => {
                self.ledgers.push(first.unwrap());
                true
            }
        };
        self.wharf.kill();
        while let Some(ledger) = soon("the end of a pusher whose server is gone", pushers.join_next()).await {
            self.ledgers.push(ledger.unwrap());
        }
        gone
    }

    /// With everything deleted and every term over, the store has what the mirror has brought, and nothing else.
    async fn leaks_nothing(mut self) {
        let terms = "grace = \"50ms\"\nupload_expiry = \"50ms\"";
        self.wharf.kill();
        self.wharf.reconfigure(&Self::terms(&self.upstream, terms));
        self.wharf.restart().await;
        for ledger in &mut self.ledgers {
            ledger.clear(Pusher::at(self.wharf.address())).await;
        }
        let cached: Vec<&str> = self.stock.shared().iter().map(Content::digest).collect();
        for blob in self.stock.shared() {
            let (_, digest, _) = self.wharf.open(&blob_path(MIRRORED, blob)).await.hashed().await;
            assert_eq!(digest, blob.digest());
        }
        let rubbish = |file: &Path| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            !cached.contains(&format!("sha256:{name}").as_str())
        };
        self.wharf.clears(rubbish).await;
    }
}

/// strace's options for SIGKILL before a thread's nth call.
fn at_step(call: &str, nth: u64) -> [String; 4] {
    [
        "-e".to_owned(),
        format!("trace={call}"),
        "-e".to_owned(),
        format!("inject={call}:signal=SIGKILL:when={nth}"),
    ]
}
