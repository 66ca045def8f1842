mod answers;
mod bodies;
mod credentials;
mod endpoints;
mod health;
mod helpers;
mod holds;
mod identity;
mod lists;
mod probes;
mod redirects;
mod referrers;
mod refusals;
mod registries;
mod renewal;
mod tokens;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::engine::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tempfile::TempDir;

use super::super::fake::{Fake, Reply, Seen};
use super::super::fault::{Absence, Fault, Phase, Step};
use super::super::{MirrorConfig, Secret, Verdict};
use super::*;
use crate::oci::Algorithm;

const BLOB: &[u8] = b"0123456789";

struct Asker {
    client: Client,
    clock: Clock,
    remote: RemoteName,
    digest: Digest,
}

fn asker() -> Asker {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let client = Client::new(&Config::default(), Tasks::new(), clock.clone());
    let digest = Digest::of(Algorithm::Sha256, BLOB);
    Asker {
        client,
        clock,
        remote: "org/app".parse().unwrap(),
        digest,
    }
}

impl Asker {
    async fn blob(&self, mirror: &Arc<Mirror>, span: Span) -> Result<BlobBody, Error> {
        self.client
            .get_blob(mirror.endpoints(), &self.remote, &self.digest, span, &Tally::default())
            .await
    }

    async fn whole(&self, mirror: &Arc<Mirror>) -> Result<Vec<u8>, Error> {
        let mut body = self.blob(mirror, Span::default()).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    async fn manifest(&self, mirror: &Arc<Mirror>) -> Result<FetchedManifest, Error> {
        let latest = "latest".parse().unwrap();
        self.client
            .get_manifest(mirror.endpoints(), &self.remote, &latest, &Tally::default())
            .await
    }
}

/// Sixty-four clients at once, each of which gets the whole blob.
async fn whole_to_a_herd(mirror: Arc<Mirror>) {
    let (asker, tasks) = (Arc::new(asker()), Tasks::new());
    let herd: Vec<_> = (0..64)
        .map(|_| {
            let (mirror, asker) = (Arc::clone(&mirror), Arc::clone(&asker));
            tasks.spawn(async move { asker.whole(&mirror).await })
        })
        .collect();
    for member in herd {
        assert_eq!(member.await.unwrap().unwrap(), BLOB);
    }
}

fn ok(body: &[u8]) -> Reply {
    Reply::new(200, &[("Content-Type", "application/octet-stream")], body)
}

fn redirect(to: &str) -> Reply {
    Reply::new(307, &[("Location", to)], b"<a>moved</a>")
}

/// As `Authorization` has it.
fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn challenge(seen: &Seen) -> Reply {
    let own = seen.header("host").unwrap();
    let challenge = format!("Bearer realm=\"http://{own}/token?account=x\",service=\"reg\"");
    Reply::new(401, &[("WWW-Authenticate", &challenge)], b"{}")
}

/// A registry that grants a token to anybody, and content to those who bring one that `accepts`.
async fn token_registry(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Fake {
    let minted = AtomicU32::new(0);
    Fake::start(move |seen| {
        if seen.target().starts_with("/token") {
            let count = minted.fetch_add(1, Ordering::SeqCst) + 1;
            return ok(format!("{{\"token\":\"t{count}\",\"expires_in\":300}}").as_bytes());
        }
        match seen.header("authorization") {
            Some(token) if accepts(token) => ok(BLOB),
            _ => challenge(seen),
        }
    })
    .await
}

/// A deadline that is not kept must fail a test, not slow it down.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("a deadline was not kept")
}

fn quick(config: &mut MirrorConfig) {
    config.connect = Duration::from_millis(150);
    config.first_byte = Duration::from_millis(150);
    config.silence = Duration::from_millis(150);
}

fn login(user: &str, password: &str) -> impl FnOnce(&mut MirrorConfig) {
    move |config| {
        config.username = Some(user.to_owned());
        config.password = Some(Secret::from(password.to_owned()));
    }
}

/// A folder of secrets and of those who know them.
struct Safe(TempDir);

impl Safe {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Put in place as a whole, so that nobody reads half of it.
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn put(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path(name), self.path("new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A helper that notes each call, and then does as `lines` say. Written by a process of its own: while this one holds
    /// the file open, a child that another test starts would hold it too, and nobody could run it.
    fn helper(&self, lines: &str) -> String {
        let path = self.path("docker-credential-test");
        let (calls, path) = (self.path("calls"), path.display().to_string());
        let text = format!(
            "#!/bin/sh\nserver=$(cat)\necho \"$1 $server\" >> {}\n{lines}\n",
            calls.display()
        );
        let made = Command::new("sh")
            .args([
                "-c",
                "printf '%s' \"$2\" > \"$1.new\" && chmod +x \"$1.new\" && mv \"$1.new\" \"$1\"",
                "sh",
            ])
            .args([&path, &text])
            .status();
        assert!(made.unwrap().success());
        path
    }

    fn calls(&self) -> usize {
        self.read("calls").lines().count()
    }
}

/// Asks again and again until `done`; for what happens beside the requests.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut pace = tokio::time::interval(Duration::from_millis(2));
        while !done().await {
            pace.tick().await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(20), wait);
    within.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// Whether an error, and all that led to it, keeps these words to itself.
fn keeps(error: &Error, secrets: &[&str]) -> bool {
    let mut told = format!("{error} {error:?}");
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        write!(told, "{cause} {cause:?}").unwrap();
        next = cause.source();
    }
    !secrets.iter().any(|secret| told.contains(secret))
}
