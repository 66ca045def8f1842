//! Which repositories are here, hosted and cached.
//!
//! Promises that a part is full while more follow, whatever is left out of it. Dropped futures cost nothing.

use crate::oci::RepoKey;
use crate::pull::{Error, Kept, Part, Pull};

/// How many are read from the store at a time.
const STEP: usize = 1000;

impl Pull {
    /// Up to `limit` of the repositories behind `after` that `may` lets through.
    pub async fn repositories(
        &self,
        may: impl Fn(&Kept) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Part<RepoKey>, Error> {
        let mut entries = Vec::new();
        let mut after = after.map(str::to_owned);
        loop {
            let step = self.store.repositories(after.as_deref(), STEP).await?;
            after = step.entries.last().map(|kept| kept.key.to_string());
            for kept in step.entries.into_iter().filter(&may) {
                if entries.len() == limit {
                    return Ok(Part { entries, more: true });
                }
                entries.push(kept.key);
            }
            if !step.more {
                return Ok(Part { entries, more: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::store::{Config, Store};
    use crate::tasks::Tasks;
    use crate::upstream::{self, Client};

    /// As many repositories as take three steps; each holds the same blob.
    async fn pull(dir: &tempfile::TempDir) -> Pull {
        let (tasks, clock) = (Tasks::new(), Clock::manual(Timestamp::UNIX_EPOCH));
        let config = Config {
            path: dir.path().into(),
            ..Config::default()
        };
        let store = Store::open(&config, tasks.clone()).await.unwrap();
        let beside = rusqlite::Connection::open(config.index_path().join("index.sqlite3")).unwrap();
        let rows = "
            WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 2499)
            INSERT INTO repository (id, key, mirror) SELECT n, printf('hub/r%04d', n), 'hub' FROM number;
            INSERT INTO link (repository, digest, proven) SELECT id, 'x', TRUE FROM repository;
            INSERT INTO blob (digest, size, modified) VALUES ('x', 1, 1);";
        beside.execute_batch(rows).unwrap();
        Pull::new(
            store,
            Client::new(&upstream::Config::default(), tasks.clone(), clock.clone()),
            clock,
            tasks,
            std::time::Duration::ZERO,
        )
    }

    #[tokio::test]
    async fn a_page_is_full_whatever_is_left_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let pull = pull(&dir).await;
        let odd = |kept: &Kept| kept.key.as_str().ends_with(['1', '3', '5', '7', '9']);
        let page = async |after: Option<&str>, limit| pull.repositories(odd, after, limit).await.unwrap();
        let first = page(None, 1200).await;
        assert_eq!((first.entries.len(), first.more), (1200, true));
        let last = first.entries[1199].as_str();
        assert_eq!(last, "hub/r2399");
        let rest = page(Some(last), 50).await;
        assert_eq!((rest.entries.len(), rest.more), (50, false), "what follows is left out");
        assert_eq!(rest.entries[49].as_str(), "hub/r2499");
        let nobody = pull.repositories(|_| false, None, 7).await.unwrap();
        assert_eq!((nobody.entries.len(), nobody.more), (0, false));
    }
}
