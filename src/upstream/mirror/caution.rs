//! Owns: what a `[mirror."key"]` table may say, and hardly anybody should: words for the log and for `config check`.

use std::fmt;

use super::Mirror;

/// Something dangerous that may be meant all the same. `Display` names the key and the danger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caution {
    /// No certificate is checked.
    Unverified {
        /// The mirror's key.
        key: String,
    },
    /// No TLS, to another machine.
    PlainHttp {
        /// The mirror's key.
        key: String,
        /// Its `host[:port]`.
        endpoint: String,
    },
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified { key } => write!(
                f,
                "mirror.{key:?}.skip_verify = true: no certificate is checked, so anybody on the way can answer in this \
                 registry's place, say what a tag means, and hear wharf's credentials; a ca_file can say whom to believe"
            ),
            Self::PlainHttp { key, endpoint } => write!(
                f,
                "mirror.{key:?}.endpoints: http://{endpoint} is plain http, so anybody on the way can read along, say \
                 what a tag means, and hear wharf's credentials"
            ),
        }
    }
}

impl Mirror {
    /// What to warn of.
    pub fn cautions(&self) -> Vec<Caution> {
        let key = || self.key.clone();
        let unverified = (!self.endpoint().network().verifies).then(|| Caution::Unverified { key: key() });
        let plain = self.endpoints.iter().filter(|it| !it.is_https() && !it.is_loopback());
        let plain = plain.map(|endpoint| Caution::PlainHttp {
            key: key(),
            endpoint: endpoint.to_string(),
        });
        unverified.into_iter().chain(plain).collect()
    }
}
