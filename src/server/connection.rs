//! One connection: hyper's HTTP/1.1 under our limits.
//!
//! Promises that whatever ends a response before its end, an error in its body, a silent client, a drain that ran out,
//! leaves the peer with a reset and never with a clean end. Never logs above debug: peers may send anything.
//! Dropping [`serve`] resets the connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hyper::Request;
use hyper::Response;
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tracing::debug;

use crate::http::limits;
use crate::server::drain::Watch;
use crate::server::socket::Socket;

/// What a peer must keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From being able to send a request to its last header, idle time included.
    pub(super) header: Duration,
    /// Longest wait for a peer to take a byte.
    pub(super) client_silence: Duration,
}

/// Answers the peer's requests one after the other.
pub(super) async fn serve<A, F, B>(stream: TcpStream, peer: SocketAddr, answer: A, limits: Limits, watch: Watch)
where
    A: Fn(Request<Incoming>, IpAddr) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: StdError + Send + Sync> + 'static,
{
    // Heads and small bodies leave at once; nothing here writes in drops.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "no TCP_NODELAY");
    }
    let (socket, orderly) = Socket::new(stream, limits.client_silence);
    let service = service_fn(move |request| {
        let answer = answer(request, peer.ip());
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = builder(limits.header).serve_connection(TokioIo::new(socket), service);
    let Watch {
        graceful,
        cut,
        running: _running,
    } = watch;
    let mut connection = pin!(graceful.watch(connection));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cut.cancelled() => return,
    };
    if let Err(error) = &ended {
        debug!(%peer, ?error, "connection ended early");
    }
    if ended.as_ref().err().is_none_or(is_before_a_response) {
        orderly.declare();
    }
}

fn builder(header: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(limits::HEADERS);
    builder
}

/// The peer sent no request, or something else, and was told so if it could be.
fn is_before_a_response(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_timeout() || error.is_incomplete_message()
}
