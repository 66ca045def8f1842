//! SIGHUP: the configuration is read again, while all goes on.
//!
//! Promises that requests are judged by the new mirrors, names and access from then on, that a mirror whose table says the
//! same goes on with its tokens and connections, and that a configuration which cannot work changes nothing. What needs a
//! restart is said, at every reading. Holds no mirror that is gone. Ends with the process; dropped, nothing is read again.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::http::Http;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::upstream::Mirror;

use super::{Plan, announce_mirrors};

/// What is in force, and where it came from.
pub(super) struct Reload {
    file: Option<PathBuf>,
    config: Config,
    mirrors: Vec<Arc<Mirror>>,
    http: Http,
    store: Store,
    tasks: Tasks,
}

impl Reload {
    pub(super) fn new(
        file: Option<PathBuf>,
        config: Config,
        mirrors: Vec<Arc<Mirror>>,
        http: Http,
        store: Store,
        tasks: Tasks,
    ) -> Self {
        Self {
            file,
            config,
            mirrors,
            http,
            store,
            tasks,
        }
    }

    /// Reads again whenever it is asked to.
    pub(super) async fn run(mut self, mut asked: Signal) {
        let closing = self.tasks.closing();
        while let Some(Some(())) = closing.run_until_cancelled(asked.recv()).await {
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let (file, config, mirrors) = (self.file.clone(), self.config.clone(), self.mirrors.clone());
        let renew = move || Plan::renew(file, &config, &mirrors);
        match self.tasks.blocking(renew).await {
            Ok(Ok((plan, left))) => self.adopt(plan, &left),
            Ok(Err(error)) => {
                let error: &dyn StdError = &error;
                error!(error, "the configuration stays as it was");
            }
            // That has been logged.
            Err(_lost) => {}
        }
    }

    fn adopt(&mut self, plan: Plan, left: &[String]) {
        plan.warn();
        let Plan {
            config,
            mirrors,
            policy,
            ..
        } = plan;
        self.http.adopt(policy);
        self.store.configure_pins(&config.store.pins);
        for mirror in &mirrors {
            mirror.take_over();
        }
        (self.config, self.mirrors) = (config, mirrors);
        for key in left {
            warn!("{key} has changed: restart needed");
        }
        announce_mirrors(&self.mirrors);
        info!("the configuration has been read again");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Weak;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::pull::Pull;
    use crate::push::Push;
    use crate::upstream::Client;

    const A: &str = "[mirror.a]\nendpoints = ['http://h:1']\n";
    const B: &str = "[mirror.b]\nendpoints = ['http://h:2']\n";

    fn write(file: &Path, mirrors: &str) {
        let store = file.with_file_name("store");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(file, format!("[store]\npath = {store:?}\n{mirrors}")).unwrap();
    }

    async fn running(file: &Path) -> Reload {
        let plan = Plan::load(Some(file.to_owned())).unwrap();
        let (tasks, clock, config) = (Tasks::new(), Clock::system(), plan.config);
        let store = Store::open(&config.store, tasks.clone()).await.unwrap();
        let client = Client::new(&config.upstream, tasks.clone(), clock.clone());
        let pull = Pull::new(store.clone(), client, clock.clone(), tasks.clone(), Duration::ZERO);
        let push = Push::new(store.clone(), clock, tasks.clone(), &config.hosted);
        let http = Http::new(plan.policy, pull, push, Duration::from_secs(1));
        Reload::new(plan.file, config, plan.mirrors, http, store, tasks)
    }

    fn mirror(reload: &Reload, key: &str) -> Weak<Mirror> {
        let found = reload.mirrors.iter().find(|mirror| mirror.key() == key);
        found.map_or_else(Weak::new, Arc::downgrade)
    }

    #[tokio::test]
    async fn a_mirror_stays_is_replaced_or_is_let_go() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("wharf.toml");
        write(&file, &format!("{A}{B}"));
        let mut reload = running(&file).await;
        let (a, b) = (mirror(&reload, "a"), mirror(&reload, "b"));

        write(&file, &format!("{A}{B}fresh_for = '7s'\n"));
        reload.read().await;
        assert!(
            mirror(&reload, "a").ptr_eq(&a),
            "nothing is said that was not said before"
        );
        assert!(!mirror(&reload, "b").ptr_eq(&b));
        assert!(b.upgrade().is_none(), "nobody holds what is not in force");

        write(&file, &format!("{A}{B}nonsense = 1\n"));
        reload.read().await;
        assert!(mirror(&reload, "b").upgrade().is_some());
        write(&file, B);
        reload.read().await;
        assert!(a.upgrade().is_none());
    }
}
