//! Owns: the certificates that a mirror's table names: more authorities to believe, and who wharf is by TLS.
//!
//! Promises: what is in force has been read and fits together; files that have changed are in force within [`LOOK`],
//! and until they are in order again, what was read before. A file system that does not answer holds up a request for
//! [`PATIENCE`] and one thread. Never shows a key. Dropped: the look at the files goes on, and counts.

use std::fmt;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Certificate, ClientBuilder, Identity};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::tasks::Tasks;

/// How often the files are looked at, while they are used.
const LOOK: Duration = Duration::from_secs(1);
/// How long a request waits for the look that it begins.
const PATIENCE: Duration = Duration::from_millis(250);

/// Which files, all of them in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::upstream) struct Files {
    /// Certificates of authorities.
    pub(in crate::upstream) authorities: Option<PathBuf>,
    /// wharf's own certificate.
    pub(in crate::upstream) certificate: Option<PathBuf>,
    /// Its key, where that is in a file of its own.
    pub(in crate::upstream) key: Option<PathBuf>,
}

/// Why a file cannot be used, or two files not together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {path:?}: {problem}")]
pub struct BadFile {
    /// The key that names it.
    field: &'static str,
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    #[error("not everything in it is the certificate of an authority")]
    NoAuthority,
    #[error("with its key it is no certificate and private key in PEM (an encrypted key cannot be used)")]
    NoIdentity,
    #[error("the key is not that of the certificate")]
    OtherKey,
}

/// A mirror's certificate files, and what they held.
#[derive(Debug)]
pub(in crate::upstream) struct Certificates {
    files: Files,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    pem: Arc<Pem>,
    looked: Instant,
    looking: bool,
    /// What was wrong at the last look: said once.
    problem: Option<BadFile>,
}

/// What the files hold. Equal and hashed by content, so that mirrors with equal certificates share connections.
#[derive(Default)]
pub(in crate::upstream) struct Pem {
    authorities: Vec<u8>,
    identity: Vec<u8>,
    fingerprint: [u8; 32],
}

impl Certificates {
    /// Reads the files. Blocks.
    pub(in crate::upstream) fn read(files: Files) -> Result<Self, BadFile> {
        let held = Held {
            pem: Arc::new(Pem::read(&files)?),
            looked: Instant::now(),
            looking: false,
            problem: None,
        };
        Ok(Self {
            files,
            held: Mutex::new(held),
        })
    }

    /// What is in force.
    pub(in crate::upstream) async fn current(self: &Arc<Self>, tasks: &Tasks) -> Arc<Pem> {
        if let Some(pem) = self.rested() {
            return pem;
        }
        let this = Arc::clone(self);
        let look = tasks.blocking(move || this.look());
        match timeout(PATIENCE, look).await {
            Ok(Ok(pem)) => pem,
            Ok(Err(_)) | Err(_) => Arc::clone(&self.held().pem),
        }
    }

    /// What was read, if it is not to be looked at again now; the one that is told otherwise looks.
    fn rested(&self) -> Option<Arc<Pem>> {
        let mut held = self.held();
        if self.files == Files::default() || held.looking || held.looked.elapsed() < LOOK {
            return Some(Arc::clone(&held.pem));
        }
        held.looking = true;
        None
    }

    /// As if the last look were long ago.
    #[cfg(test)]
    pub(super) fn expire(&self) {
        let mut held = self.held.lock().unwrap();
        held.looked = held.looked.checked_sub(LOOK).unwrap();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Arc<Pem> {
        let read = Pem::read(&self.files);
        let mut held = self.held();
        (held.looked, held.looking) = (Instant::now(), false);
        match read {
            Ok(pem) => {
                if pem != *held.pem {
                    info!(files = ?self.files, "certificates were read anew");
                    held.pem = Arc::new(pem);
                }
                held.problem = None;
            }
            Err(problem) => {
                if held.problem.as_ref() != Some(&problem) {
                    warn!(%problem, "certificates cannot be read anew; those from before are used");
                    held.problem = Some(problem);
                }
            }
        }
        Arc::clone(&held.pem)
    }
}

impl Pem {
    fn read(files: &Files) -> Result<Self, BadFile> {
        let mut pem = Self::default();
        if let Some(path) = &files.authorities {
            pem.authorities = read("ca_file", path)?;
        }
        if let Some(path) = &files.certificate {
            pem.identity = read("client_cert", path)?;
        }
        if let Some(path) = &files.key {
            pem.identity.push(b'\n');
            pem.identity.extend(read("client_key", path)?);
        }
        let length = pem.authorities.len().to_be_bytes();
        let hash = Sha256::new_with_prefix(length);
        pem.fingerprint = hash
            .chain_update(&pem.authorities)
            .chain_update(&pem.identity)
            .finalize()
            .into();
        pem.check(files)?;
        Ok(pem)
    }

    /// The certificates and the identity, for a client's builder; the identity only where wharf is to be known.
    pub(in crate::upstream) fn apply(&self, builder: ClientBuilder, known: bool) -> reqwest::Result<ClientBuilder> {
        let mut builder = builder;
        if !self.authorities.is_empty() {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&self.authorities)?);
        }
        if known && !self.identity.is_empty() {
            builder = builder.identity(Identity::from_pem(&self.identity)?);
        }
        Ok(builder)
    }

    /// A client is the judge: each part is given to one that is thrown away.
    fn check(&self, files: &Files) -> Result<(), BadFile> {
        let client = || ClientBuilder::new().no_proxy();
        if let Some(path) = &files.authorities {
            let certificates = Certificate::from_pem_bundle(&self.authorities).unwrap_or_default();
            if certificates.is_empty() {
                return Err(bad("ca_file", path, Problem::NoCertificate));
            }
            let built = client().tls_certs_only(certificates).build();
            built.map_err(|_| bad("ca_file", path, Problem::NoAuthority))?;
        }
        if let Some(path) = &files.certificate {
            let bad = |problem| bad("client_cert", path, problem);
            let identity = Identity::from_pem(&self.identity).map_err(|_| bad(Problem::NoIdentity))?;
            let built = client().tls_certs_only([]).identity(identity).build();
            built.map_err(|_| bad(Problem::OtherKey))?;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "an operator's file, not one of the store's")]
fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, BadFile> {
    fs::read(path).map_err(|error| bad(field, path, Problem::Unreadable(error.kind())))
}

fn bad(field: &'static str, path: &Path, problem: Problem) -> BadFile {
    let path = path.to_owned();
    BadFile { field, path, problem }
}

impl PartialEq for Pem {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Pem {}

impl Hash for Pem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for Pem {
    // By hand: there is a key in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}
