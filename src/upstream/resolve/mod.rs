//! Owns: turning host names into addresses, in the order in which to try them, and refusing those that a public upstream
//! may not point to.
//!
//! Promises: one lookup per name at a time, a few per domain and in all, each on its own thread: `getaddrinfo` blocks for
//! as long as a dead resolver lets it, and must take neither tokio's blocking threads (which read the disk) nor the exit
//! of the process with it; and one domain whose servers are dead takes nothing from the others.
//! Dropped: the lookup goes on for others that ask for the name.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

use crate::tasks::Tasks;

use super::guard::{self, Targets};
use super::shared::outlive;

/// Threads that may be stuck in `getaddrinfo`, in all and for names of one domain.
const AT_ONCE: usize = 32;
const OF_A_DOMAIN: usize = 4;
/// How long addresses are used again: long enough for the burst of connections of one pull, too short to outlive a move.
const LASTING: Duration = Duration::from_secs(5);
/// How long the address that answered is the first to be tried.
const PREFERRED: Duration = Duration::from_mins(1);
const NAMES: u64 = 1024;
/// Addresses of each family that are tried. hyper gives each an equal part of the connect deadline: with all eight that
/// some registries have, a handshake of half a second would never come to its end.
const OF_A_FAMILY: usize = 3;

/// What asks the system.
type Ask = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// All lookups of the process.
#[derive(Clone)]
pub(super) struct Lookups {
    tasks: Tasks,
    ask: Arc<Ask>,
    slots: Arc<Semaphore>,
    domains: Cache<String, Arc<Semaphore>>,
    recent: Cache<String, Arc<[IpAddr]>>,
    answered: Cache<String, IpAddr>,
}

/// Why there is no address to dial.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoAddress {
    #[error("looking up {host}: {source}")]
    Lookup { host: String, source: Arc<io::Error> },
    #[error("{host} has no public address")]
    Forbidden { host: String },
    #[error("looking up {host}: given up")]
    Stopped { host: String },
}

impl Lookups {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self::by(getaddrinfo, tasks)
    }

    pub(super) fn by(ask: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static, tasks: Tasks) -> Self {
        Self {
            tasks,
            ask: Arc::new(ask),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            domains: Cache::new(NAMES),
            recent: Cache::builder().max_capacity(NAMES).time_to_live(LASTING).build(),
            answered: Cache::builder().max_capacity(NAMES).time_to_live(PREFERRED).build(),
        }
    }

    /// A resolver for connections that may reach `targets`, perhaps through the proxy with this host.
    pub(super) fn resolver(&self, targets: Targets, proxy: Option<&str>) -> Resolver {
        Resolver {
            lookups: self.clone(),
            targets,
            proxy: proxy.map(str::to_owned),
        }
    }

    /// Notes who answered: where a name has a dead address beside a live one, only the first connection pays for it.
    pub(super) async fn answered(&self, host: Option<&str>, peer: Option<SocketAddr>, failed: bool) {
        match (host, peer) {
            (Some(host), Some(_)) if failed => self.answered.invalidate(host).await,
            (Some(host), Some(peer)) => self.answered.insert(host.to_owned(), peer.ip()).await,
            (None, _) | (_, None) => {}
        }
    }

    async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, NoAddress> {
        let (this, name) = (self.clone(), host.to_owned());
        let lookup = async move {
            let look_up = this.look_up(name.clone());
            this.recent.try_get_with(name, look_up).await
        };
        match outlive(&self.tasks, lookup).await {
            Ok(found) => found.map_err(|error| NoAddress::clone(&error)),
            Err(_) => Err(NoAddress::Stopped { host: host.to_owned() }),
        }
    }

    async fn look_up(&self, host: String) -> Result<Arc<[IpAddr]>, NoAddress> {
        let stopped = || NoAddress::Stopped { host: host.clone() };
        let failed = |source: io::Error| NoAddress::Lookup {
            host: host.clone(),
            source: Arc::new(source),
        };
        let domain = psl::domain_str(&host).unwrap_or(&host).to_owned();
        let few = async { Arc::new(Semaphore::new(OF_A_DOMAIN)) };
        let domain = self.domains.get_with(domain, few).await;
        // The domain's first: who waits for that holds nobody else up.
        let of_domain = domain.acquire_owned().await.map_err(|_| stopped())?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| stopped())?;
        let (tell, told) = oneshot::channel();
        let (ask, name) = (Arc::clone(&self.ask), host.clone());
        let thread = std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let found = ask(&name);
            drop((slot, of_domain));
            // Nobody may be waiting any more; then there is nothing to tell.
            let _ = tell.send(found);
        });
        thread.map_err(failed)?;
        let found = told.await.map_err(|_| stopped())?.map_err(failed)?;
        Ok(found.into())
    }
}

/// What a reqwest client resolves with.
pub(super) struct Resolver {
    lookups: Lookups,
    targets: Targets,
    /// The operator's word: it may be anywhere.
    proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookups = self.lookups.clone();
        let targets = if self.proxy.as_deref() == Some(name.as_str()) {
            Targets::Any
        } else {
            self.targets
        };
        Box::pin(async move {
            let host = name.as_str();
            let found = admitted(host, &lookups.addresses(host).await?, targets)?;
            let found = in_order(found, lookups.answered.get(host).await);
            // Port 0: the connector puts the URL's port there.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

fn getaddrinfo(name: &str) -> io::Result<Vec<IpAddr>> {
    let found = (name, 0).to_socket_addrs()?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Those of a name's addresses that may be dialled. A name with some of either kind is reached at the public ones.
fn admitted(host: &str, found: &[IpAddr], targets: Targets) -> Result<Vec<IpAddr>, NoAddress> {
    let admitted: Vec<_> = match targets {
        Targets::Any => found.to_vec(),
        Targets::Public => found.iter().copied().filter(|found| guard::is_public(*found)).collect(),
    };
    if admitted.is_empty() && !found.is_empty() {
        return Err(NoAddress::Forbidden { host: host.to_owned() });
    }
    Ok(admitted)
}

/// The one that answered first, then the system's order (RFC 6724), of each family the first few. hyper begins with the
/// first one's family, and with the other too when there is no connection within 300 ms.
fn in_order(mut found: Vec<IpAddr>, answered: Option<IpAddr>) -> Vec<IpAddr> {
    if let Some(at) = found.iter().position(|address| Some(*address) == answered) {
        found[..=at].rotate_right(1);
    }
    let mut room = [OF_A_FAMILY; 2];
    found.retain(|address| {
        let room = &mut room[usize::from(address.is_ipv6())];
        let fits = *room > 0;
        *room = room.saturating_sub(1);
        fits
    });
    found
}

#[cfg(test)]
mod tests;
