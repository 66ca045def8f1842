//! A client that speaks HTTP/1.1 on a bare socket and hides nothing: it reads as far as the test says, leaves when the test says,
//! and tells a clean end from a short one and from a reset.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::image::sha256_text;
use super::leaks::PRESENTED;
use super::soon;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As its framing promised.
    Clean,
    /// The connection was closed before that.
    Short,
    /// The connection was reset before that.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    presents: &'static [(&'static str, &'static str)],
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(soon("a connection", TcpStream::connect(address)).await.unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            presents: &PRESENTED,
        }
    }

    /// For a server that is no wharf: without the secrets that all others present.
    pub(crate) async fn bare(address: SocketAddr) -> Self {
        Self {
            presents: &[],
            ..Self::connect(address).await
        }
    }

    /// As `connect`, for a server that may be gone.
    pub(crate) async fn reach(address: SocketAddr) -> Result<Self, Ended> {
        let stream = soon("a connection", TcpStream::connect(address)).await;
        Ok(Self::over(stream.map_err(|_| Ended::Reset)?))
    }

    /// With a receive buffer so small that not reading is felt by the other side at once.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::over(soon("a connection", socket.connect(address)).await.unwrap())
    }

    /// Our port.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let told = |name: &str| headers.iter().any(|(told, _)| told.eq_ignore_ascii_case(name));
        if !told("host") {
            head.push_str("Host: wharf.test\r\n");
        }
        // Who pushes is to be known one day; who pulls is anybody, whatever they present.
        let may_present = matches!(method, "GET" | "HEAD");
        let presented = self.presents.iter().filter(|(name, _)| may_present && !told(name));
        for (name, value) in headers.iter().chain(presented) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        self.write(head.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(self, target: &str) -> Response {
        self.send("GET", target, &[]).await
    }

    pub(crate) async fn send(mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(method, target, headers).await;
        self.answer(method == "HEAD")
            .await
            .unwrap_or_else(|how| panic!("{method} {target}: no answer: {how:?}"))
    }

    /// Reads exactly the head of an interim answer that begins with `line`.
    pub(crate) async fn says(&mut self, line: &str) {
        let expected = format!("{line}\r\n\r\n");
        while self.buffer.len() < expected.len() {
            assert_eq!(soon("an interim answer", self.fill()).await, None);
        }
        let head = self.buffer.split_to(expected.len());
        assert_eq!(String::from_utf8_lossy(&head), expected);
    }

    /// Sends a request with a body. An answer may come, and the connection end, before all of it is taken.
    pub(crate) async fn send_body(
        mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let (length, mut all) = (body.len().to_string(), headers.to_vec());
        let told = |name| headers.iter().any(|(told, _)| name == told.to_ascii_lowercase());
        if !body.is_empty() && !told("content-length") && !told("transfer-encoding") {
            all.push(("Content-Length", &length));
        }
        self.ask(method, target, &all).await;
        let _refused_early = self.write(body).await;
        let answer = self.answer(method == "HEAD").await;
        answer.unwrap_or_else(|how| panic!("{method} {target}: no answer: {how:?}"))
    }

    /// Reads the head of the answer; the error says how the connection ended instead.
    pub(crate) async fn answer(mut self, bodiless: bool) -> Result<Response, Ended> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if let Some(ended) = soon("an answer", self.fill()).await {
                return Err(ended);
            }
        };
        let head = self.buffer.split_to(end + 4);
        let head = String::from_utf8_lossy(&head[..end]).into_owned();
        Ok(Response::new(self, &head, bodiless))
    }

    /// Reads something; `Some` when there is no more.
    async fn fill(&mut self) -> Option<Ended> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Some(Ended::Short),
            Ok(_) => None,
            Err(_) => Some(Ended::Reset),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    /// So many bytes are missing yet.
    Length(u64),
    /// So many bytes of the current chunk are missing yet; `None` between chunks.
    Chunked(Option<u64>),
    UntilClose,
    Done,
}

#[derive(Debug)]
pub(crate) struct Response {
    client: Client,
    pub(crate) version: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
}

impl Response {
    fn new(client: Client, head: &str, bodiless: bool) -> Self {
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let version = first.next().unwrap_or_default().to_owned();
        let status = first
            .next()
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("not HTTP: {head}"));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            client,
            version,
            status,
            headers,
            framing: Framing::UntilClose,
        };
        response.framing = match (response.header("transfer-encoding"), response.length()) {
            _ if bodiless || matches!(status, 204 | 304) => Framing::Done,
            (Some("chunked"), _) => Framing::Chunked(None),
            (_, Some(length)) => Framing::Length(length),
            (_, None) => Framing::UntilClose,
        };
        response
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The values of all headers of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    /// Our port.
    pub(crate) fn port(&self) -> u16 {
        self.client.port()
    }

    /// Some body bytes as they come, at most `limit`, or how the body ended.
    pub(crate) async fn some(&mut self, limit: usize) -> Result<Bytes, Ended> {
        loop {
            let present = match self.framing {
                Framing::Done | Framing::Length(0) => return Err(Ended::Clean),
                Framing::Length(missing) | Framing::Chunked(Some(missing)) => missing,
                Framing::UntilClose => u64::MAX,
                Framing::Chunked(None) => {
                    self.chunk_head().await?;
                    continue;
                }
            };
            if self.client.buffer.is_empty()
                && let Some(ended) = self.client.fill().await
            {
                let close_is_the_end = matches!(self.framing, Framing::UntilClose) && ended == Ended::Short;
                return Err(if close_is_the_end { Ended::Clean } else { ended });
            }
            let n = self
                .client
                .buffer
                .len()
                .min(limit)
                .min(usize::try_from(present).unwrap_or(usize::MAX));
            self.consumed(n as u64);
            return Ok(self.client.buffer.split_to(n).freeze());
        }
    }

    fn consumed(&mut self, n: u64) {
        match &mut self.framing {
            Framing::Length(missing) | Framing::Chunked(Some(missing)) => *missing -= n,
            Framing::Chunked(None) | Framing::UntilClose | Framing::Done => {}
        }
        if let Framing::Chunked(Some(0)) = self.framing {
            self.framing = Framing::Chunked(None);
        }
    }

    /// Reads up to and including the line that says how long the next chunk is.
    async fn chunk_head(&mut self) -> Result<(), Ended> {
        loop {
            while self.client.buffer.starts_with(b"\r\n") {
                self.client.buffer.advance(2);
            }
            if let Some(end) = self.client.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.client.buffer.split_to(end);
                let length = std::str::from_utf8(&line)
                    .ok()
                    .and_then(|line| u64::from_str_radix(line, 16).ok());
                self.framing = match length.expect("a chunk length") {
                    0 => Framing::Done,
                    length => {
                        self.client.buffer.advance(2);
                        Framing::Chunked(Some(length))
                    }
                };
                return Ok(());
            }
            if let Some(ended) = self.client.fill().await {
                return Err(ended);
            }
        }
    }

    /// Exactly `n` body bytes.
    pub(crate) async fn exactly(&mut self, n: u64) -> Vec<u8> {
        let n = usize::try_from(n).unwrap();
        let mut bytes = Vec::with_capacity(n);
        while bytes.len() < n {
            let piece = soon("body bytes", self.some(n - bytes.len())).await;
            bytes.extend_from_slice(&piece.unwrap_or_else(|how| panic!("{how:?} after {} of {n} bytes", bytes.len())));
        }
        bytes
    }

    /// All that is left, and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Ended) {
        let mut bytes = Vec::new();
        loop {
            match soon("body bytes or the end", self.some(usize::MAX)).await {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(ended) => return (bytes, ended),
            }
        }
    }

    /// Reads all that is left without keeping it: length, sha256 digest, end.
    pub(crate) async fn hashed(&mut self) -> (u64, String, Ended) {
        let (mut hasher, mut length) = (Sha256::new(), 0);
        loop {
            match soon("body bytes or the end", self.some(usize::MAX)).await {
                Ok(piece) => {
                    hasher.update(&piece);
                    length += piece.len() as u64;
                }
                Err(ended) => {
                    return (length, sha256_text(hasher), ended);
                }
            }
        }
    }

    /// The whole answer.
    pub(crate) async fn whole(mut self) -> Answer {
        let (body, ended) = self.rest().await;
        Answer {
            status: self.status,
            headers: self.headers,
            body,
            ended,
        }
    }

    /// The connection, for the next request; only after the end of the body.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }
}

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) ended: Ended,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body for reading, as far as an error message would go.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(4096)]).into_owned()
    }

    /// The code of an OCI error body; panics when it is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("status {} without an OCI error body: {:?}", self.status, self.text()));
        body["errors"][0]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {body}"))
            .to_owned()
    }
}
