//! Owns: turning host names into addresses, and refusing those that a public upstream may not point to.
//!
//! Promises: one lookup per name at a time, a bounded number in all, each on its own thread: `getaddrinfo` blocks for
//! as long as a dead resolver lets it, and must take neither tokio's blocking threads (which read the disk) nor the exit of the process with it.
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

/// Threads that may be stuck in `getaddrinfo`.
const AT_ONCE: usize = 16;
/// How long addresses are used again: long enough for the burst of connections of one pull, too short to outlive a move.
const LASTING: Duration = Duration::from_secs(5);
const NAMES: u64 = 1024;

/// All lookups of the process.
#[derive(Clone)]
pub(super) struct Lookups {
    tasks: Tasks,
    slots: Arc<Semaphore>,
    recent: Cache<String, Arc<[IpAddr]>>,
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
        let recent = Cache::builder().max_capacity(NAMES).time_to_live(LASTING).build();
        Self {
            tasks,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            recent,
        }
    }

    /// A resolver for connections that may reach `targets`.
    pub(super) fn resolver(&self, targets: Targets) -> Resolver {
        Resolver {
            lookups: self.clone(),
            targets,
        }
    }

    async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, NoAddress> {
        let (recent, slots, name) = (self.recent.clone(), Arc::clone(&self.slots), host.to_owned());
        let lookup = async move { recent.try_get_with(name.clone(), look_up(slots, name)).await };
        match outlive(&self.tasks, lookup).await {
            Ok(found) => found.map_err(|error| NoAddress::clone(&error)),
            Err(_) => Err(NoAddress::Stopped { host: host.to_owned() }),
        }
    }
}

/// What a reqwest client resolves with.
pub(super) struct Resolver {
    lookups: Lookups,
    targets: Targets,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookups, targets) = (self.lookups.clone(), self.targets);
        Box::pin(async move {
            let host = name.as_str();
            let found = admitted(host, &lookups.addresses(host).await?, targets)?;
            // Port 0: the connector puts the URL's port there.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

async fn look_up(slots: Arc<Semaphore>, host: String) -> Result<Arc<[IpAddr]>, NoAddress> {
    let stopped = NoAddress::Stopped { host: host.clone() };
    let failed = |source: io::Error| NoAddress::Lookup {
        host: host.clone(),
        source: Arc::new(source),
    };
    let slot = slots.acquire_owned().await.map_err(|_| stopped.clone())?;
    let (tell, told) = oneshot::channel();
    let name = host.clone();
    let thread = std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        let found = found.map(|found| found.map(|address| address.ip()).collect());
        drop(slot);
        // Nobody may be waiting any more; then there is nothing to tell.
        let _ = tell.send(found);
    });
    thread.map_err(failed)?;
    told.await.map_err(|_| stopped)?.map_err(failed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_our_own_network_is_forbidden_to_public_upstreams() {
        let inner: IpAddr = "10.0.0.1".parse().unwrap();
        let public: IpAddr = "1.1.1.1".parse().unwrap();
        let forbidden = admitted("h", &[inner], Targets::Public);
        assert!(matches!(forbidden, Err(NoAddress::Forbidden { .. })));
        assert_eq!(admitted("h", &[inner, public], Targets::Public).unwrap(), [public]);
        assert_eq!(admitted("h", &[inner, public], Targets::Any).unwrap(), [inner, public]);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all() {
        let lookups = Lookups::new(Tasks::new());
        let both = tokio::join!(lookups.addresses("localhost"), lookups.addresses("localhost"));
        let (first, second) = (both.0.unwrap(), both.1.unwrap());
        assert!(Arc::ptr_eq(&first, &second) && first.iter().all(IpAddr::is_loopback));
        assert_eq!(lookups.slots.available_permits(), AT_ONCE);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        let lookups = Lookups::new(Tasks::new());
        let error = lookups.addresses("nowhere.invalid").await.unwrap_err();
        assert!(
            matches!(&error, NoAddress::Lookup { host, .. } if host == "nowhere.invalid"),
            "{error}"
        );
    }
}
