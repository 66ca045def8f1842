//! Owns: the shape of the whole configuration, and where it comes from: defaults, then the file, then the environment.
//!
//! Promises that what is loaded has a value for every key, and that anything else in the file or among our environment
//! variables is an error that names it and what is accepted. Never judges values across tables, nor touches what they
//! name: `app` does. The one place where the environment is read.

mod environment;
mod error;
mod renewal;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::upstream::{MirrorConfig, builtin};

pub use error::{Error, Place};
use sources::Sources;

/// The effective configuration: the top level of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`: the side towards clients.
    pub server: crate::server::Config,
    /// `[store]`: where things are kept.
    pub store: crate::store::Config,
    /// `[hosted]`: which names are ours, and how long what they hold is kept.
    pub hosted: crate::push::Config,
    /// `[access]`: who may do what.
    pub access: crate::access::Config,
    /// `[upstream]`: how upstreams are reached.
    pub upstream: crate::upstream::Config,
    /// `[mirror."KEY"]`: the registries that are mirrored, the built-in ones among them.
    pub mirror: BTreeMap<String, MirrorConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: crate::server::Config::default(),
            store: crate::store::Config::default(),
            hosted: crate::push::Config::default(),
            access: crate::access::Config::default(),
            upstream: crate::upstream::Config::default(),
            mirror: builtin(),
        }
    }
}

impl Config {
    /// Reads `file`, if there is one, and the environment over it: `WHARF_SERVER__LISTEN` is `server.listen`. Names
    /// without `__` are left alone: Kubernetes gives every container of a Service called wharf a `WHARF_PORT`. The proxies
    /// that everybody's variables name are noted beside it.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let mut config = Sources::read(file, std::env::vars_os())?.extract()?;
        config.upstream.environment = environment::proxies(|name| std::env::var_os(name))?;
        Ok(config)
    }

    /// The configuration as a file that would give it, but for what is secret.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut effective = self.clone();
        effective.store.index = Some(self.store.index_path());
        effective.access.anonymous = Some(self.access.anonymous(self.server.listen));
        let text = toml::to_string_pretty(&effective)?;
        Ok(match self.upstream.inherited() {
            Some(environment) => format!("# From the environment: {environment}\n\n{text}"),
            None => text,
        })
    }
}
