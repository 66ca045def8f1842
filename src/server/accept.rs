//! The listening socket and the number of connections at a time.
//!
//! Promises that running out of descriptors or seats stops nobody for good: the kernel's queue holds newcomers while
//! there is no room. Never spins on a failing `accept`. Dropping a [`Door`] stops listening.

use std::io;
use std::io::ErrorKind;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tracing::warn;

/// How many newcomers the kernel may hold (it cuts this to `net.core.somaxconn`): job arrays arrive all at once.
const BACKLOG: u32 = 4096;

/// How long to wait after an `accept` that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lets peers in, as many at a time as there are seats.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    /// A trouble is logged when it begins, not at every attempt.
    in_trouble: bool,
    /// No seat was free at the last look; also logged when it begins.
    full: bool,
}

/// A connection's place; dropping it lets the next one in.
pub(super) type Seat = Option<OwnedSemaphorePermit>;

impl Door {
    pub(super) fn new(listener: TcpListener, connections: usize) -> Self {
        let connections = connections.min(Semaphore::MAX_PERMITS);
        Self {
            listener,
            seats: Arc::new(Semaphore::new(connections)),
            in_trouble: false,
            full: false,
        }
    }

    /// The next peer. Cancel safe.
    pub(super) async fn accept(&mut self) -> (TcpStream, SocketAddr, Seat) {
        let seat = self.seat().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.in_trouble = false;
                    return (stream, peer, seat);
                }
                // The peer left while it queued.
                Err(error) if is_the_peers(error.kind()) => {}
                Err(error) => {
                    if !mem::replace(&mut self.in_trouble, true) {
                        warn!(%error, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn seat(&mut self) -> Seat {
        let was_full = mem::replace(&mut self.full, self.seats.available_permits() == 0);
        if self.full && !was_full {
            warn!("all connections are taken; newcomers wait");
        }
        // An error would say that the semaphore was closed, which nobody does.
        Arc::clone(&self.seats).acquire_owned().await.ok()
    }
}

fn is_the_peers(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
