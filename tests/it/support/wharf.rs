//! wharf itself: the real binary as a child process on a store of its own, killed by its own pid when dropped.
//!
//! Deadlines are generous by default, so that a slow machine changes nothing; a test about a deadline sets a short one. When a
//! test fails, the child's log is printed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::client::{Answer, Client, Response};
use super::disk::Mount;
use super::leaks;
use super::process::Process;
pub(crate) use super::setup::{Mirror, Setup};
use super::upstream::Upstream;
use super::{GUARD, soon};

#[derive(Debug)]
pub(crate) struct Wharf {
    process: Process,
    address: SocketAddr,
    environment: Vec<(String, String)>,
    under: Vec<&'static str>,
    disk: Option<Mount>,
    home: TempDir,
}

impl Wharf {
    /// A wharf with one mirror, key `hub`.
    pub(crate) async fn of(upstream: &Upstream) -> Self {
        Setup::new().mirror(Mirror::of("hub", upstream)).start().await
    }

    pub(super) async fn start(setup: Setup) -> Self {
        let home = TempDir::new().unwrap();
        setup.write(home.path());
        let disk = setup.disk.and_then(|mib| Mount::small(&home.path().join("store"), mib));
        let mut environment = setup.environment;
        for (name, value) in &mut environment {
            if name == "SSL_CERT_FILE" {
                let file = home.path().join("roots.pem");
                std::fs::write(&file, &*value).unwrap();
                *value = file.display().to_string();
            }
        }
        let process = Process::start(home.path(), &SERVE, &environment);
        let address = address(&process).await;
        Self {
            process,
            address,
            environment,
            under: Vec::new(),
            disk,
            home,
        }
    }

    /// From the next start on, another program runs it, which must hand over its own process.
    pub(crate) fn under(&mut self, under: &[&'static str]) {
        self.under = under.to_vec();
    }

    /// The file system of the store's own; `None` where the machine mounts none.
    pub(crate) fn disk(&self) -> Option<&Mount> {
        self.disk.as_ref()
    }

    /// Another configuration for the next start; what is in its environment stays as it was.
    pub(crate) fn reconfigure(&self, setup: &Setup) {
        setup.write(self.home.path());
    }

    /// Has another configuration read while it runs, by SIGHUP. Gives what it says about that.
    pub(crate) async fn reload(&self, setup: &Setup) -> String {
        self.reconfigure(setup);
        self.reread().await
    }

    /// As [`Wharf::reload`], of whatever the file says now.
    pub(crate) async fn reread(&self) -> String {
        let before = self.log().len();
        self.process.signal(Signal::HUP);
        let news = |log: &str| {
            let news = &log[before..];
            let over = ["has been read again", "stays as it was"];
            over.iter().any(|words| news.contains(words)).then(|| news.to_owned())
        };
        self.process.tells("word of the configuration", news).await
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.home.path().join("wharf.toml")
    }

    /// Starts anew on the same store, after [`Wharf::kill`] or [`Wharf::ends`].
    pub(crate) async fn restart(&mut self) {
        assert!(self.may_restart(&SERVE).await, "it has ended with:\n{}", self.log());
    }

    /// Starts anew with these arguments; false when it has ended before it listened.
    pub(crate) async fn may_restart(&mut self, arguments: &[&str]) -> bool {
        self.process = Process::start_under(&self.under, self.home.path(), arguments, &self.environment);
        let address = self.process.may_tell("address", told_address).await;
        self.address = address.unwrap_or(self.address);
        address.is_some()
    }

    /// As [`Wharf::restart`], under strace with these options; false when it has ended before it listened.
    pub(crate) async fn restart_traced(&mut self, options: &[&str]) -> bool {
        // -D: the child is wharf itself, and strace its companion.
        let under = [&["strace", "-D", "-f", "-qqq", "-o", "/dev/null"], options].concat();
        self.process = Process::start_under(&under, self.home.path(), &SERVE, &self.environment);
        let address = self.process.may_tell("address", told_address).await;
        self.address = address.unwrap_or(self.address);
        address.is_some()
    }

    /// A second process on the same store, that must end by itself: its exit status and what it said.
    pub(crate) async fn rival(&self) -> (ExitStatus, String) {
        self.run(&SERVE).await
    }

    /// Another process beside it, with these arguments, that must end by itself: its exit status and what it said.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut process = Process::start_under(&self.under, self.home.path(), arguments, &self.environment);
        (process.ends().await, process.log())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// All files that hold content, or parts of it.
    pub(crate) fn content(&self) -> Vec<PathBuf> {
        let mut folders = ["blobs", "staging", "uploads", "trash", "quarantine"]
            .map(|name| self.store().join(name))
            .to_vec();
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            // A folder that is not there holds nothing, and a file may go while we look.
            for entry in std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(_) => found.push(entry.path()),
                    Err(_) => {}
                }
            }
        }
        found
    }

    /// Waits until it holds no file of content that is rubbish.
    pub(crate) async fn clears(&self, rubbish: impl Fn(&Path) -> bool) {
        let left = || {
            self.content()
                .into_iter()
                .filter(|file| rubbish(file))
                .collect::<Vec<_>>()
        };
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let cleared = async {
            while !left().is_empty() {
                looks.tick().await;
            }
        };
        let within = tokio::time::timeout(GUARD, cleared).await;
        assert!(within.is_ok(), "still there: {:#?}", left());
    }

    /// What it has logged since it was started.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it has logged `words`.
    pub(crate) async fn says(&self, words: &str) {
        self.process.tells(words, |log| log.contains(words).then_some(())).await;
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    pub(crate) async fn open(&self, target: &str) -> Response {
        self.connect().await.get(target).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        self.connect().await.send(method, target, headers).await
    }

    /// GET, read to the end.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.open(target).await.whole().await
    }

    /// GET of a range, read to the end.
    pub(crate) async fn range(&self, target: &str, range: &str) -> Answer {
        self.send("GET", target, &[("Range", range)]).await.whole().await
    }

    pub(crate) async fn head(&self, target: &str) -> Answer {
        self.send("HEAD", target, &[]).await.whole().await
    }

    /// Reads a byte again and again until it comes out of the store: what was proven has landed.
    pub(crate) async fn landed(&self, target: &str) {
        let mut steps = tokio::time::interval(Duration::from_millis(5));
        let stored = async {
            while self.range(target, "bytes=0-0").await.header("cache-status") != Some("wharf; hit") {
                steps.tick().await;
            }
        };
        soon("the content to be stored", stored).await;
    }

    /// Whether the process still holds its end of this client's connection.
    pub(crate) fn holds(&self, client_port: u16) -> bool {
        let ports = [format!(":{:04X}", self.address.port()), format!(":{client_port:04X}")];
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // Column 9 is the inode: 0 when only the kernel is still busy with it.
        rows.any(|row| row[1].ends_with(&ports[0]) && row[2].ends_with(&ports[1]) && row[9] != "0")
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; does not wait for the end.
    pub(crate) fn signal_term(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        self.process.ends().await
    }

    /// A line of `/proc/PID/status` in bytes: `VmRSS` now, `VmHWM` at most so far.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status
            .lines()
            .find_map(|text| text.strip_prefix(&format!("{line}:")))
            .unwrap();
        value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Wharf {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- wharf's log ----\n{}---- end of wharf's log ----", self.log());
        } else {
            let told = leaks::told(&self.log());
            assert!(told.is_empty(), "the log must not say:\n{}", told.join("\n"));
        }
    }
}

/// Runs wharf with these arguments in a folder that holds this `wharf.toml`, until it ends by itself: its exit status and what
/// it said.
pub(crate) async fn run(arguments: &[&str], toml: &str) -> (ExitStatus, String) {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("wharf.toml"), toml).unwrap();
    let mut process = Process::start(home.path(), arguments, &[]);
    (process.ends().await, process.log())
}

const SERVE: [&str; 3] = ["serve", "--config", "wharf.toml"];

/// The address in the line that says where it listens.
async fn address(process: &Process) -> SocketAddr {
    process.tells("address", told_address).await
}

fn told_address(log: &str) -> Option<SocketAddr> {
    let words = ["listening on ", "listening address="];
    let (_, rest) = words.iter().find_map(|words| log.split_once(words))?;
    rest.split_whitespace().next()?.parse().ok()
}
