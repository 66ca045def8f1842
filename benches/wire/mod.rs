//! A client that costs next to nothing: one blocking connection, one buffer, bodies counted and dropped.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; 256 * 1024],
        }
    }

    /// A request that must be answered with this status and a `Content-Length`; returns that length, once the whole body
    /// was read.
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &[u8], status: u16) -> usize {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: wharf.bench\r\nContent-Length: {length}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        let mut have = 0;
        let head = loop {
            have += self.read(have);
            if let Some(end) = find(&self.buffer[..have], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let length = content_length(&self.buffer[..head], status);
        let mut body = have - head;
        while body < length {
            body += self.read(0);
        }
        length
    }

    fn read(&mut self, at: usize) -> usize {
        let n = self.stream.read(&mut self.buffer[at..]).unwrap();
        assert_ne!(n, 0, "the connection was closed in the middle of an answer");
        n
    }
}

fn content_length(head: &[u8], status: u16) -> usize {
    let head = std::str::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
    let (_, rest) = head.split_once("\r\ncontent-length: ").unwrap();
    rest.split_once('\r').unwrap().0.parse().unwrap()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
