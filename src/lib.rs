//! wharf: a pull-through caching OCI registry. (The map is written last.)

pub mod access;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod namespaces;
pub mod oci;
pub mod pull;
pub mod server;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod upstream;
