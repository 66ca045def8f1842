//! The composition root: makes every part from its configuration, in the order in which they need each other.
//!
//! Promises that nothing is opened before the whole configuration makes sense, that clients are let in last, and that
//! what was begun is ended in the opposite order. Decides nothing else. Dropping [`serve`] leaves tasks to the runtime.

mod plan;
mod reload;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::admin::{Admin, Answer, Collection, Grace};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Http;
use crate::pull::Pull;
use crate::push::Push;
use crate::server::{self, Server};
use crate::store::{self, Report, Restored, Store, Watch};
use crate::tasks::Tasks;
use crate::telemetry;
use crate::upstream::{Client, Mirror};

pub use crate::store::{Event, Fsck, Outcome};
pub use plan::{Invalid, Plan, Unusable};
use reload::Reload;

/// How long fills may take to park what they have, once nobody reads them any more.
const PARKING: Duration = Duration::from_secs(5);

/// Why wharf does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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

/// Serves until SIGTERM or SIGINT, and then until running responses have ended, `server.drain` is over, or another of these
/// signals comes. SIGHUP has the configuration read again. With `read_only` nothing is written to the store.
pub async fn serve(plan: Plan, read_only: bool) -> Result<(), Error> {
    telemetry::start()?;
    plan.warn();
    let Plan {
        file,
        config,
        mirrors,
        policy,
    } = plan;
    let mut stop = Stop::listen().map_err(Error::Signals)?;
    let again = signal(SignalKind::hangup()).map_err(Error::Signals)?;
    let tasks = Tasks::new();
    // The store before the address: of two wharfs with one configuration, the second hears who holds the store.
    let store = if read_only {
        Store::open_read_only(&config.store, tasks.clone()).await?
    } else {
        Store::open(&config.store, tasks.clone()).await?
    };
    let server = Server::bind(&config.server, tasks.clone())?;
    let (clock, grace) = (Clock::system(), config.hosted.grace);
    let admin = Admin::new(store.clone(), clock.clone(), tasks.clone(), grace);
    if !read_only && let Some(control) = admin.listen().await {
        tasks.spawn(admin.run(control));
    }
    announce(&config, server.address(), &mirrors);

    let client = Client::new(&config.upstream, tasks.clone(), clock.clone());
    let pull = Pull::new(store.clone(), client, clock.clone(), tasks.clone(), grace);
    let push = Push::new(store.clone(), clock.clone(), tasks.clone(), &config.hosted);
    if !read_only {
        keep(&store, &push, &clock, &config, &tasks);
    }
    let http = Http::new(policy, pull, push, config.server.client_silence);
    tasks.spawn(Reload::new(file, config, mirrors, http.clone(), store.clone(), tasks.clone()).run(again));
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

/// What goes on beside the requests, until wharf winds down.
fn keep(store: &Store, push: &Push, clock: &Clock, config: &Config, tasks: &Tasks) {
    tasks.spawn(push.clone().expire_uploads());
    let (grace, after, scrub) = (config.hosted.grace, config.store.forget_after, config.store.scrub);
    tasks.spawn(store.clone().keep_collected(clock.clone(), grace));
    tasks.spawn(store.clone().keep_room());
    tasks.spawn(store.clone().keep_forgetting(clock.clone(), after));
    tasks.spawn(store.clone().keep_backed_up(clock.clone()));
    tasks.spawn(store.clone().keep_scrubbed(clock.clone(), scrub));
}

/// Checks the store, which nobody may be serving, until SIGTERM or SIGINT.
pub async fn fsck(plan: &Plan, how: Fsck, watch: Watch) -> Result<Report, Error> {
    let mut stop = Stop::listen().map_err(Error::Signals)?;
    let tasks = Tasks::new();
    let mut checking = pin!(store::fsck(
        &plan.config.store,
        how,
        tasks.clone(),
        Clock::system().now(),
        watch
    ));
    tokio::select! {
        checked = &mut checking => return Ok(checked?),
        () = stop.asked() => {}
    }
    tasks.close(Duration::ZERO).await;
    Ok(checking.await?)
}

/// Frees what nobody can reach, where no wharf runs, or only tells what that would free.
pub async fn collect(plan: &Plan, dry_run: bool, grace: Option<Grace>, told: impl FnMut(Answer)) -> Result<(), Error> {
    let tasks = Tasks::new();
    let store = Store::reopen(&plan.config.store, tasks.clone()).await?;
    let collection = Collection::new(dry_run, grace, plan.config.hosted.grace);
    let collected = collection.run(&store, &Clock::system(), told).await;
    if !tasks.close(PARKING).await {
        store.set_in_doubt();
    }
    store.close().await?;
    Ok(collected?)
}

/// Puts the index back as it was when it was copied last, or when `from` was; nobody may be serving.
pub fn restore(plan: &Plan, from: Option<&Path>) -> Result<Restored, Error> {
    Ok(store::restore(&plan.config.store, from, Clock::system().now())?)
}

/// The first lines of the log: where it listens, where it stores, what it mirrors.
fn announce(config: &Config, address: SocketAddr, mirrors: &[Arc<Mirror>]) {
    info!("listening on {address}");
    info!(
        "storing in {}, the index in {}",
        config.store.path.display(),
        config.store.index_path().display()
    );
    announce_mirrors(mirrors);
    if let Some(environment) = config.upstream.inherited() {
        info!("through the environment's proxies: {environment}");
    }
}

fn announce_mirrors(mirrors: &[Arc<Mirror>]) {
    let keys: Vec<&str> = mirrors.iter().map(|mirror| mirror.key()).collect();
    info!("mirroring {}", keys.join(", "));
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
