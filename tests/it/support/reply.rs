//! One answer of the fake upstream: the truthful one, bent by the script, written byte by byte so that every byte sent is
//! counted and every way to break off is possible.

use std::io;
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::image::{Content, KIB};
use super::script::{Act, Gate, How};

/// A connection whose socket can be reached, to reset it.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    Close,
}

/// What happens to the connection afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    KeepAlive,
    Close,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    content: Content,
    range: Range<u64>,
    framing: Framing,
    corrupt: Option<u64>,
    cut: Option<(u64, How)>,
    hold: Option<Gate>,
    hold_each: Option<Gate>,
    hold_head: Option<Gate>,
    mute: Option<How>,
    endless_head: bool,
}

impl Reply {
    pub(crate) fn ok(media_type: &str, content: &Content) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            content: content.clone(),
            range: 0..content.len(),
            framing: Framing::Length,
            corrupt: None,
            cut: None,
            hold: None,
            hold_each: None,
            hold_head: None,
            mute: None,
            endless_head: false,
        }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": "said by the fake upstream" }] });
        Self {
            status,
            ..Self::ok("application/json", &Content::of(body.to_string()))
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// 206 with a part of the content.
    pub(crate) fn part(self, range: Range<u64>) -> Self {
        let told = format!("bytes {}-{}/{}", range.start, range.end - 1, self.content.len());
        Self {
            status: 206,
            range,
            ..self
        }
        .with("content-range", &told)
    }

    /// Bends the truth. `number` is fresh for every request; `digest` is what was asked for.
    pub(crate) fn bent(self, acts: &[Act], number: usize, digest: &str) -> Self {
        acts.iter().fold(self, |reply, act| reply.bend(act, number, digest))
    }

    fn bend(mut self, act: &Act, number: usize, digest: &str) -> Self {
        match act {
            Act::Status(status) => {
                self = Self {
                    hold_head: self.hold_head,
                    ..Self::error(*status, "SCRIPTED")
                }
            }
            Act::Header(name, value) => self = self.with(name, value),
            Act::Without(name) => self.headers.push((format!("-{name}"), String::new())),
            Act::Html => {
                self = Self::ok("text/html", &Content::of("<html><h1>Please log in</h1></html>"));
            }
            Act::Body(content) => {
                self.range = 0..content.len();
                self.content = content.clone();
            }
            Act::HoldHead(gate) => self.hold_head = Some(gate.clone()),
            Act::Break(how) => self.mute = Some(*how),
            Act::EndlessHead => self.endless_head = true,
            Act::Hold(gate) => self.hold = Some(gate.clone()),
            Act::HoldEach(gate) => self.hold_each = Some(gate.clone()),
            Act::Cut(at, how) => self.cut = Some((*at, *how)),
            Act::Corrupt(at) => self.corrupt = Some(*at),
            Act::Shorten(len) => self.range.end = (*len).max(self.range.start),
            Act::Lengthen(by) => self.range.end += by,
            Act::Chunked => self.framing = Framing::Chunked,
            Act::CloseDelimited => self.framing = Framing::Close,
            Act::Redirect(status, to) => {
                let to = to.replace("{n}", &number.to_string()).replace("{digest}", digest);
                self = Self::error(*status, "ELSEWHERE").with("location", &to);
            }
            Act::IgnoreRange if self.status == 206 => {
                self.status = 200;
                self.range = 0..self.content.len();
                self.headers.retain(|(key, _)| key != "content-range");
            }
            Act::IgnoreRange => {}
        }
        self
    }

    /// Writes it. `sent` hears of every body byte that the socket took.
    pub(crate) async fn write(
        self,
        wire: &mut dyn Wire,
        bodiless: bool,
        sent: &(dyn Fn(u64) + Sync),
    ) -> io::Result<After> {
        if let Some(gate) = &self.hold_head {
            gate.passes(0).await;
        }
        if let Some(how) = self.mute {
            return break_off(wire, how).await;
        }
        if self.endless_head {
            return endless_head(wire, sent).await;
        }
        wire.write_all(self.head().as_bytes()).await?;
        wire.flush().await?;
        if bodiless || self.status == 304 {
            return Ok(After::KeepAlive);
        }
        if let Some(how) = self.write_body(wire, sent).await? {
            return break_off(wire, how).await;
        }
        if let Some(gate) = &self.hold {
            gate.passes(self.range.end).await;
        }
        match self.framing {
            Framing::Length => {}
            Framing::Chunked => wire.write_all(b"0\r\n\r\n").await?,
            Framing::Close => return break_off(wire, How::Fin).await,
        }
        wire.flush().await?;
        Ok(After::KeepAlive)
    }

    fn head(&self) -> String {
        let version = if self.framing == Framing::Close {
            "HTTP/1.0"
        } else {
            "HTTP/1.1"
        };
        let left_out = |name: &str| self.headers.iter().any(|(key, _)| key.strip_prefix('-') == Some(name));
        let said = |name: &str| self.headers.iter().any(|(key, _)| key == name);
        let mut lines = vec![format!("{version} {} Scripted", self.status)];
        let told = self
            .headers
            .iter()
            .filter(|(name, _)| !name.starts_with('-') && !left_out(name));
        lines.extend(told.map(|(name, value)| format!("{name}: {value}")));
        match self.framing {
            Framing::Length if said("content-length") || left_out("content-length") => {}
            Framing::Length => lines.push(format!("content-length: {}", self.range.end - self.range.start)),
            Framing::Chunked => lines.push("transfer-encoding: chunked".to_owned()),
            Framing::Close => lines.push("connection: close".to_owned()),
        }
        lines.join("\r\n") + "\r\n\r\n"
    }

    /// Writes the body; returns how to break off when the script says so.
    async fn write_body(&self, wire: &mut dyn Wire, sent: &(dyn Fn(u64) + Sync)) -> io::Result<Option<How>> {
        let mut buffer = vec![0; 64 * 1024];
        let mut at = self.range.start;
        loop {
            if let Some((cut, how)) = self.cut
                && at >= cut
            {
                return Ok(Some(how));
            }
            if at >= self.range.end {
                return Ok(None);
            }
            let end = self.next_end(at).await;
            let piece = &mut buffer[..usize::try_from(end - at).unwrap()];
            self.fill(at, piece);
            self.write_piece(wire, piece, sent).await?;
            at = end;
        }
    }

    /// How far the next write may go; waits at the gate.
    async fn next_end(&self, at: u64) -> u64 {
        let mut end = (at + 64 * KIB).min(self.range.end);
        if let Some(gate) = &self.hold {
            end = end.min(gate.passes(at).await);
        }
        if let Some(gate) = &self.hold_each {
            let start = self.range.start;
            end = end.min(gate.passes(at - start).await.saturating_add(start));
        }
        if let Some((cut, _)) = self.cut {
            end = end.min(cut);
        }
        end
    }

    fn fill(&self, at: u64, piece: &mut [u8]) {
        let n = self.content.read(at, piece);
        piece[n..].fill(b'!');
        if let Some(corrupt) = self.corrupt
            && let Some(offset) = corrupt.checked_sub(at)
            && let Some(byte) = piece.get_mut(usize::try_from(offset).unwrap())
        {
            *byte ^= 0x20;
        }
    }

    async fn write_piece(&self, wire: &mut dyn Wire, piece: &[u8], sent: &(dyn Fn(u64) + Sync)) -> io::Result<()> {
        if self.framing == Framing::Chunked {
            wire.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        let mut done = 0;
        while done < piece.len() {
            let n = wire.write(&piece[done..]).await?;
            done += n;
            sent(n as u64);
        }
        if self.framing == Framing::Chunked {
            wire.write_all(b"\r\n").await?;
        }
        wire.flush().await
    }
}

/// Ends when the peer has had enough.
async fn endless_head(wire: &mut dyn Wire, sent: &(dyn Fn(u64) + Sync)) -> io::Result<After> {
    wire.write_all(b"HTTP/1.1 200 Scripted\r\n").await?;
    for line in 0_u64.. {
        let line = format!("x-{line}: {}\r\n", "y".repeat(1000));
        wire.write_all(line.as_bytes()).await?;
        sent(line.len() as u64);
    }
    Ok(After::Close)
}

async fn break_off(wire: &mut dyn Wire, how: How) -> io::Result<After> {
    match how {
        How::Fin => wire.shutdown().await?,
        How::Rst => {
            // What the socket has taken must arrive first: a reset throws away what is still on this side.
            drained(wire.socket()).await;
            wire.socket().set_zero_linger()?;
        }
    }
    Ok(After::Close)
}

/// Waits until the peer's kernel has acknowledged everything written.
pub(crate) async fn drained(socket: &TcpStream) {
    let mut steps = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..2000 {
        if unacknowledged(socket) == 0 {
            return;
        }
        steps.tick().await;
    }
}

/// From `/proc/net/tcp`, because asking the socket itself takes an `unsafe` ioctl.
fn unacknowledged(socket: &TcpStream) -> u64 {
    let (Ok(local), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else {
        return 0;
    };
    let ports = [format!(":{:04X}", local.port()), format!(":{:04X}", peer.port())];
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    row.filter(|row| row.len() > 4 && row[1].ends_with(&ports[0]) && row[2].ends_with(&ports[1]))
        .find_map(|row| u64::from_str_radix(row[4].split(':').next()?, 16).ok())
        .unwrap_or(0)
}
