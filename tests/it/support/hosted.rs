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

    /// PUT of a manifest that must be accepted.
    pub(crate) async fn push_manifest(&self, name: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Answer {
        let target = manifest_path(name, reference);
        let pushed = self.put_manifest(&target, media_type, bytes).await;
        assert_eq!(pushed.status, 201, "{target}: {}", pushed.text());
        pushed
    }

    /// Uploads a blob, as containerd does: POST, then all of it in one PUT.
    pub(crate) async fn push_bytes(&self, name: &str, digest: &str, bytes: &[u8]) {
        let uploads = format!("/v2/{name}/blobs/uploads/");
        let begun = self.sends("POST", &uploads, &[("Content-Length", "0")], b"").await;
        assert_eq!(begun.status, 202, "{}", begun.text());
        let location = begun.header("location").unwrap();
        let and = if location.contains('?') { '&' } else { '?' };
        let length = bytes.len().to_string();
        let headers = [("Content-Length", &*length)];
        let pushed = self
            .sends("PUT", &format!("{location}{and}digest={digest}"), &headers, bytes)
            .await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
    }

    pub(crate) async fn push_blob(&self, name: &str, blob: &Content) {
        self.push_bytes(name, blob.digest(), &blob.all()).await;
    }

    /// Uploads all that an image names, and then the image.
    pub(crate) async fn push_image(&self, name: &str, reference: &str, image: &Image) {
        for blob in &image.blobs {
            self.push_blob(name, blob).await;
        }
        self.push_manifest(name, reference, image.media_type, &image.manifest.all())
            .await;
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
