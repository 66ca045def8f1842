//! The only spawner: every task is tracked, hears of the end, and is waited for.
//!
//! Promises that [`Tasks::close`] returns true only when no task runs any more, and that a panic is logged with the
//! place that spawned the task. Never aborts: a task that does not listen to [`Tasks::closing`] is left to its own end.
//! Dropping what [`Tasks::spawn`] or [`Tasks::blocking`] returned leaves the work running.

use std::panic::Location;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

/// The process's background work; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    closing: CancellationToken,
}

/// Blocking work that gave no result: it panicked, or the runtime was going down. The panic has been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a background task ended without a result")]
pub struct Lost;

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` in the background, whoever waits for it. Needs a tokio runtime.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let watch = PanicWatch(Location::caller());
        self.tracker.spawn(async move {
            let _watch = watch;
            future.await
        })
    }

    /// Runs `work`, which may block, on tokio's blocking pool. That pool is shared with name lookups and has 512 threads,
    /// tokio's own limit: work waits in line when all are taken, so nothing here may wait for other blocking work.
    #[track_caller]
    pub fn blocking<F, R>(&self, work: F) -> impl Future<Output = Result<R, Lost>> + use<F, R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let watch = PanicWatch(Location::caller());
        let work = self.tracker.spawn_blocking(move || {
            let _watch = watch;
            work()
        });
        async move { work.await.map_err(|_panicked_or_refused| Lost) }
    }

    /// A token that is cancelled when the process winds down. Cancelling it oneself touches nobody else.
    pub fn closing(&self) -> CancellationToken {
        self.closing.child_token()
    }

    /// Cancels [`Tasks::closing`] and waits for every task, for `within` at most. False when some still run.
    pub async fn close(&self, within: Duration) -> bool {
        self.closing.cancel();
        self.tracker.close();
        timeout(within, self.tracker.wait()).await.is_ok()
    }
}

/// Logs when it is dropped by a panic: whoever dropped the task's handle would never hear of it.
struct PanicWatch(&'static Location<'static>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(spawned_at = %self.0, "a task panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use tokio::sync::oneshot;
    use tracing::subscriber;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn close_tells_everybody_and_waits_for_all() {
        let tasks = Tasks::new();
        let ended = Arc::new(AtomicBool::new(false));
        let (closing, seen) = (tasks.closing(), Arc::clone(&ended));
        tasks.spawn(async move {
            closing.cancelled().await;
            tokio::task::yield_now().await;
            seen.store(true, Ordering::SeqCst);
        });
        assert!(tasks.close(LONG).await);
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn close_says_when_it_gave_up() {
        let tasks = Tasks::new();
        let (_never, forever) = oneshot::channel::<()>();
        tasks.spawn(forever);
        assert!(!tasks.close(Duration::from_millis(1)).await);
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits() {
        let tasks = Tasks::new();
        let (done, heard) = oneshot::channel();
        drop(tasks.blocking(move || done.send(7)));
        assert_eq!(heard.await, Ok(7));
        assert!(tasks.close(LONG).await);
    }

    #[tokio::test]
    async fn cancelling_a_closing_token_touches_nobody_else() {
        let tasks = Tasks::new();
        tasks.closing().cancel();
        assert!(!tasks.closing().is_cancelled());
    }

    #[test]
    fn a_panic_is_logged_with_the_place_that_spawned_it() {
        let log = Log::default();
        let sink = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || sink.clone()).finish();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        subscriber::with_default(subscriber, || {
            runtime.block_on(async {
                let tasks = Tasks::new();
                assert!(tasks.spawn(async { panic!("on purpose") }).await.is_err());
                assert_eq!(tasks.blocking(|| 1).await, Ok(1));
                assert_eq!(tasks.blocking(|| panic!("on purpose")).await, Err::<(), _>(Lost));
            });
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("a task panicked") && text.contains(file!()), "{text}");
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
