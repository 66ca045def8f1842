//! Reading: what is stored is served, what is not is fetched once, and everybody waiting reads it as it arrives.
//!
//! Owns the flights under way and what is known of tags. Promises P1–P6 for blobs, manifests and tags, hosted and
//! mirrored alike. Never knows HTTP. Every future here may be dropped at any time: shared work runs in tasks of its own.

mod absence;
mod attempts;
mod batch;
mod blame;
mod blob;
mod brief;
mod catalog;
mod complaints;
mod errand;
mod error;
mod fill;
mod flight;
mod freshness;
mod hosted;
mod listing;
mod manifest;
mod opened;
mod referrers;
mod relay;
mod resolution;
mod tag;
mod tags;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::namespaces::Repo;
use crate::oci::{Digest, Reference, RemoteName, RepoKey, Tag};
use crate::store::{self, List, Listing, Store, TagRow};
use crate::tasks::Tasks;
use crate::upstream::{Client, ManifestHead, Mirror};

pub use blob::BlobStat;
pub use error::Error;
pub use flight::Lost;
pub use manifest::{ManifestAnswer, ManifestStat};
pub use opened::Opened;
pub use referrers::Which;
pub use tags::Slice;
pub use tail::{Cut, Tail};

pub use crate::store::{Kept, Part, Referrer};
pub use crate::upstream::{Tally, Verdict};

use blame::Blame;
use brief::Brief;
use complaints::Complaints;
use flight::Flights;
use resolution::{Renewals, Resolutions};

/// Flights whose passengers wait for one value.
type Shared<K, T> = Flights<K, Option<Result<T, Error>>>;

/// Reads repositories. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pull {
    store: Store,
    client: Client,
    clock: Clock,
    tasks: Tasks,
    /// How long a pushed blob that no manifest names is kept.
    grace: Duration,
    blame: Arc<Blame>,
    complaints: Arc<Complaints>,
    landings: Arc<fill::Landings>,
    fills: Flights<fill::Key, (Place, fill::Progress)>,
    /// Blobs whose place in a repository, or size, is being asked for.
    stats: Shared<(RepoKey, Digest), Option<u64>>,
    manifests: Shared<(String, Digest), manifest::Landed>,
    heads: Shared<(RepoKey, Digest), ManifestHead>,
    tags: Shared<(RepoKey, Tag), TagRow>,
    tags_aside: Flights<(RepoKey, Tag), ()>,
    resolutions: Resolutions,
    renewals: Renewals,
    absent: Brief<(RepoKey, Reference), Error>,
    lists: Shared<(RepoKey, List), Listing>,
    lists_aside: Flights<(RepoKey, List), ()>,
    /// Lists that are empty, and those of repositories that are not there.
    absent_lists: Brief<(RepoKey, List), Result<Listing, Error>>,
}

impl Pull {
    /// Over a store and the upstreams. `grace`: how long a pushed blob that no manifest names is kept.
    pub fn new(store: Store, client: Client, clock: Clock, tasks: Tasks, grace: Duration) -> Self {
        Self {
            store,
            client,
            clock,
            tasks,
            grace,
            blame: Arc::default(),
            complaints: Arc::default(),
            landings: Arc::default(),
            fills: Flights::new(),
            stats: Flights::new(),
            manifests: Flights::new(),
            heads: Flights::new(),
            tags: Flights::new(),
            tags_aside: Flights::new(),
            resolutions: Resolutions::new(),
            renewals: Renewals::new(),
            absent: Brief::new(),
            lists: Flights::new(),
            lists_aside: Flights::new(),
            absent_lists: Brief::new(),
        }
    }

    /// What the store said, where it could: a mirror's upstream can be asked instead.
    fn or_none<T>(&self, read: Result<T, store::Error>) -> Option<T> {
        read.inspect_err(|error| self.complaints.tell("cannot read the index", error))
            .ok()
    }
}

/// When an upstream is asked whether what is cached is still right. Of a digest there is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// When the time is over for which it counts.
    WhenDue,
    /// Now, and by one question for all who ask meanwhile. What is cached answers only where the upstream cannot.
    Now,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAnswer<T> {
    /// What was asked for of it.
    pub part: Part<T>,
    /// How the list came about.
    pub via: Via,
}

/// How an answer came about: the `Cache-Status` of RFC 9211.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// From the store, no upstream asked.
    Hit,
    /// From the store, after the upstream said that it is still right.
    Revalidated,
    /// From the upstream; it is being stored.
    Miss,
    /// From the upstream, by a fetch that somebody else had begun.
    Collapsed,
    /// From the upstream, by a fetch of its own, past a store that cannot take or give it.
    Relay,
    /// From the store, although the upstream should have been asked and could not answer.
    Stale {
        /// What is left of the freshness, in seconds: negative.
        ttl_secs: i64,
        /// Why: `upstream-503`, `upstream-timeout`.
        detail: String,
    },
}

/// A repository of a mirror, where the store and the upstream keep it.
#[derive(Debug, Clone)]
struct Place {
    mirror: Arc<Mirror>,
    remote: RemoteName,
    key: RepoKey,
}

impl Place {
    /// `None` for a hosted repository: there is nobody to ask.
    fn of(repo: &Repo) -> Option<Self> {
        match repo {
            Repo::Hosted(_) => None,
            Repo::Mirrored { mirror, remote } => Some(Self {
                mirror: Arc::clone(mirror),
                remote: remote.clone(),
                key: repo.key(),
            }),
        }
    }
}
