//! Owns: running a Docker credential helper: `COMMAND get`, the registry on its standard input, JSON on its output.
//!
//! Promises: bounded in time and output, and no process is left behind. What it complains of on its standard error is
//! not kept: shell scripts trace secrets there.
//! Dropped: the helper is stopped, with all that it has started.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::tasks::Tasks;

use super::super::secret::Secret;
use super::credential::Credential;
use super::server::Server;
use super::source::Given;
use super::unavailable::Unavailable;

/// Largest answer, in bytes.
const LARGEST: usize = 64 * 1024;
/// So much of a message is repeated, in characters.
const LONGEST_MESSAGE: usize = 200;
const PREFIX: &str = "docker-credential-";

/// A command and what it is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) struct Helper {
    command: String,
    server: Server,
    lifetime: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Helper {
    /// `name` is a path, or a command with or without Docker's prefix: `ecr-login` is `docker-credential-ecr-login`.
    pub(super) fn new(name: &str, server: Server, lifetime: Duration) -> Self {
        let command = if name.contains('/') || name.starts_with(PREFIX) {
            name.to_owned()
        } else {
            format!("{PREFIX}{name}")
        };
        Self {
            command,
            server,
            lifetime,
        }
    }

    /// How long its answer may be used.
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Asks it, for `within` at most.
    pub(super) async fn ask(&self, tasks: &Tasks, within: Duration) -> Result<Given, Unavailable> {
        let asked = timeout(within, self.run(tasks)).await;
        asked.unwrap_or_else(|_| {
            Err(Unavailable::TooLong {
                command: self.command.clone(),
                server: self.server.to_string(),
                within,
            })
        })
    }

    async fn run(&self, tasks: &Tasks) -> Result<Given, Unavailable> {
        let failed = |source| Unavailable::NoHelper {
            command: self.command.clone(),
            source,
        };
        let mut running = Running::start(&self.command, tasks).await?.map_err(failed)?;
        let output = running.ask(self.server.as_str()).await.map_err(failed)?;
        if output.len() > LARGEST {
            return Err(self.bad_answer());
        }
        let status = running.end().await.map_err(failed)?;
        if !status.success() {
            return Err(Unavailable::Failed {
                command: self.command.clone(),
                server: self.server.to_string(),
                status,
                said: message(&output),
            });
        }
        let given = read(&output).map(|credential| Given::Credential(Arc::new(credential)));
        given.ok_or_else(|| self.bad_answer())
    }

    fn bad_answer(&self) -> Unavailable {
        Unavailable::BadAnswer {
            command: self.command.clone(),
            server: self.server.to_string(),
        }
    }
}

/// A helper in a process group of its own, which is stopped as a whole unless the helper has ended.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    /// The outer error is about wharf, the inner one about the command.
    async fn start(command: &str, tasks: &Tasks) -> Result<io::Result<Self>, Unavailable> {
        let mut command = Command::new(command);
        command.arg("get").process_group(0).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // To start a command is to read it from a disk.
        let started = tasks.blocking(move || command.spawn()).await;
        Ok(started.map_err(|_| Unavailable::GivenUp)?.map(|child| {
            let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            Self { child, group }
        }))
    }

    /// All that it says, of [`LARGEST`] bytes and one at most.
    async fn ask(&mut self, server: &str) -> io::Result<Vec<u8>> {
        if let Some(mut input) = self.child.stdin.take() {
            // A helper that knows one registry only may not read it: then the pipe is broken, and all is well.
            let _ = input.write_all(server.as_bytes()).await;
        }
        let mut said = Vec::new();
        if let Some(output) = self.child.stdout.take() {
            output.take(LARGEST as u64 + 1).read_to_end(&mut said).await?;
        }
        Ok(said)
    }

    async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // Its number may be another's from now on.
        self.group = None;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn read(output: &[u8]) -> Option<Credential> {
    let Answer { username, secret } = serde_json::from_slice(output).ok()?;
    (!secret.is_empty()).then(|| Credential::new(username, Secret::from(secret)))
}

/// The first line, which by the protocol is an error message. What looks like an answer all the same is not repeated.
fn message(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    match line {
        None => "no message".to_owned(),
        Some(_) if text.contains('{') => "a message that may hold a secret".to_owned(),
        Some(line) => line.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect(),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn a_helper_has_a_short_name_a_long_one_or_a_path() {
        let server = Server::of(&Url::parse("https://1.dkr.ecr.us-east-1.amazonaws.com").unwrap());
        assert_eq!(server.as_str(), "1.dkr.ecr.us-east-1.amazonaws.com");
        for (name, expected) in [
            ("ecr-login", "docker-credential-ecr-login"),
            ("docker-credential-ecr-login", "docker-credential-ecr-login"),
            ("/opt/bin/login", "/opt/bin/login"),
            ("./login", "./login"),
        ] {
            assert_eq!(Helper::new(name, server.clone(), Duration::MAX).command, expected);
        }
    }

    #[test]
    fn a_message_is_one_line_of_a_terminal() {
        assert_eq!(message(b"\n  no such\x1b[31m key \nmore\n"), "no such[31m key");
        assert_eq!(message(&[b'x'; 1000]).len(), LONGEST_MESSAGE);
        assert_eq!(message(b" \n"), "no message");
    }
}
