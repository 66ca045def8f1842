//! What a configuration comes to, before anything is opened.
//!
//! Promises that a [`Plan`] can work: every value makes sense for itself, and all of them together. What cannot is told in
//! words that name the file, the key and the value, the same whenever it is read. Opens nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::access::Access;
use crate::config::{self, Config};
use crate::http::Policy;
use crate::namespaces::{self, Namespaces};
use crate::store;
use crate::upstream::{self, Caution, Mirror};

/// A configuration that cannot work. Each variant names the key, the value, and what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// `[store]`.
    #[error(transparent)]
    Store(#[from] store::InvalidConfig),
    /// A table of `[mirror]`.
    #[error(transparent)]
    Mirror(#[from] upstream::InvalidMirror),
    /// Names that two claim.
    #[error(transparent)]
    Names(#[from] namespaces::Error),
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// It can be read, and cannot work.
    #[error("{}{source}", named(file.as_deref()))]
    Invalid {
        /// Its file, if there is one.
        file: Option<PathBuf>,
        /// Why.
        source: Invalid,
    },
}

/// What a configuration comes to.
#[derive(Debug)]
pub struct Plan {
    pub(super) file: Option<PathBuf>,
    pub(super) config: Config,
    pub(super) mirrors: Vec<Arc<Mirror>>,
    pub(super) policy: Policy,
}

impl Plan {
    /// Of what `file`, if there is one, and the environment say. Blocks.
    pub fn load(file: Option<PathBuf>) -> Result<Self, Unusable> {
        let config = Config::load(file.as_deref())?;
        let store = config.store.clone();
        Self::new(file, config, &store, &[])
    }

    /// As [`Plan::load`], but with the values of `running` for all that needs a restart; the keys of what has changed there
    /// come with it. Blocks.
    pub(super) fn renew(
        file: Option<PathBuf>,
        running: &Config,
        mirrors: &[Arc<Mirror>],
    ) -> Result<(Self, Vec<String>), Unusable> {
        let read = Config::load(file.as_deref())?;
        let renewed = running.renewed(&read);
        let left = renewed.differences(&read);
        // What counts only after a restart is to make sense now.
        Ok((Self::new(file, renewed, &read.store, mirrors)?, left))
    }

    fn new(
        file: Option<PathBuf>,
        config: Config,
        store: &store::Config,
        running: &[Arc<Mirror>],
    ) -> Result<Self, Unusable> {
        match settle(&config, store, running) {
            Ok((mirrors, policy)) => Ok(Self {
                file,
                config,
                mirrors,
                policy,
            }),
            Err(source) => Err(Unusable::Invalid { file, source }),
        }
    }

    /// What it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What may be meant, and is dangerous.
    pub fn cautions(&self) -> impl Iterator<Item = Caution> {
        self.mirrors.iter().flat_map(|mirror| mirror.cautions())
    }

    /// Tells the log.
    pub(super) fn warn(&self) {
        self.cautions().for_each(|caution| warn!("{caution}"));
    }
}

fn settle(
    config: &Config,
    store: &store::Config,
    running: &[Arc<Mirror>],
) -> Result<(Vec<Arc<Mirror>>, Policy), Invalid> {
    store.check()?;
    let mirrors = upstream::mirrors(&config.mirror, running)?;
    let namespaces = Namespaces::new(&config.server.names, &config.hosted.namespaces, &mirrors)?;
    let access = Access::new(&config.access, config.server.listen);
    Ok((mirrors, Policy { access, namespaces }))
}

fn named(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| format!("{}: ", file.display()))
}
