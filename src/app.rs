//! The composition root: makes every part from its configuration, in the order in which they need each other.
//!
//! Promises that nothing is opened before the whole configuration makes sense, that clients are let in last, and that
//! what was begun is ended in the opposite order. Decides nothing else. Dropping [`serve`] leaves tasks to the runtime.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::access::Access;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Http;
use crate::namespaces::{self, Namespaces};
use crate::pull::Pull;
use crate::push::Push;
use crate::server::{self, Server};
use crate::store::{self, Restored, Store};
use crate::tasks::Tasks;
use crate::telemetry;
use crate::upstream::{self, Caution, Client, Mirror};

/// How long fills may take to park what they have, once nobody reads them any more.
const PARKING: Duration = Duration::from_secs(5);

/// A configuration that cannot work. Each variant names the key, the value, and what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// `[store]`.
    #[error(transparent)]
    Store(#[from] store::InvalidConfig),
    /// A table of `[mirror]`.
    #[error(transparent)]
    Mirror(#[from] upstream::InvalidMirror),
    /// Names that two claim.
    #[error(transparent)]
    Names(#[from] namespaces::Error),
}

/// Why wharf does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] telemetry::Error),
    /// Nobody could stop it.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The address cannot be used.
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// What a configuration comes to, before anything is opened.
#[derive(Debug)]
pub struct Plan {
    mirrors: Vec<Arc<Mirror>>,
    namespaces: Namespaces,
}

/// Whether a configuration can work: every value for itself, and all of them together.
pub fn check(config: &Config) -> Result<Plan, Invalid> {
    config.store.check()?;
    let mirrors = upstream::mirrors(&config.mirror)?;
    let namespaces = Namespaces::new(&config.server.names, &config.hosted.namespaces, &mirrors)?;
    Ok(Plan { mirrors, namespaces })
}

impl Plan {
    /// What may be meant, and is dangerous.
    pub fn cautions(&self) -> impl Iterator<Item = Caution> {
        self.mirrors.iter().flat_map(|mirror| mirror.cautions())
    }
}

/// Serves until SIGTERM or SIGINT, and then until running responses have ended, `server.drain` is over, or another of these
/// signals comes.
pub async fn serve(config: &Config) -> Result<(), Error> {
    telemetry::start()?;
    let plan = check(config)?;
    plan.cautions().for_each(|caution| warn!("{caution}"));
    let Plan { mirrors, namespaces } = plan;
    let mut stop = Stop::listen().map_err(Error::Signals)?;
    let tasks = Tasks::new();
    // The store before the address: of two wharfs with one configuration, the second hears who holds the store.
    let store = Store::open(&config.store, tasks.clone()).await?;
    let server = Server::bind(&config.server, tasks.clone())?;
    announce(config, server.address(), &mirrors);

    let clock = Clock::system();
    let client = Client::new(&config.upstream, tasks.clone(), clock.clone());
    let grace = config.hosted.grace;
    let pull = Pull::new(store.clone(), client, clock.clone(), tasks.clone(), grace);
    let push = Push::new(store.clone(), clock.clone(), tasks.clone(), &config.hosted);
    tasks.spawn(push.clone().expire_uploads());
    tasks.spawn(store.clone().keep_collected(clock.clone(), grace));
    tasks.spawn(store.clone().keep_forgetting(clock.clone(), config.store.forget_after));
    tasks.spawn(store.clone().keep_backed_up(clock));
    let access = Access::new(&config.access, server.address());
    let http = Http::new(access, namespaces, pull, push, config.server.client_silence);
    server
        .run(
            move |request, address| http.clone().answer(request, address),
            async || stop.asked().await,
        )
        .await;

    let parked = tokio::select! {
        parked = tasks.close(PARKING) => parked,
        () = stop.asked() => false,
    };
    if !parked {
        warn!(within = ?PARKING, "some work did not end in time");
        store.set_in_doubt();
    }
    store.close().await?;
    info!("stopped");
    Ok(())
}

/// Puts the index back as it was when it was copied last, or when `from` was; nobody may be serving.
pub fn restore(config: &Config, from: Option<&Path>) -> Result<Restored, Error> {
    check(config)?;
    Ok(store::restore(&config.store, from, Clock::system().now())?)
}

/// The first lines of the log: where it listens, where it stores, what it mirrors.
fn announce(config: &Config, address: SocketAddr, mirrors: &[Arc<Mirror>]) {
    info!("listening on {address}");
    info!(
        "storing in {}, the index in {}",
        config.store.path.display(),
        config.store.index_path().display()
    );
    let keys: Vec<&str> = mirrors.iter().map(|mirror| mirror.key()).collect();
    info!("mirroring {}", keys.join(", "));
    if let Some(environment) = config.upstream.inherited() {
        info!("through the environment's proxies: {environment}");
    }
}

/// The signals that ask a process to end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From here on the signals no longer kill.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    async fn asked(&mut self) {
        let by = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        info!(by, "stopping");
    }
}
