mod answers;
mod bodies;
mod lists;
mod redirects;
mod referrers;
mod tokens;

use std::time::Duration;

use jiff::Timestamp;

use super::super::fake::{Fake, Reply, Seen};
use super::super::fault::{Fault, Phase, Step};
use super::super::{MirrorConfig, Verdict};
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
    let client = Client::new(Tasks::new(), clock.clone());
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
            .get_blob(mirror, &self.remote, &self.digest, span, &Tally::default())
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
            .get_manifest(mirror, &self.remote, &latest, &Tally::default())
            .await
    }
}

fn ok(body: &[u8]) -> Reply {
    Reply::new(200, &[("Content-Type", "application/octet-stream")], body)
}

fn redirect(to: &str) -> Reply {
    Reply::new(307, &[("Location", to)], b"<a>moved</a>")
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
