//! Owns: work that several callers wait for, and that must not end or start over because one of them left.
//!
//! Dropped: the work goes on, unless the process winds down.

use crate::tasks::{Lost, Tasks};

/// Runs `work` to its end, whoever still waits for it. (moka starts an initialiser over when the caller that runs it leaves.)
/// No `async fn`, so that a caller's future does not carry the work's.
pub(super) fn outlive<T: Send + 'static>(
    tasks: &Tasks,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Lost>> + Send {
    let closing = tasks.closing();
    let work = tasks.spawn(async move { closing.run_until_cancelled(work).await });
    async move { work.await.ok().flatten().ok_or(Lost) }
}
