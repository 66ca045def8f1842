//! Upstream registries: the questions they are asked, and everything between a question and its answer.
//!
//! Owns HTTP towards upstreams: credentials, tokens, redirects, deadlines, and the guards of design P9. Promises an answer that may
//! be used, or an [`Error`] that names the upstream and the cause; proves no digest and keeps no content.
//! Never sends what a client sent. Dropped: a question is given up, shared token requests and lookups go on.

mod answer;
mod auth;
mod body;
mod budget;
pub mod challenge;
mod client;
mod config;
mod credentials;
mod error;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_tls;
mod fault;
mod guard;
mod health;
mod hold;
mod lane;
mod link;
mod mirror;
mod network;
mod pace;
mod place;
mod redirect;
mod refusals;
mod resolve;
mod secret;
mod shared;
mod token;
mod wire;

pub use body::{BlobBody, Span};
pub use budget::Budget;
pub use client::{Client, FetchedManifest, ManifestHead, Tally};
pub use config::{FreshFor, MirrorConfig, TagConfig, WhenDeleted, builtin};
pub use credentials::{Unavailable, Whose};
pub use error::{Error, Verdict};
pub use fault::{Absence, Cause, Fault, Phase, Step};
pub use health::{Probe, REST};
pub use lane::{Lane, Slot};
pub use mirror::{Caution, Endpoint, EndpointId, InvalidMirror, Mirror, mirrors};
pub use network::{BadFile, Config, Environment, NoProxyUrl, Proxy, ProxyUrl};
pub use place::Place;
pub use secret::Secret;
