//! A TCP proxy that breaks connections: it passes bytes both ways, and cuts each of the first connections after so many bytes
//! of answer. It knows nothing of HTTP. Dropping it closes the port and every connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::reply::drained;
use super::script::How;

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    passed: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl Proxy {
    /// Connection k is cut after `cuts[k]` bytes of answer; later connections live.
    pub(crate) async fn start(target: SocketAddr, how: How, cuts: &[u64]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passed = Arc::new(AtomicU64::new(0));
        let stop = CancellationToken::new();
        let cuts = Mutex::new(cuts.iter().copied().collect::<VecDeque<_>>());
        let (counted, stopped) = (Arc::clone(&passed), stop.clone());
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                let cut = cuts.lock().unwrap().pop_front().unwrap_or(u64::MAX);
                let (counted, stopped) = (Arc::clone(&counted), stopped.clone());
                tokio::spawn(async move {
                    stopped
                        .run_until_cancelled(pass(client, target, how, cut, &counted))
                        .await
                });
            }
        };
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(accepting).await });
        Self {
            address,
            passed,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of answers passed so far, heads included.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, how: How, cut: u64, counted: &AtomicU64) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let cut_off = tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => false,
        cut_off = answer(from_server, &mut to_client, cut, counted) => cut_off,
    };
    if cut_off && how == How::Rst {
        // What was passed must arrive first. Then closed without lingering: the peer, if still there, reads an error.
        drained(&client).await;
        drop(client.set_zero_linger());
    }
}

/// True when it was cut here.
async fn answer(mut from: ReadHalf<'_>, to: &mut WriteHalf<'_>, cut: u64, counted: &AtomicU64) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    while passed < cut {
        let limit = usize::try_from(cut - passed).unwrap_or(usize::MAX).min(buffer.len());
        match from.read(&mut buffer[..limit]).await {
            Ok(n) if n > 0 && to.write_all(&buffer[..n]).await.is_ok() => {
                passed += n as u64;
                counted.fetch_add(n as u64, Ordering::SeqCst);
            }
            Ok(_) | Err(_) => return false,
        }
    }
    true
}
