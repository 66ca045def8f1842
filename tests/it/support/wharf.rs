//! wharf itself: the real binary as a child process on a store of its own, killed by its own pid when dropped.
//!
//! Deadlines are generous by default, so that a slow machine changes nothing; a test about a deadline sets a short one. When a
//! test fails, the child's log is printed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::watch;

use super::client::{Answer, Client, Response};
use super::soon;
use super::upstream::Upstream;

/// A mirror in the configuration: its key and its lines.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    key: String,
    lines: Vec<String>,
}

impl Mirror {
    pub(crate) fn of(key: &str, upstream: &Upstream) -> Self {
        Self::at(key, upstream.url())
    }

    pub(crate) fn at(key: &str, endpoint: &str) -> Self {
        let mirror = Self {
            key: key.to_owned(),
            lines: Vec::new(),
        };
        mirror
            .set("endpoints", &format!("[\"{endpoint}\"]"))
            .set("fresh_for", "\"1h\"")
            .set("first_byte", "\"25s\"")
    }

    /// A line of TOML; the last one for a key counts.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.lines
            .retain(|line| !line.starts_with(&format!("{key} = ")));
        self.lines.push(format!("{key} = {value}"));
        self
    }
}

#[derive(Debug, Default)]
pub(crate) struct Setup {
    server: Vec<String>,
    mirrors: Vec<Mirror>,
    environment: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn mirror(mut self, mirror: Mirror) -> Self {
        self.mirrors.push(mirror);
        self
    }

    pub(crate) fn server(mut self, key: &str, value: &str) -> Self {
        self.server.push(format!("{key} = {value}"));
        self
    }

    /// Makes wharf trust an upstream's certificate.
    pub(crate) fn trusting(mut self, upstream: &Upstream) -> Self {
        self.environment.push((
            "SSL_CERT_FILE".to_owned(),
            upstream.certificate().to_owned(),
        ));
        self
    }

    pub(crate) async fn start(self) -> Wharf {
        Wharf::start(self).await
    }

    fn toml(&self, store: &Path) -> String {
        let mut text = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
        self.server
            .iter()
            .for_each(|line| writeln!(text, "{line}").unwrap());
        writeln!(text, "\n[store]\npath = \"{}\"", store.display()).unwrap();
        for mirror in &self.mirrors {
            writeln!(
                text,
                "\n[mirror.\"{}\"]\n{}",
                mirror.key,
                mirror.lines.join("\n")
            )
            .unwrap();
        }
        text
    }
}

#[derive(Debug)]
pub(crate) struct Wharf {
    child: Child,
    address: SocketAddr,
    log: Log,
    environment: Vec<(String, String)>,
    home: TempDir,
}

impl Wharf {
    /// A wharf with one mirror, key `hub`.
    pub(crate) async fn of(upstream: &Upstream) -> Self {
        Setup::new()
            .mirror(Mirror::of("hub", upstream))
            .start()
            .await
    }

    async fn start(setup: Setup) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(
            home.path().join("wharf.toml"),
            setup.toml(&home.path().join("store")),
        )
        .unwrap();
        let mut environment = setup.environment;
        for (name, value) in &mut environment {
            if name == "SSL_CERT_FILE" {
                let file = home.path().join("roots.pem");
                std::fs::write(&file, &*value).unwrap();
                *value = file.display().to_string();
            }
        }
        let log = Log::default();
        let child = launch(home.path(), &environment, &log);
        let address = log.address().await;
        Self {
            child,
            address,
            log,
            environment,
            home,
        }
    }

    /// Starts anew on the same store, after [`Wharf::kill`] or [`Wharf::terminate`].
    pub(crate) async fn restart(&mut self) {
        self.log.clear();
        self.child = launch(self.home.path(), &self.environment, &self.log);
        self.address = self.log.address().await;
    }

    /// A second process on the same store, that must end by itself: its exit status and what it said.
    pub(crate) async fn rival(&self) -> (ExitStatus, String) {
        let log = Log::default();
        let mut rival = launch(self.home.path(), &self.environment, &log);
        log.until("the second process to end", |log| log.ended)
            .await;
        (rival.wait().unwrap(), log.text())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// What it has logged since it was started.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a log line that contains `text`.
    pub(crate) async fn logs(&self, text: &str) {
        self.log.until(text, |log| log.text.contains(text)).await;
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    pub(crate) async fn open(&self, target: &str) -> Response {
        self.connect().await.get(target).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        self.connect().await.send(method, target, headers).await
    }

    /// GET, read to the end.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.open(target).await.whole().await
    }

    /// GET of a range, read to the end.
    pub(crate) async fn range(&self, target: &str, range: &str) -> Answer {
        self.send("GET", target, &[("Range", range)])
            .await
            .whole()
            .await
    }

    pub(crate) async fn head(&self, target: &str) -> Answer {
        self.send("HEAD", target, &[]).await.whole().await
    }

    /// Asks until the answer comes out of the store: what was proven has landed.
    pub(crate) async fn landed(&self, target: &str) {
        let mut steps = tokio::time::interval(Duration::from_millis(5));
        let stored = async {
            while self.head(target).await.header("cache-status") != Some("wharf; hit") {
                steps.tick().await;
            }
        };
        soon("the content to be stored", stored).await;
    }

    /// Whether the process still holds its end of this client's connection.
    pub(crate) fn holds(&self, client_port: u16) -> bool {
        let ports = [
            format!(":{:04X}", self.address.port()),
            format!(":{client_port:04X}"),
        ];
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        // Column 9 is the inode: 0 when only the kernel is still busy with it.
        rows.any(|row| row[1].ends_with(&ports[0]) && row[2].ends_with(&ports[1]) && row[9] != "0")
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; does not wait for the end.
    pub(crate) fn signal_term(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        self.log.until("wharf to end", |log| log.ended).await;
        self.child.wait().unwrap()
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
        // It may have ended already: both calls then say so, and nothing is left to do.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!(
                "---- wharf's log ----\n{}---- end of wharf's log ----",
                self.log()
            );
        }
    }
}

fn launch(home: &Path, environment: &[(String, String)], log: &Log) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["serve", "--config"])
        .arg(home.join("wharf.toml"))
        .current_dir(home)
        .env_clear()
        .env("NO_COLOR", "1")
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    log.follow("stdout", child.stdout.take().unwrap());
    log.follow("stderr", child.stderr.take().unwrap());
    child
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    closed: u32,
    ended: bool,
}

/// What a child says on both of its outputs.
#[derive(Clone, Debug, Default)]
struct Log {
    said: Arc<watch::Sender<Said>>,
}

impl Log {
    fn follow(&self, name: &str, output: impl std::io::Read + Send + 'static) {
        let said = Arc::clone(&self.said);
        let read = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                said.send_modify(|said| {
                    said.text.push_str(&line);
                    said.text.push('\n');
                });
            }
            said.send_modify(|said| {
                said.closed += 1;
                said.ended = said.closed == 2;
            });
        };
        std::thread::Builder::new()
            .name(format!("wharf {name}"))
            .spawn(read)
            .unwrap();
    }

    fn clear(&self) {
        self.said.send_replace(Said::default());
    }

    fn text(&self) -> String {
        self.said.borrow().text.clone()
    }

    async fn until(&self, what: &str, state: impl Fn(&Said) -> bool) {
        let mut changes = self.said.subscribe();
        let reached = changes.wait_for(|said| state(said));
        drop(soon(what, reached).await.unwrap());
    }

    /// The address in the line `listening on ADDRESS`.
    async fn address(&self) -> SocketAddr {
        let told = |said: &Said| {
            let (_, rest) = said.text.split_once("listening on ")?;
            rest.split_whitespace().next()?.parse().ok()
        };
        self.until("wharf to listen", |said| said.ended || told(said).is_some())
            .await;
        let said = self.said.borrow();
        told(&said).unwrap_or_else(|| panic!("wharf did not start:\n{}", said.text))
    }
}
