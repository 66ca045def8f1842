//! Memory for the manifests that come in.
//!
//! Promises that large ones hold no more than [`limits::LARGE_MANIFESTS`] bytes together, from before their first byte is
//! read until nobody in wharf needs them any more, whoever leaves meanwhile; that small ones wait for nobody; and that a
//! large one which does not come to its end gives way to the others. Dropping a future here gives its room back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::error::Refusal;
use crate::http::limits;
use crate::http::request_body::RequestBody;
use crate::oci::Manifest;
use crate::push::Interrupted;

/// The room for large manifests.
#[derive(Debug)]
pub(super) struct Room {
    /// In bytes.
    free: Arc<Semaphore>,
    /// How long a manifest may take that has room. Were only its silence limited, a few clients that send a byte now and
    /// then would keep all others out.
    within: Duration,
}

/// A manifest and its room, which is free again when the last of those who share the bytes drops them.
struct Held {
    bytes: BytesMut,
    _room: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// All of it is free. `within`: how long a large manifest may take to come in.
    pub(super) fn new(within: Duration) -> Self {
        let free = Arc::new(Semaphore::new(limits::LARGE_MANIFESTS));
        Self { free, within }
    }

    /// All of a body, if it is no longer than a manifest may be.
    pub(super) async fn whole(&self, body: &mut RequestBody) -> Result<Bytes, Refusal> {
        let length = body
            .length()
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if length.is_some_and(|length| length > Manifest::MAX_BYTES) {
            return Err(Refusal::manifest_too_large());
        }
        let mut bytes = BytesMut::new();
        let may_be_small = length.is_none_or(|length| length <= limits::SMALL_MANIFEST);
        if may_be_small && read(body, &mut bytes, limits::SMALL_MANIFEST).await? {
            return Ok(bytes.freeze());
        }
        let size = length.unwrap_or(Manifest::MAX_BYTES);
        let room = self.take(size).await;
        bytes.reserve(size.saturating_sub(bytes.len()));
        let rest = timeout(self.within, read(body, &mut bytes, Manifest::MAX_BYTES));
        let is_whole = rest
            .await
            .map_err(|_elapsed| Refusal::manifest_too_slow(self.within))??;
        if is_whole {
            Ok(Bytes::from_owner(Held { bytes, _room: room }))
        } else {
            Err(Refusal::manifest_too_large())
        }
    }

    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // An error would say that the semaphore was closed, which nobody does.
        Arc::clone(&self.free).acquire_many_owned(bytes).await.ok()
    }
}

/// Reads on to the body's end; false as soon as there are more bytes than `most`.
async fn read(body: &mut RequestBody, bytes: &mut BytesMut, most: usize) -> Result<bool, Interrupted> {
    while bytes.len() <= most {
        match body.chunk().await? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok(true),
        }
    }
    Ok(false)
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_free_again_when_the_last_of_the_bytes_go() {
        let room = Room::new(Duration::MAX);
        let held = Held {
            bytes: BytesMut::from("manifest"),
            _room: room.take(8).await,
        };
        let bytes = Bytes::from_owner(held);
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!(room.free.available_permits(), limits::LARGE_MANIFESTS - 8);
        drop(part);
        assert_eq!(room.free.available_permits(), limits::LARGE_MANIFESTS);
    }
}
