//! The process's limit of open files, raised at the start: every response holds a socket and may hold a file.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tracing::debug;

/// Kept free for the store, the index, the log and connections to upstreams.
const RESERVED: u64 = 256;

/// No more connections than this at a time, whatever the system allows: an idle one costs about 16 KiB.
const MOST_CONNECTIONS: usize = 16 * 1024;

/// How many files this process may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFiles(u64);

/// Raises the soft limit to the hard one, as any process may.
pub(super) fn raise() -> OpenFiles {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            debug!(%error, "the limit of open files stays as it is");
            limit.current
        }
    };
    OpenFiles(in_force.unwrap_or(u64::MAX))
}

impl OpenFiles {
    /// The connections that these files allow: each may need a file beside its socket.
    pub(super) fn connections(self) -> usize {
        let pairs = self.0.saturating_sub(RESERVED) / 2;
        usize::try_from(pairs).unwrap_or(usize::MAX).clamp(16, MOST_CONNECTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_mean_few_connections_but_never_none() {
        assert_eq!(OpenFiles(0).connections(), 16);
        assert_eq!(OpenFiles(1024).connections(), 384);
        assert_eq!(OpenFiles(u64::MAX).connections(), MOST_CONNECTIONS);
    }
}
