//! What a client does to hosted repositories: pushes, mounts and deletes, one plain request each.

use super::client::Answer;
use super::image::{Content, Image};
use super::wharf::Wharf;
use super::{blob_path, manifest_path};

impl Wharf {
    /// A request with a body of known length, answered to the end.
    pub(crate) async fn sends(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let client = self.connect().await;
        client.send_body(method, target, headers, body).await.whole().await
    }

    /// PUT of a manifest; nothing is said of its type where `media_type` is empty.
    pub(crate) async fn put_manifest(&self, target: &str, media_type: &str, bytes: &[u8]) -> Answer {
        let header = [("Content-Type", media_type)];
        let headers = if media_type.is_empty() { &[] } else { &header[..] };
        self.sends("PUT", target, headers, bytes).await
    }

    /// POST of a mount; `from` as it stands in the query, `&from=` included.
    pub(crate) async fn mount(&self, name: &str, digest: &str, from: &str) -> Answer {
        let target = format!("/v2/{name}/blobs/uploads/?mount={digest}{from}");
        self.sends("POST", &target, &[("Content-Length", "0")], b"").await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.sends("DELETE", target, &[], b"").await
    }

    /// Statuses of GET and HEAD; they must be the same.
    pub(crate) async fn status(&self, target: &str) -> u16 {
        let (get, head) = (self.get(target).await, self.head(target).await);
        assert_eq!(get.status, head.status, "GET and HEAD of {target}");
        get.status
    }

    pub(crate) async fn has_blob(&self, name: &str, blob: &Content) -> bool {
        self.status(&blob_path(name, blob)).await == 200
    }

    pub(crate) async fn has_manifest(&self, name: &str, reference: &str) -> bool {
        self.status(&manifest_path(name, reference)).await == 200
    }

    /// Pulls an image that a mirror has, and mounts its blobs into a hosted repository.
    pub(crate) async fn mounts_image(&self, from: &str, name: &str, image: &Image) {
        for blob in &image.blobs {
            assert_eq!(self.get(&blob_path(from, blob)).await.status, 200);
            self.landed(&blob_path(from, blob)).await;
            let mounted = self.mount(name, blob.digest(), &format!("&from={from}")).await;
            assert_eq!(mounted.status, 201, "{}", mounted.text());
        }
    }
}
