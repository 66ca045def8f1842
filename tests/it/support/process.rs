//! A child process of the binary under test and what it says on both of its outputs. It does not outlive its owner, and is only
//! ever ended by its own pid.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::soon;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    said: Arc<watch::Sender<Said>>,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    /// Of the two outputs; both are closed when the process has ended.
    closed: u32,
}

impl Process {
    pub(crate) fn start(home: &Path, arguments: &[&str], environment: &[(String, String)]) -> Self {
        Self::start_under(&[], home, arguments, environment)
    }

    /// Through another program and its arguments, which must hand over its own process.
    pub(crate) fn start_under(
        under: &[&str],
        home: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let mut line = under.iter().chain(&[env!("CARGO_BIN_EXE_wharf")]).chain(arguments);
        let program = line.next().unwrap();
        let mut child = Command::new(program)
            .args(line)
            .current_dir(home)
            .env_clear()
            .env("NO_COLOR", "1")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = Arc::default();
        follow(&said, child.stdout.take().unwrap());
        follow(&said, child.stderr.take().unwrap());
        Self { child, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said.
    pub(crate) fn log(&self) -> String {
        self.said.borrow().text.clone()
    }

    /// Waits until the log gives an answer, or the process has ended; then it panics with the log.
    pub(crate) async fn tells<R>(&self, what: &str, read: impl Fn(&str) -> Option<R>) -> R {
        let told = self.may_tell(what, read).await;
        told.unwrap_or_else(|| panic!("no {what} from a process that ended with:\n{}", self.log()))
    }

    /// Waits until the log gives an answer, or the process has ended without one.
    pub(crate) async fn may_tell<R>(&self, what: &str, read: impl Fn(&str) -> Option<R>) -> Option<R> {
        let told = |said: &Said| read(&said.text).is_some() || said.closed == 2;
        self.until(what, told).await;
        read(&self.log())
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        self.until("the process to end", |said| said.closed == 2).await;
        self.child.wait().unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    async fn until(&self, what: &str, state: impl Fn(&Said) -> bool) {
        let mut changes = self.said.subscribe();
        let reached = changes.wait_for(|said| state(said));
        drop(soon(what, reached).await.unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already: both calls then say so, and nothing is left to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn follow(said: &Arc<watch::Sender<Said>>, output: impl Read + Send + 'static) {
    let said = Arc::clone(said);
    let read = move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.send_modify(|said| {
                said.text.push_str(&line);
                said.text.push('\n');
            });
        }
        said.send_modify(|said| said.closed += 1);
    };
    std::thread::Builder::new()
        .name("wharf's output".to_owned())
        .spawn(read)
        .unwrap();
}
