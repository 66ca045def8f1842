//! A client's side of an upload session: what distribution-spec's end-4, 5, 6, 13 and 14 say, and nothing of wharf's own.

use std::path::PathBuf;

use super::client::{Answer, Client};
use super::image::Content;
use super::wharf::Wharf;
use super::{blob_path, soon};

/// Wharf with the defaults, for tests that need no upstream.
pub(crate) async fn alone() -> Wharf {
    super::wharf::Setup::new().start().await
}

/// The chunks of HTTP/1.1 (RFC 9112 section 7.1) around `body`, without the last one that ends it.
pub(crate) fn http_chunk(body: &[u8]) -> Vec<u8> {
    let head = format!("{:x}\r\n", body.len());
    [head.as_bytes(), body, b"\r\n"].concat()
}

/// `location` with the digest that closes its session.
pub(crate) fn closing(location: &str, digest: &str) -> String {
    format!("{location}?digest={digest}")
}

impl Wharf {
    /// Begins a session: where it goes on.
    pub(crate) async fn begin(&self, name: &str) -> String {
        self.begin_with(name, "").await
    }

    /// Begins a session with a query.
    pub(crate) async fn begin_with(&self, name: &str, query: &str) -> String {
        let target = format!("/v2/{name}/blobs/uploads/{query}");
        let begun = self.sends("POST", &target, &[("Content-Length", "0")], b"").await;
        assert_eq!(begun.status, 202, "{}", begun.text());
        begun.header("location").unwrap().to_owned()
    }

    pub(crate) async fn patch(&self, location: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.sends("PATCH", location, headers, body).await
    }

    /// PATCH of a chunk that begins at byte `start`.
    pub(crate) async fn chunk(&self, location: &str, start: u64, body: &[u8]) -> Answer {
        let range = format!("{start}-{}", start + body.len() as u64 - 1);
        self.patch(location, &[("Content-Range", &range)], body).await
    }

    /// The closing PUT.
    pub(crate) async fn close(&self, location: &str, digest: &str, body: &[u8]) -> Answer {
        let target = closing(location, digest);
        let empty = [("Content-Length", "0")];
        let headers = if body.is_empty() { &empty[..] } else { &[] };
        self.sends("PUT", &target, headers, body).await
    }

    /// How far a session is, as it says: `0-0` also before the first byte.
    pub(crate) async fn reached(&self, location: &str) -> String {
        let status = self.get(location).await;
        assert_eq!(status.status, 204, "{}", status.text());
        assert_eq!(status.header("location"), Some(location));
        status.header("range").unwrap().to_owned()
    }

    /// Waits until a session has so many bytes.
    pub(crate) async fn reaches(&self, location: &str, bytes: u64) {
        let wanted = format!("0-{}", bytes - 1);
        let reached = async {
            while self.reached(location).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        soon(&format!("the session to have {bytes} bytes"), reached).await;
    }

    /// Sends the head of a request and the beginning of its body.
    pub(crate) async fn begins(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Client {
        let mut client = self.connect().await;
        client.ask(method, target, headers).await;
        client.write(body).await.unwrap();
        client
    }

    /// Pulls the blob back and compares every byte.
    pub(crate) async fn has_exactly(&self, name: &str, blob: &Content) {
        let pulled = self.get(&blob_path(name, blob)).await;
        assert_eq!(pulled.status, 200, "{}", pulled.text());
        assert_eq!(pulled.header("docker-content-digest"), Some(blob.digest()));
        assert!(
            pulled.body == blob.all(),
            "{} of {} bytes",
            pulled.body.len(),
            blob.len()
        );
    }

    /// The files of upload sessions.
    pub(crate) fn upload_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.store().join("uploads")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}
