//! What the store costs `wharf serve`, and what evictions cost its clients.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::runtime::Handle;

use crate::fill::{Filled, shuffled};
use crate::support::process::Process;
use crate::table::{Figures, shortest};
use crate::wire::Wire;

const STARTS: usize = 5;
/// Blobs that are pulled, one after the other, again and again.
const PULLED: usize = 500;
/// Blobs that are evicted at a time, where there are enough.
const EVICTED: u64 = 10_000;
/// Until nothing of a start is under way any more.
const SETTLED: Duration = Duration::from_secs(3);

/// The room that a store has.
#[derive(Debug, Clone, Copy)]
enum Room {
    ForAll,
    /// So many of its blobs are too many.
    TooLittle(u64),
}

#[derive(Debug)]
pub(crate) struct Served<'a> {
    filled: &'a Filled,
}

impl<'a> Served<'a> {
    pub(crate) fn of(filled: &'a Filled) -> Self {
        Self { filled }
    }

    pub(crate) async fn starts(&self, figures: &mut Figures) {
        let mut runs = Vec::new();
        for _ in 0..STARTS {
            let begun = Instant::now();
            let (mut process, _) = self.start(Room::ForAll, self.filled.blobs).await;
            runs.push(begun.elapsed());
            stop(&mut process).await;
        }
        figures.add("wharf serve until /v2/ answers, ms", shortest(runs));
        let (mut process, _) = self.start(Room::ForAll, self.filled.blobs).await;
        tokio::time::sleep(SETTLED).await;
        figures.add("resident when idle, MiB", resident(process.pid()));
        process.kill();
        let begun = Instant::now();
        let (mut process, _) = self.start(Room::ForAll, self.filled.blobs).await;
        figures.add("the same after kill -9, ms", shortest([begun.elapsed()]));
        while !process.log().contains("looked for blobs that an unclean stop") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let spent = cpu(process.pid()) * 1e3 / (self.filled.blobs as f64 / 1e3);
        figures.add("all files are looked at, CPU ms per 1000 blobs", spent);
        figures.add("resident after that, MiB", resident(process.pid()));
        stop(&mut process).await;
    }

    /// Twice: nobody pulls while the first is made, and the second is what pulls are made beside. They are made again
    /// then, with nothing beside them.
    pub(crate) async fn evictions(&self, figures: &mut Figures) {
        let some = EVICTED.min(self.filled.blobs / 5);
        let (mut process, _) = self.start(Room::TooLittle(some), self.filled.blobs).await;
        let (gone, steps) = evicted(&process, some).await;
        let per_thousand = cpu(process.pid()) * 1e3 / (gone as f64 / 1e3);
        figures.add("evictions, CPU ms per 1000 blobs, the start included", per_thousand);
        figures.add("evicted in a step, blobs", gone as f64 / steps as f64);
        stop(&mut process).await;

        let left = self.filled.blobs - gone;
        let (mut process, address) = self.start(Room::TooLittle(some), left).await;
        let (done, begun) = (AtomicBool::new(false), Instant::now());
        let beside = std::thread::scope(|scope| {
            let pulls = scope.spawn(|| self.pull(address, usize::MAX, &done));
            tokio::task::block_in_place(|| Handle::current().block_on(evicted(&process, some)));
            done.store(true, Ordering::Relaxed);
            pulls.join().unwrap()
        });
        let rate = some as f64 / begun.elapsed().as_secs_f64();
        stop(&mut process).await;
        let (mut process, address) = self.start(Room::ForAll, left).await;
        let alone = self.pull(address, beside.len(), &AtomicBool::new(false));
        stop(&mut process).await;
        figures.add("evicted beside pulls, blobs a second", rate);
        figures.add_times("a cached pull", alone);
        figures.add_times("a cached pull beside evictions", beside);
    }

    /// Until `/v2/` answers. It has `blobs` now.
    async fn start(&self, room: Room, blobs: u64) -> (Process, SocketAddr) {
        let home = self.filled.home();
        std::fs::write(home.join("wharf.toml"), self.toml(room, blobs)).unwrap();
        let log = ("RUST_LOG".to_owned(), "info,wharf::store::budget=debug".to_owned());
        let process = Process::start(home, &["serve", "--config", "wharf.toml"], &[log]);
        let told = |log: &str| {
            log.split_once("listening on ")?
                .1
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        let address = process.tells("address", told).await;
        Wire::connect(address).ask("GET", "/v2/", &[], 200);
        (process, address)
    }

    fn toml(&self, room: Room, blobs: u64) -> String {
        let store = self.filled.store();
        let max_size = match room {
            Room::ForAll => "100%".to_owned(),
            // A sixty-fourth is kept free.
            Room::TooLittle(some) => ((blobs - some) * self.of_one() * 64 / 63).to_string(),
        };
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\n\
             [store]\npath = \"{}\"\nmax_size = \"{max_size}\"\nmin_free = \"0\"\n\n\
             [mirror.\"hub\"]\nendpoints = [\"http://127.0.0.1:1\"]\n",
            store.display()
        )
    }

    /// What one blob takes on the disk, in bytes.
    fn of_one(&self) -> u64 {
        let mut files = std::fs::read_dir(self.filled.store().join("blobs/sha256")).unwrap();
        files.next().unwrap().unwrap().metadata().unwrap().blocks() * 512
    }

    /// Blobs of the half that does not go, one after the other, until so many are pulled, or `done`.
    fn pull(&self, address: SocketAddr, most: usize, done: &AtomicBool) -> Vec<Duration> {
        let mut client = Wire::connect(address);
        let blobs = shuffled(self.filled.blobs / 2..self.filled.blobs);
        let targets: Vec<_> = blobs
            .take(PULLED)
            .map(|(repo, digest)| format!("/v2/{repo}/blobs/{digest}"))
            .collect();
        let mut times = Vec::new();
        for target in targets.iter().cycle().take(most) {
            let begun = Instant::now();
            client.ask("GET", target, &[], 200);
            times.push(begun.elapsed());
            if done.load(Ordering::Relaxed) {
                break;
            }
        }
        times
    }
}

/// Waits until about so many blobs are evicted: how many, and in how many steps.
async fn evicted(process: &Process, some: u64) -> (u64, u64) {
    loop {
        let log = process.log();
        let steps = log
            .lines()
            .filter_map(|line| line.split_once("evicted gone=")?.1.split(' ').next()?.parse().ok());
        let steps: Vec<u64> = steps.collect();
        if steps.iter().sum::<u64>() + 1 >= some {
            return (steps.iter().sum(), steps.len() as u64);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn stop(process: &mut Process) {
    process.signal(Signal::TERM);
    assert!(process.ends().await.success(), "{}", process.log());
}

/// Seconds that a process has computed.
pub(crate) fn cpu(pid: u32) -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, behind_name) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = behind_name.split_whitespace().collect();
    // utime and stime, proc(5).
    [11, 12].map(|n| fields[n].parse::<f64>().unwrap()).iter().sum::<f64>() / TICKS
}

/// In MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
