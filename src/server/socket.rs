//! A peer's socket, with a limit on how long it may take nothing, and an end that cannot be misread.
//!
//! Promises: a peer that takes no byte of a pending write for the allowed time is an error of that write; a socket
//! that is dropped without [`Orderly::declare`] is reset, so that a body without a length does not look complete; one
//! that is shut down reads on for a moment, so that a peer still sending can read its answer (RFC 9112 section 9.6).

use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;

use crate::http::limits;

/// The looks that a silence is divided into.
const LOOKS: u32 = 4;

/// A socket that hyper reads and writes.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    silence: Silence,
    half_closed: Option<HalfClosed>,
    lingering: Option<Lingering>,
    orderly: Orderly,
}

/// Says, from outside of hyper, that a socket may close without a reset.
#[derive(Debug, Clone, Default)]
pub(super) struct Orderly(Arc<AtomicBool>);

impl Orderly {
    pub(super) fn declare(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, client_silence: Duration) -> (Self, Orderly) {
        let (silence, orderly) = (Silence::new(client_silence), Orderly::default());
        let socket = Self {
            stream,
            silence,
            half_closed: None,
            lingering: None,
            orderly: orderly.clone(),
        };
        (socket, orderly)
    }

    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                self.silence.moved();
                if let Some(half_closed) = &mut self.half_closed {
                    half_closed.moved = true;
                }
                Poll::Ready(written)
            }
            Poll::Pending => self.silence.poll(cx, &self.stream, bytes),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.orderly.0.load(Ordering::Acquire) {
            // Fails only on a socket that is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.half_closed.is_none() {
            let filled = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() > filled || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        this.half_closed.get_or_insert_with(HalfClosed::new).poll(cx).map(Ok)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, written, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.written(cx, written, first.map_or(&[], |buf| buf))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let lingering = this.lingering.get_or_insert_with(Lingering::new);
        lingering.poll(cx, &mut this.stream).map(Ok)
    }
}

/// How long a pending write has not moved.
///
/// The kernel calls a socket writable only when a third of its buffer is free: a slow reader of a large buffer would
/// look silent for minutes. So a look writes without asking, which succeeds as soon as the peer has taken anything.
#[derive(Debug)]
struct Silence {
    look_every: Duration,
    next_look: Option<Pin<Box<Sleep>>>,
    moved: bool,
    looks_in_vain: u32,
}

impl Silence {
    fn new(allowed: Duration) -> Self {
        let look_every = (allowed / LOOKS).max(Duration::from_millis(1));
        Self {
            look_every,
            next_look: None,
            moved: false,
            looks_in_vain: 0,
        }
    }

    fn moved(&mut self) {
        self.moved = true;
    }

    /// Called while a write of `bytes` is pending, and only then.
    fn poll(&mut self, cx: &mut Context<'_>, stream: &TcpStream, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let next_look = self.next_look.get_or_insert_with(|| Box::pin(sleep(self.look_every)));
        loop {
            ready!(next_look.as_mut().poll(cx));
            next_look.as_mut().reset(Instant::now() + self.look_every);
            if mem::take(&mut self.moved) {
                self.looks_in_vain = 0;
                continue;
            }
            if let Ok(written @ 1..) = rustix::io::write(stream, bytes) {
                self.looks_in_vain = 0;
                return Poll::Ready(Ok(written));
            }
            self.looks_in_vain += 1;
            if self.looks_in_vain >= LOOKS {
                let silent = io::Error::new(ErrorKind::TimedOut, "the client takes nothing");
                return Poll::Ready(Err(silent));
            }
        }
    }
}

/// A peer has closed its sending side: either it is gone, which it does not say, or it waits for its answer (`nc -N`).
///
/// hyper drops a connection at the end of its input. So that end is kept from it as long as bytes go out, and a moment
/// longer: an answer that takes its time is lost on few, a connection that nobody reads would hold up a drain.
#[derive(Debug)]
struct HalfClosed {
    next_look: Pin<Box<Sleep>>,
    moved: bool,
}

impl HalfClosed {
    fn new() -> Self {
        Self {
            next_look: Box::pin(sleep(limits::HALF_CLOSED_FOR)),
            moved: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.next_look.as_mut().poll(cx));
            if !mem::take(&mut self.moved) {
                return Poll::Ready(());
            }
            self.next_look.as_mut().reset(Instant::now() + limits::HALF_CLOSED_FOR);
        }
    }
}

/// Reads what a peer still sends, and forgets it: closing earlier would reset the connection under its answer.
#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Lingering {
    fn new() -> Self {
        Self {
            until: Box::pin(sleep(limits::LINGER_FOR)),
            bytes_left: limits::LINGER_BYTES,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, stream: &mut TcpStream) -> Poll<()> {
        let mut scratch = [0; 8 * 1024];
        while self.bytes_left > 0 && self.until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    self.bytes_left = self.bytes_left.saturating_sub(buf.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}
