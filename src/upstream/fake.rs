//! Owns: an upstream for unit tests that answers by script, to the byte, and remembers what it was asked.
//!
//! One request per connection. It speaks no HTTP library's HTTP, because the tests want bodies that none would send.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::tasks::Tasks;

use super::config::MirrorConfig;
use super::mirror::Mirror;

pub(super) struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

pub(super) struct Reply {
    /// How long it takes to come.
    after: Duration,
    bytes: Vec<u8>,
    then: Then,
}

enum Then {
    Close,
    Stall,
    Trickle,
}

impl Fake {
    pub(super) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, script, tasks) = (Arc::clone(&seen), Arc::new(script), Tasks::new());
        let handlers = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                handlers.spawn(async move { answer(stream, &log, &*script).await });
            }
        });
        Self { address, seen }
    }

    pub(super) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// A mirror of this upstream with deadlines fit for a test; `adjust` may change its table.
    pub(super) fn mirror(&self, adjust: impl FnOnce(&mut MirrorConfig)) -> Arc<Mirror> {
        let mut config = MirrorConfig {
            endpoints: vec![format!("http://{}", self.address)],
            ..MirrorConfig::default()
        };
        adjust(&mut config);
        Arc::new(Mirror::new("hub", &config).unwrap())
    }

    /// What was asked so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests went to paths that begin so.
    pub(super) fn asked(&self, path: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.target().starts_with(path))
            .count()
    }
}

impl Seen {
    pub(super) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    pub(super) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Self {
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Self {
            line,
            headers: headers.collect(),
            body: String::new(),
        }
    }

    async fn read_body(mut self, stream: &mut TcpStream) -> Self {
        let length = self
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        self.body = String::from_utf8(body).unwrap();
        self
    }
}

impl Reply {
    /// An answer whose length is told, unless a header tells another.
    pub(super) fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.extend([*name, ": ", *value, "\r\n"]);
        }
        let framing = ["content-length", "transfer-encoding"];
        if !headers
            .iter()
            .any(|(name, _)| framing.contains(&name.to_ascii_lowercase().as_str()))
        {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        let bytes = [head.as_bytes(), b"\r\n", body].concat();
        Self {
            after: Duration::ZERO,
            bytes,
            then: Then::Close,
        }
    }

    /// Nothing at all.
    pub(super) fn silence() -> Self {
        Self {
            after: Duration::ZERO,
            bytes: Vec::new(),
            then: Then::Stall,
        }
    }

    /// The connection is closed without an answer.
    pub(super) fn hang_up() -> Self {
        Self {
            after: Duration::ZERO,
            bytes: Vec::new(),
            then: Then::Close,
        }
    }

    /// It keeps the client waiting.
    pub(super) fn late(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The connection stays open after the last byte.
    pub(super) fn then_stall(self) -> Self {
        Self {
            then: Then::Stall,
            ..self
        }
    }

    /// One more byte, and one more, for ever.
    pub(super) fn then_trickle(self) -> Self {
        Self {
            then: Then::Trickle,
            ..self
        }
    }
}

async fn answer(mut stream: TcpStream, log: &Mutex<Vec<Seen>>, script: &(dyn Fn(&Seen) -> Reply + Sync)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            // A TLS hello instead of a request: plain http servers answer that in plain text.
            Ok(0x16) => {
                return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            }
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let seen = Seen::parse(&String::from_utf8(head).unwrap());
    let seen = seen.read_body(&mut stream).await;
    log.lock().unwrap().push(seen.clone());
    let Reply { after, mut bytes, then } = script(&seen);
    tokio::time::sleep(after).await;
    if seen.method() == "HEAD" {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        bytes.truncate(end.map_or(bytes.len(), |end| end + 4));
    }
    // The client may have heard enough and gone.
    let _ = stream.write_all(&bytes).await;
    match then {
        Then::Close => {}
        Then::Stall => std::future::pending().await,
        Then::Trickle => {
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while stream.write_all(b" ").await.is_ok() {
                pace.tick().await;
            }
        }
    }
    let _ = stream.shutdown().await;
}
