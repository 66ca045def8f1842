//! Owns: the HTTP connections to upstreams: one reqwest client per kind of connection, and sending one request on it.
//!
//! Promises: HTTP/1.1 (unread bodies of one HTTP/2 connection freeze each other), no redirects, retries or decompression
//! of reqwest's own, and no proxy but the one that [`Routes`] names; connect and first-byte deadlines, where a slow
//! connection takes nothing from the answer's time. Without certificate authorities only https fails, when it is asked.
//! A host that its endpoint's health forbids is not dialled, but probed when that is due.
//! Dropped: a request that is dropped closes its connection; a probe goes on.

mod probe;

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Body, Method, Proxy, Request, Response};
use tokio::time::timeout;
use url::Url;

use crate::clock::Clock;
use crate::tasks::Tasks;

use super::Tally;
use super::error::Error;
use super::fault::{Cause, Fault, Phase, Step};
use super::guard::Targets;
use super::health::{Host, Part, Witness};
use super::mirror::{Deadlines, Endpoint};
use super::network::{Config, Pem, ProxyUrl, Routes};
use super::place::Place;
use super::resolve::{Lookups, NoAddress};
use super::shared::outlive;

const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));
/// Shorter than the idle limit of common servers, so that a connection is seldom used in the moment it is closed.
const IDLE: Duration = Duration::from_secs(15);
const LINES: u64 = 1024;
/// Lines that nobody uses go: certificates that have changed make new ones.
const UNUSED: Duration = Duration::from_hours(1);

/// All connections of the process.
#[derive(Clone)]
pub(super) struct Wire {
    tasks: Tasks,
    clock: Clock,
    routes: Arc<Routes>,
    lookups: Lookups,
    lines: Cache<Line, reqwest::Client>,
}

/// One kind of connection; each has its own pool, so that a guarded request never rides on an unguarded connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    targets: Targets,
    connect: Duration,
    proxy: Option<ProxyUrl>,
    /// None: plain http, for which no certificate is read.
    tls: Option<Tls>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Tls {
    pem: Arc<Pem>,
    known: bool,
    verifies: bool,
}

/// One request as it goes out.
#[derive(Clone)]
pub(super) struct Hop<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Option<String>,
    pub(super) targets: Targets,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) part: Part,
    /// Whether a 5xx says something of the host: not where it may just not know the question, or was asked before.
    pub(super) counts: bool,
}

/// The head of an answer, who gave it, and at which address; none through a proxy.
pub(super) struct Heard {
    pub(super) response: Response,
    pub(super) at: Place,
    pub(super) peer: Option<SocketAddr>,
    pub(super) witness: Witness,
}

impl Wire {
    pub(super) fn new(config: &Config, tasks: Tasks, clock: Clock) -> Self {
        let lines = Cache::builder().max_capacity(LINES).time_to_idle(UNUSED);
        Self {
            routes: Arc::new(Routes::new(config)),
            lookups: Lookups::new(tasks.clone()),
            tasks,
            clock,
            lines: lines.build(),
        }
    }

    /// Sends one request and waits for the head of its answer, unless its host is known to give none.
    pub(super) async fn send(&self, hop: Hop<'_>, at: &Place, tally: &Tally) -> Result<Heard, Error> {
        let host = Host {
            origin: hop.url.origin(),
            part: hop.part,
        };
        let witness = Witness::new(hop.endpoint, host, &self.clock);
        if let Err((resting, errand)) = witness.admit() {
            if let Some(errand) = errand {
                self.probe(errand, witness, &hop, at);
            }
            return Err(resting);
        }
        let (counts, is_head) = (hop.counts, hop.method == Method::HEAD);
        let heard = self.dial(hop, &witness, at, tally).await;
        match word(&heard, counts) {
            // A front end asks for a token whatever is behind it.
            Some(Ok(())) if is_challenge(&heard) => {}
            // Whether what it promises comes is for the body to tell.
            Some(Ok(())) if !is_head && brings_content(&heard) => {}
            Some(Ok(())) => witness.is_well(),
            Some(Err(error)) => witness.failed(&error),
            None => {}
        }
        heard
    }

    async fn dial(&self, hop: Hop<'_>, witness: &Witness, at: &Place, tally: &Tally) -> Result<Heard, Error> {
        let limits = hop.endpoint.deadlines();
        let line = self.line(&hop, limits.connect).await;
        let proxy = line.proxy.clone();
        let at = at.through(proxy.as_ref().map(ProxyUrl::authority));
        let client = self.client(line, &at).await?;
        let mut request = Request::new(hop.method.clone(), hop.url.clone());
        *request.headers_mut() = hop.headers.clone();
        *request.body_mut() = hop.body.map(Body::from);
        tally.add();
        // reqwest does not say when the connection stands, and bounds it itself.
        let within = limits.connect + limits.first_byte;
        match timeout(within, client.execute(request)).await {
            Ok(Ok(response)) => {
                let host = proxy.as_ref().map(ProxyUrl::host).or(hop.url.host_str());
                let (peer, failed) = (response.remote_addr(), response.status().is_server_error());
                self.lookups.answered(host, peer, failed).await;
                let peer = peer.filter(|_| proxy.is_none());
                Ok(Heard {
                    response,
                    at,
                    peer,
                    witness: witness.clone(),
                })
            }
            Ok(Err(error)) => Err(failure(error, at, limits, proxy.is_some())),
            Err(_) => Err(Error::Timeout {
                at,
                phase: Phase::FirstByte,
                within,
            }),
        }
    }

    async fn line(&self, hop: &Hop<'_>, connect: Duration) -> Line {
        let Hop {
            url,
            endpoint,
            targets,
            part,
            ..
        } = *hop;
        let network = endpoint.network();
        // Its own host is nothing that a public upstream may have a proxy ask for: asked directly, it is guarded.
        let itself = |proxy: &&ProxyUrl| targets == Targets::Public && url.host_str() == Some(proxy.host());
        let proxy = self
            .routes
            .to(url, network.proxy.as_ref())
            .filter(|proxy| !itself(proxy));
        let secure = url.scheme() == "https" || proxy.is_some_and(ProxyUrl::is_https);
        let tls = if secure {
            Some(Tls {
                pem: network.certificates.current(&self.tasks).await,
                known: part != Part::Elsewhere,
                verifies: network.verifies,
            })
        } else {
            None
        };
        Line {
            targets,
            connect,
            proxy: proxy.cloned(),
            tls,
        }
    }

    async fn client(&self, line: Line, at: &Place) -> Result<reqwest::Client, Error> {
        if let Some(client) = self.lines.get(&line).await {
            return Ok(client);
        }
        let (tasks, lines, lookups) = (self.tasks.clone(), self.lines.clone(), self.lookups.clone());
        let shared = async move {
            lines
                .try_get_with_by_ref(&line, build_aside(&tasks, line.clone(), lookups))
                .await
        };
        let (step, cause) = match outlive(&self.tasks, shared).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(failed)) => (failed.0, failed.1.clone()),
            Err(lost) => (Step::Stopped, Cause::new(lost)),
        };
        Err(Error::Unreachable {
            at: at.clone(),
            step,
            cause,
        })
    }
}

/// Reading the certificate authorities is file work. A failure is not kept: they may be there the next time.
async fn build_aside(tasks: &Tasks, line: Line, lookups: Lookups) -> Result<reqwest::Client, (Step, Cause)> {
    let built = tasks.blocking(move || build(&line, &lookups)).await;
    let built = built.map_err(|lost| (Step::Stopped, Cause::new(lost)))?;
    built.map_err(|error| (Step::Roots, Cause::new(error)))
}

fn build(line: &Line, lookups: &Lookups) -> reqwest::Result<reqwest::Client> {
    let identity = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(identity)
        .http1_only()
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(line.connect)
        .pool_idle_timeout(IDLE)
        .dns_resolver(lookups.resolver(line.targets, line.proxy.as_ref().map(ProxyUrl::host)));
    // After `no_proxy`, which forgets those before it and leaves those of the environment unread.
    let builder = match &line.proxy {
        Some(proxy) => builder.proxy(Proxy::all(proxy.expose().clone())?),
        None => builder,
    };
    match &line.tls {
        Some(tls) if tls.verifies => tls.pem.apply(builder, tls.known)?.build(),
        Some(tls) => {
            let builder = tls.pem.apply(builder, tls.known)?;
            builder.tls_danger_accept_invalid_certs(true).build()
        }
        // An empty set of authorities instead of the platform's: plain http works without any.
        None => builder.tls_certs_only([]).build(),
    }
}

/// What this says of the host: it is well, or what is wrong there; `None` where it was not asked, or answered with a 5xx
/// that does not count.
fn word(heard: &Result<Heard, Error>, counts: bool) -> Option<Result<(), Error>> {
    match heard {
        // 501: it cannot do this, and is well.
        Ok(heard) if matches!(heard.response.status().as_u16(), 500 | 502..=599) => {
            counts.then_some(Err(Error::Failed {
                at: heard.at.clone(),
                status: heard.response.status().as_u16(),
                retry_after: None,
            }))
        }
        Ok(_) => Some(Ok(())),
        Err(error) => error.is_of_a_host().then(|| Err(error.clone())),
    }
}

fn is_challenge(heard: &Result<Heard, Error>) -> bool {
    matches!(heard, Ok(heard) if heard.response.status() == 401)
}

fn brings_content(heard: &Result<Heard, Error>) -> bool {
    matches!(heard, Ok(heard) if matches!(heard.response.status().as_u16(), 200 | 206))
}

/// What a failed send means.
fn failure(error: reqwest::Error, at: Place, limits: Deadlines, proxied: bool) -> Error {
    if error.is_timeout() {
        return Error::Timeout {
            at,
            phase: Phase::Connect,
            within: limits.connect,
        };
    }
    if let Some(NoAddress::Forbidden { host }) = find::<NoAddress>(&error) {
        let fault = Fault::PrivateTarget { host: host.clone() };
        return Error::Unusable {
            at,
            status: None,
            fault,
        };
    }
    if error.is_builder() {
        // A URL that is no URI; ours all are, so it came with a redirect or a challenge.
        return Error::Unusable {
            at,
            status: None,
            fault: Fault::NoLocation,
        };
    }
    Error::Unreachable {
        at,
        step: step(&error, proxied),
        cause: Cause::new(error.without_url()),
    }
}

fn step(error: &reqwest::Error, proxied: bool) -> Step {
    if error.is_dns() {
        return Step::Name;
    }
    if !error.is_connect() {
        return Step::Answer;
    }
    // The TLS layer reports what it dislikes as invalid data, or as an end where there should be none.
    match find::<io::Error>(error) {
        Some(error) if is_tls(error) => Step::Tls,
        // A proxy that was reached and said no: no error of the system.
        None if proxied => Step::Proxy,
        Some(_) | None => Step::Connect,
    }
}

fn is_tls(error: &io::Error) -> bool {
    let wrapped = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
    let kind = wrapped.unwrap_or(error).kind();
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The first error of this type in the chain.
fn find<E: StdError + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
