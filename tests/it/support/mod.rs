//! What the behaviour tests stand on: a scriptable registry, a cutting TCP proxy, a site's gateways, images, a client that speaks HTTP/1.1 and
//! nothing else, and wharf itself as a child process. Everything is a real socket on 127.0.0.1.
//!
//! Tests wait for events through [`soon`]; they never sleep. Dropping a fixture ends what it runs.

pub(crate) mod client;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod gateway;
pub(crate) mod hole;
pub(crate) mod hosted;
pub(crate) mod image;
pub(crate) mod inside;
pub(crate) mod leaks;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod push;
pub(crate) mod registry;
pub(crate) mod reply;
pub(crate) mod script;
mod setup;
pub(crate) mod tls;
pub(crate) mod upload;
pub(crate) mod upstream;
pub(crate) mod upstream_lists;
pub(crate) mod wharf;

use std::future::Future;
use std::time::Duration;

/// The one guard of all waits: far above anything a healthy run needs.
pub(crate) const GUARD: Duration = Duration::from_secs(30);

/// Awaits an event that must come; panics with `what` when it does not.
pub(crate) async fn soon<F: Future>(what: &str, event: F) -> F::Output {
    let within = tokio::time::timeout(GUARD, event).await;
    within.unwrap_or_else(|_| panic!("waited {GUARD:?} in vain for: {what}"))
}

/// True when `event` has not happened within `span`. For "this must not happen", which has no event of its own.
pub(crate) async fn quiet<F: Future>(span: Duration, event: F) -> bool {
    tokio::time::timeout(span, event).await.is_err()
}

/// The path of a blob as a client asks for it.
pub(crate) fn blob_path(name: &str, blob: &image::Content) -> String {
    format!("/v2/{name}/blobs/{}", blob.digest())
}

/// The path of a manifest by tag or digest.
pub(crate) fn manifest_path(name: &str, reference: &str) -> String {
    format!("/v2/{name}/manifests/{reference}")
}
