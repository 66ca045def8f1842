//! A registry of our own on a real socket: tells the truth unless a script says otherwise, and keeps a record of every request
//! and of every body byte that the socket took. Written on the bare socket, because no HTTP library can truncate, stall or lie.
//!
//! Dropping it closes the port and every connection, and fails the test if it was told a secret that is not its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::image::{Content, Image, OCI_INDEX};
use super::leaks;
use super::registry::{Door, Registry, Request};
use super::reply::{After, Reply, Wire};
use super::script::{Act, On, Rule};
use super::soon;

/// A request in the record.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) request: Request,
    /// 0 until the answer's status is decided.
    status: AtomicU64,
    sent: AtomicU64,
}

impl Seen {
    pub(crate) fn status(&self) -> u64 {
        self.status.load(Ordering::SeqCst)
    }

    /// Body bytes that the socket took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct Upstream {
    shared: Arc<Shared>,
    running: Mutex<Option<DropGuard>>,
}

struct Shared {
    base: String,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    certificate: Option<String>,
    registry: Mutex<Registry>,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Arc<Seen>>>,
    connections: AtomicUsize,
    /// Bumped at every request and every body byte sent.
    changes: watch::Sender<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// An open registry in clear text.
    pub(crate) fn start() -> Self {
        Self::with_door(Door::Open)
    }

    pub(crate) fn with_door(door: Door) -> Self {
        Self::build(door, false)
    }

    /// With a certificate for 127.0.0.1 and localhost that signs itself: [`Upstream::certificate`].
    pub(crate) fn start_tls() -> Self {
        Self::build(Door::Open, true)
    }

    fn build(door: Door, tls: bool) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, certificate) = if tls { self_signed() } else { (None, None) };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            base: format!("{scheme}://{address}"),
            address,
            tls,
            certificate,
            registry: Mutex::new(Registry::new(door, address.port())),
            rules: Mutex::default(),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
        });
        let upstream = Self {
            shared,
            running: Mutex::new(None),
        };
        upstream.run(listener);
        upstream
    }

    fn run(&self, listener: TcpListener) {
        let stop = CancellationToken::new();
        tokio::spawn(accept(Arc::clone(&self.shared), listener, stop.clone()));
        *self.running.lock().unwrap() = Some(stop.drop_guard());
    }

    /// Closes the port and every connection: from now on connections are refused.
    pub(crate) async fn stop(&self) {
        drop(self.running.lock().unwrap().take());
        let refused = async {
            while TcpStream::connect(self.shared.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        soon("the upstream's port to close", refused).await;
    }

    /// Comes back on the same port; a child process that is just being started may hold it for a moment yet.
    pub(crate) async fn resume(&self) {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        let listener = soon("the port to be free", async {
            loop {
                looks.tick().await;
                if let Ok(listener) = listen(self.shared.address) {
                    return listener;
                }
            }
        });
        self.run(listener.await);
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.base
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// PEM.
    pub(crate) fn certificate(&self) -> &str {
        self.shared.certificate.as_deref().expect("an upstream with TLS")
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn holds<R>(&self, change: impl FnOnce(&mut Registry) -> R) -> R {
        change(&mut self.shared.registry.lock().unwrap())
    }

    pub(crate) fn put_blob(&self, name: &str, blob: &Content) {
        self.holds(|registry| registry.put_blob(name, blob.digest(), blob));
    }

    /// An image with its blobs, under a tag.
    pub(crate) fn put_image(&self, name: &str, tag: &str, image: &Image) {
        image.blobs.iter().for_each(|blob| self.put_blob(name, blob));
        self.put_manifest(name, tag, image.media_type, &image.manifest);
    }

    /// An index with its images, under a tag.
    pub(crate) fn put_index(&self, name: &str, tag: &str, images: &[&Image]) -> Content {
        for image in images {
            self.put_image(name, image.digest(), image);
        }
        let index = Image::index(images);
        self.put_manifest(name, tag, OCI_INDEX, &index);
        index
    }

    pub(crate) fn put_manifest(&self, name: &str, tag: &str, media_type: &str, manifest: &Content) {
        self.holds(|registry| {
            registry.put_manifest(name, manifest.digest(), media_type, manifest);
            registry.put_tag(name, tag, manifest.digest());
        });
    }

    /// From now on requests that match are answered so; the newest matching rule wins.
    pub(crate) fn script(&self, on: On, acts: impl Into<Vec<Act>>) {
        self.shared.rules.lock().unwrap().push(Rule::new(on, acts.into()));
    }

    /// Forgets every script.
    pub(crate) fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// The requests so far that match, in order of arrival.
    pub(crate) fn seen(&self, on: &On) -> Vec<Arc<Seen>> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|seen| on.matches(&seen.request)).cloned().collect()
    }

    pub(crate) fn count(&self, on: &On) -> usize {
        self.seen(on).len()
    }

    /// Body bytes sent in answer to matching requests.
    pub(crate) fn sent(&self, on: &On) -> u64 {
        self.seen(on).iter().map(|seen| seen.sent()).sum()
    }

    /// One line per request, for assertion messages.
    pub(crate) fn story(&self) -> String {
        let line = |seen: &Arc<Seen>| {
            let request = &seen.request;
            let range = request.header("range").unwrap_or("-");
            format!(
                "  {} {}?{} range {range}: {}, {} bytes\n",
                request.method,
                request.path,
                request.query,
                seen.status(),
                seen.sent()
            )
        };
        self.seen(&On::any()).iter().map(line).collect()
    }

    /// Waits until `state` holds of this upstream.
    pub(crate) async fn until(&self, what: &str, state: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        let reached = async {
            while !state(self) {
                changes.changed().await.expect("the sender lives in self");
            }
        };
        soon(what, reached).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let registry = self.shared.registry.lock().unwrap();
        let realm = registry.realm.as_deref().unwrap_or_default();
        let ports = [leaks::ports(realm), vec![self.shared.address.port()]].concat();
        let seen = self.shared.seen.lock().unwrap();
        let leaked: Vec<_> = seen
            .iter()
            .flat_map(|seen| leaks::leaked(&seen.request, &ports))
            .collect();
        drop((seen, registry));
        assert!(
            leaked.is_empty() || std::thread::panicking(),
            "{} must not have seen:\n{}",
            self.url(),
            leaked.join("\n")
        );
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Small, so that bytes counted as sent are soon bytes received.
    socket.set_send_buffer_size(64 * 1024)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn self_signed() -> (Option<TlsAcceptor>, Option<String>) {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Some(TlsAcceptor::from(Arc::new(config))), Some(made.cert.pem()))
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    let accepting = async {
        while let Ok((socket, _)) = listener.accept().await {
            shared.connections.fetch_add(1, Ordering::SeqCst);
            shared.changes.send_modify(|changes| *changes += 1);
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            tokio::spawn(async move { stop.run_until_cancelled(connection(shared, socket)).await });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

async fn connection(shared: Arc<Shared>, socket: TcpStream) {
    socket.set_nodelay(true).unwrap();
    match &shared.tls {
        None => serve(&shared, socket).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                serve(&shared, stream).await;
            }
        }
    }
}

async fn serve(shared: &Shared, mut wire: impl Wire) {
    let mut unread = Vec::new();
    while let Some(head) = read_head(&mut wire, &mut unread).await {
        let Some(request) = Request::parse(&head) else {
            return;
        };
        match respond(shared, &mut wire, request).await {
            Ok(After::KeepAlive) => {}
            Ok(After::Close) | Err(_) => return,
        }
    }
    // The peer may have gone already.
    drop(wire.shutdown().await);
}

async fn read_head(wire: &mut impl Wire, unread: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = unread.split_off(end + 4);
            let head = std::mem::replace(unread, rest);
            return String::from_utf8(head[..end].to_vec()).ok();
        }
        let n = wire.read_buf(unread).await.ok()?;
        if n == 0 {
            return None;
        }
    }
}

async fn respond(shared: &Shared, wire: &mut dyn Wire, request: Request) -> io::Result<After> {
    let bodiless = request.method == "HEAD";
    let seen = Arc::new(Seen {
        request: request.clone(),
        status: AtomicU64::new(0),
        sent: AtomicU64::new(0),
    });
    let number = {
        let mut record = shared.seen.lock().unwrap();
        record.push(Arc::clone(&seen));
        record.len()
    };
    shared.changes.send_modify(|changes| *changes += 1);
    let reply = decide(shared, &request, number);
    seen.status.store(u64::from(reply.status), Ordering::SeqCst);
    let sent = |n| {
        seen.sent.fetch_add(n, Ordering::SeqCst);
        shared.changes.send_modify(|changes| *changes += 1);
    };
    reply.write(wire, bodiless, &sent).await
}

fn decide(shared: &Shared, request: &Request, number: usize) -> Reply {
    let mut registry = shared.registry.lock().unwrap();
    if let Some(refusal) = registry.refusal(request, &shared.base) {
        return refusal;
    }
    let rules = shared.rules.lock().unwrap();
    let acts = rules
        .iter()
        .rev()
        .find_map(|rule| rule.take(request))
        .unwrap_or_default();
    registry.answer(request).bent(&acts, number, &request.reference)
}
