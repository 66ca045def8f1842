//! A black hole: an address that takes no connection and refuses none. Dropping it frees the address.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::soon;

#[derive(Debug)]
pub(crate) struct Hole {
    _listener: TcpListener,
    _first: TcpStream,
}

impl Hole {
    /// Linux drops what would connect when one connection more than `listen` allows waits to be accepted.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(0).unwrap();
        let first = soon("the only connection", TcpStream::connect(address)).await;
        Self {
            _listener: listener,
            _first: first.unwrap(),
        }
    }
}
