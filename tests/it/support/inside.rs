//! A pull in this process, on a clock that the test sets: for what depends on the time of day.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use wharf::access::{Caller, Principal};
use wharf::clock::Clock;
use wharf::namespaces::Repo;
use wharf::pull::{Check, Error, Pull, Tally, Via};
use wharf::store::{Config, Store};
use wharf::tasks::Tasks;
use wharf::upstream::{self, Client, Mirror, MirrorConfig};

use super::upstream::Upstream;

/// It must be dropped within the runtime that it was made in.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) pull: Pull,
    pub(crate) clock: Clock,
    mirror: Arc<Mirror>,
    running: Running,
    home: TempDir,
}

#[derive(Debug)]
struct Running {
    store: Store,
    tasks: Tasks,
}

impl Inside {
    /// Over the mirror `hub` of an upstream, with deadlines fit for a test; `adjust` may change its table.
    pub(crate) async fn of(upstream: &Upstream, adjust: impl FnOnce(&mut MirrorConfig)) -> Self {
        let mut config = MirrorConfig {
            endpoints: vec![upstream.url().to_owned()],
            revalidate: Duration::from_millis(200),
            ..MirrorConfig::default()
        };
        adjust(&mut config);
        let (home, clock) = (TempDir::new().unwrap(), Clock::manual(Timestamp::UNIX_EPOCH));
        let (pull, running) = open(&home, &clock).await;
        Self {
            pull,
            clock,
            mirror: Arc::new(Mirror::new("hub", &config).unwrap()),
            running,
            home,
        }
    }

    pub(crate) fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn repo(&self, remote: &str) -> Repo {
        Repo::Mirrored {
            mirror: Arc::clone(&self.mirror),
            remote: remote.parse().unwrap(),
        }
    }

    pub(crate) fn caller() -> Caller {
        Caller {
            principal: Principal::Anonymous,
            address: Ipv4Addr::LOCALHOST.into(),
            by_proxy: false,
        }
    }

    /// What a reference of `a/b` means, and how that came about.
    pub(crate) async fn ask(&self, reference: &str, check: Check) -> Result<(String, Via), Error> {
        let (caller, repo, reference) = (Self::caller(), self.repo("a/b"), reference.parse().unwrap());
        let tally = Tally::default();
        let answer = self.pull.manifest(&caller, &repo, &reference, check, &tally).await?;
        Ok((answer.manifest.digest.to_string(), answer.via))
    }

    /// How a tag of `a/b` answers.
    pub(crate) async fn via(&self, tag: &str) -> Via {
        self.ask(tag, Check::WhenDue).await.unwrap().1
    }

    /// When a tag of `a/b` was checked last.
    pub(crate) async fn checked_at(&self, tag: &str) -> Option<Timestamp> {
        let (key, tag) = (self.repo("a/b").key(), tag.parse().unwrap());
        let row = self.running.store.tag(&key, &tag).await.unwrap();
        row.map(|row| row.checked_at)
    }

    /// Waits until a tag of `a/b` has been checked at the time that it is.
    pub(crate) async fn checks(&self, tag: &str) {
        let checked = async {
            while self.checked_at(tag).await != Some(self.clock.now()) {
                tokio::task::yield_now().await;
            }
        };
        super::soon("the tag to be checked", checked).await;
    }

    /// Ends, and begins anew on the same store at the same time of day.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            pull,
            clock,
            mirror,
            running,
            home,
        } = self;
        drop(pull);
        assert!(running.tasks.close(super::GUARD).await);
        running.store.close().await.unwrap();
        drop(running);
        let (pull, running) = open(&home, &clock).await;
        Self {
            pull,
            clock,
            mirror,
            running,
            home,
        }
    }
}

async fn open(home: &TempDir, clock: &Clock) -> (Pull, Running) {
    let (tasks, path) = (Tasks::new(), home.path().into());
    let config = Config {
        path,
        ..Config::default()
    };
    let store = Store::open(&config, tasks.clone()).await.unwrap();
    let client = Client::new(&upstream::Config::default(), tasks.clone(), clock.clone());
    let pull = Pull::new(store.clone(), client, clock.clone(), tasks.clone(), Duration::ZERO);
    (pull, Running { store, tasks })
}
