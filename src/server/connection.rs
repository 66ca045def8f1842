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

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Served {
    /// As HTTP has it.
    Ended,
    /// The peer sent no request, or something else: it was told so if it could be.
    Refused(hyper::Error),
    /// A response broke off: the peer left, took nothing, or the body failed.
    Broken(hyper::Error),
    /// The drain ran out.
    Cut,
}

/// Answers the peer's requests one after the other.
pub(super) async fn serve<A, F, B>(
    stream: TcpStream,
    peer: SocketAddr,
    answer: A,
    limits: Limits,
    watch: Watch,
) -> Served
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
    let mut connection = pin!(watch.graceful.watch(connection));
    let served = tokio::select! {
        ended = connection.as_mut() => ended.map_or_else(classify, |()| Served::Ended),
        () = watch.cut.cancelled() => Served::Cut,
    };
    match served {
        Served::Ended | Served::Refused(_) => orderly.declare(),
        Served::Broken(_) | Served::Cut => {}
    }
    served
}

fn builder(header: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(limits::HEADERS)
        // A client may close its sending side once it has asked (`nc -N`); a client that is gone shows at the write.
        .half_close(true);
    builder
}

fn classify(error: hyper::Error) -> Served {
    let before_a_response =
        error.is_parse() || error.is_timeout() || error.is_incomplete_message();
    if before_a_response { Served::Refused(error) } else { Served::Broken(error) }
}
