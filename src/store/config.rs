//! The `[store]` section of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where things are kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The store's directory.
    pub path: PathBuf,
    /// The index's directory, on a local file system; inside `path` when absent.
    pub index: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { path: PathBuf::from("wharf-data"), index: None }
    }
}

impl Config {
    pub(crate) fn index_path(&self) -> PathBuf {
        self.index.clone().unwrap_or_else(|| self.path.join("index"))
    }
}
