//! Upstream registries: the questions they are asked, and everything between a question and its answer.
//!
//! Owns HTTP towards upstreams: tokens, redirects, deadlines, and the guards of design P9. Promises an answer that may
//! be used, or an [`Error`] that names the upstream and the cause; proves no digest and keeps no content.
//! Never sends what a client sent. Dropped: a question is given up, shared token requests and lookups go on.

mod answer;
mod body;
mod challenge;
mod client;
mod config;
mod error;
#[cfg(test)]
mod fake;
mod fault;
mod guard;
mod link;
mod mirror;
mod place;
mod redirect;
mod resolve;
mod shared;
mod token;
mod wire;

pub use body::{BlobBody, Span};
pub use client::{Client, FetchedManifest, ManifestHead, Tally};
pub use config::{FreshFor, MirrorConfig, builtin};
pub use error::{Error, Verdict};
pub use fault::{Absence, Cause, Fault, Phase, Step};
pub use mirror::{Endpoint, InvalidMirror, Mirror, mirrors};
pub use place::Place;
