//! A client that pushes, one step of the protocol at a time, each request on a connection of its own. A server that goes away
//! in the middle is an outcome here, not a panic.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;

use super::client::{Answer, Client, Ended};
use super::image::{Content, Image};
use super::{blob_path, manifest_path};

/// What came of a request: the answer, read to its end, or how the connection ended instead.
pub(crate) type Heard = Result<Answer, Ended>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pusher {
    address: SocketAddr,
}

/// The ways to send a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// All with the POST.
    Post,
    /// POST, then all in the PUT.
    Put,
    /// POST, one PATCH in HTTP chunks without a range, an empty PUT.
    Streamed,
    /// POST, one PATCH for each so many bytes with their ranges, the last bytes in the PUT.
    Chunked(u64),
}

impl Pusher {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Heard {
        let length = body.len().to_string();
        let headers = [headers, &[("Content-Length", &length)]].concat();
        let head = head(method, target, &headers);
        self.exchange(method, &[head.as_bytes(), body].concat()).await
    }

    async fn exchange(&self, method: &str, request: &[u8]) -> Heard {
        let mut client = Client::reach(self.address).await?;
        // Who answers early need not read on: then it is the answer that counts.
        drop(client.write(request).await);
        let answer = client.answer(method == "HEAD").await?.whole().await;
        if answer.ended == Ended::Clean {
            Ok(answer)
        } else {
            Err(answer.ended)
        }
    }

    /// Begins an upload: where it goes on.
    pub(crate) async fn begin(&self, repository: &str) -> Result<String, Ended> {
        let answer = self.send("POST", &uploads(repository), &[], &[]).await?;
        Ok(location(&answer, 202))
    }

    /// A PATCH with its range.
    pub(crate) async fn chunk(&self, location: &str, blob: &Content, range: Range<u64>) -> Heard {
        let span = format!("{}-{}", range.start, range.end - 1);
        self.send("PATCH", location, &[("Content-Range", &span)], &blob.bytes(range))
            .await
    }

    /// The PUT that ends an upload, with the bytes from `at` on.
    pub(crate) async fn close(&self, location: &str, blob: &Content, at: u64) -> Heard {
        let target = format!("{location}?digest={}", blob.digest());
        self.send("PUT", &target, &[], &blob.bytes(at..blob.len())).await
    }

    /// A blob, from the first request to the last.
    pub(crate) async fn blob(&self, repository: &str, blob: &Content, way: Way) -> Heard {
        let size = match way {
            Way::Post => {
                let target = format!("{}?digest={}", uploads(repository), blob.digest());
                return self.send("POST", &target, &[], &blob.all()).await;
            }
            Way::Put => return self.close(&self.begin(repository).await?, blob, 0).await,
            Way::Streamed => {
                let location = self.begin(repository).await?;
                let answer = self.exchange("PATCH", &streamed(&location, &blob.all())).await?;
                assert_eq!(answer.status, 202, "{}", answer.text());
                return self.close(&location, blob, blob.len()).await;
            }
            Way::Chunked(size) => size,
        };
        let location = self.begin(repository).await?;
        let mut at = 0;
        while at + size < blob.len() {
            let answer = self.chunk(&location, blob, at..at + size).await?;
            assert_eq!(answer.status, 202, "{}", answer.text());
            at += size;
        }
        self.close(&location, blob, at).await
    }

    /// Asks for a blob of another repository.
    pub(crate) async fn mount(&self, repository: &str, from: &str, digest: &str) -> Heard {
        let target = format!("{}?mount={digest}&from={from}", uploads(repository));
        self.send("POST", &target, &[], &[]).await
    }

    pub(crate) async fn manifest(&self, repository: &str, reference: &str, media_type: &str, body: &Content) -> Heard {
        let headers = [("Content-Type", media_type)];
        self.send("PUT", &manifest_path(repository, reference), &headers, &body.all())
            .await
    }

    /// All blobs of an image, then its manifest; the server must take them.
    pub(crate) async fn image(&self, repository: &str, reference: &str, image: &Image) -> Result<(), Ended> {
        for blob in &image.blobs {
            let answer = self.blob(repository, blob, Way::Put).await?;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        let answer = self
            .manifest(repository, reference, image.media_type, &image.manifest)
            .await?;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Ok(())
    }

    pub(crate) async fn get(&self, target: &str) -> Heard {
        self.send("GET", target, &[], &[]).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Heard {
        self.send("DELETE", target, &[], &[]).await
    }

    /// Whether the repository says that it has the blob.
    pub(crate) async fn has(&self, repository: &str, blob: &Content) -> Result<bool, Ended> {
        let answer = self.send("HEAD", &blob_path(repository, blob), &[], &[]).await?;
        assert!(matches!(answer.status, 200 | 404), "HEAD says {}", answer.status);
        Ok(answer.status == 200)
    }
}

/// Where the answer sends its client; it must have this status.
pub(crate) fn location(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer.header("location").expect("a Location").to_owned()
}

fn uploads(repository: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/")
}

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: wharf.test\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head + "\r\n"
}

fn streamed(location: &str, bytes: &[u8]) -> Vec<u8> {
    let mut request = head("PATCH", location, &[("Transfer-Encoding", "chunked")]).into_bytes();
    for piece in bytes.chunks(50_000) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}
