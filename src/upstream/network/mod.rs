//! How the hosts of a mirror are reached: through which proxy, and with which certificates.
//!
//! Owns: [`Network`], what a mirror's table says of that; [`Routes`], what holds for all. Promises that nothing here
//! shows a password or a key.

mod certificates;
mod except;
mod proxy;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::config::MirrorConfig;
use super::mirror::InvalidMirror;

pub(super) use certificates::{Certificates, Files, Pem};
pub(super) use route::Routes;

pub use certificates::BadFile;
pub use proxy::{NoProxyUrl, Proxy, ProxyUrl};
pub use route::{Config, Environment};

/// What one mirror says.
#[derive(Debug)]
pub(super) struct Network {
    /// In place of everybody's.
    pub(super) proxy: Option<Proxy>,
    pub(super) certificates: Arc<Certificates>,
    /// `false`: any certificate will do.
    pub(super) verifies: bool,
}

impl Network {
    /// Checks what the table of mirror `key` says, and reads the files that it names. Blocks.
    pub(super) fn new(key: &str, config: &MirrorConfig) -> Result<Self, InvalidMirror> {
        if config.client_key.is_some() && config.client_cert.is_none() {
            return Err(InvalidMirror::KeyAlone { key: key.to_owned() });
        }
        let files = Files {
            authorities: config.ca_file.clone(),
            certificate: config.client_cert.clone(),
            key: config.client_key.clone(),
        };
        let certificates = Certificates::read(files).map_err(|problem| InvalidMirror::File {
            key: key.to_owned(),
            problem,
        })?;
        Ok(Self {
            proxy: config.proxy.clone(),
            certificates: Arc::new(certificates),
            verifies: !config.skip_verify,
        })
    }
}
