//! The front door: accepts connections, holds each to its limits, and lets them end.
//!
//! Owns the listening socket and every connection. Promises that no peer holds a connection without moving bytes, that
//! a response which fails half way is reset and never ended, and that [`Server::run`] returns once the last connection
//! is gone. Knows HTTP/1.1, and nothing of registries. Dropping `run` stops accepting; connections go on to their end.

mod accept;
mod config;
mod connection;
mod drain;
mod open_files;
mod socket;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Request;
use hyper::Response;
use hyper::body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tracing::info;

use crate::http::limits;
use crate::tasks::Tasks;

pub use config::Config;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, is not ours, or needs a privilege.
    #[error("cannot listen on {address} (server.listen)")]
    Listen {
        /// `server.listen`.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A server that listens, but accepts nobody yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: usize,
    limits: connection::Limits,
    drain: Duration,
    tasks: Tasks,
}

impl Server {
    /// Takes the listening socket and raises the limit of open files as far as it goes. Needs a tokio runtime.
    pub fn bind(config: &Config, tasks: Tasks) -> Result<Self, Error> {
        let failed = |source| Error::Listen {
            address: config.listen,
            source,
        };
        let listener = accept::listen(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let limits = connection::Limits {
            header: limits::HEADER_WITHIN,
            client_silence: config.client_silence,
        };
        let connections = open_files::raise().connections();
        Ok(Self {
            listener,
            address,
            connections,
            limits,
            drain: config.drain,
            tasks,
        })
    }

    /// Where it listens: with the real port when `server.listen` left it to the system.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop`, then lets the responses that run end within `server.drain`, or until `stop` is asked once more
    /// and says so, and cuts the others. An answer's future that is dropped says that the connection is gone; an error in
    /// a body resets it.
    pub async fn run<A, F, B>(self, answer: A, mut stop: impl AsyncFnMut())
    where
        A: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: StdError + Send + Sync> + Send + 'static,
    {
        let mut door = accept::Door::new(self.listener, self.connections);
        let drain = drain::Drain::new();
        let accepting = async {
            loop {
                let (stream, peer, seat) = door.accept().await;
                let (answer, limits, watch) = (answer.clone(), self.limits, drain.watch());
                self.tasks.spawn(async move {
                    connection::serve(stream, peer, answer, limits, watch).await;
                    drop(seat);
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop() => {}
        }
        drop(door);
        info!(connections = drain.connections(), within = ?self.drain, "no new connections; running responses may end");
        drain.finish(self.drain, stop()).await;
    }
}
