//! Owns: [`Place`], who an error speaks of: hosts and ports, nothing more of a URL; and what else may be shown of one.

use std::fmt;
use std::sync::Arc;

use url::Url;

/// Who was asked: the endpoint, and whom it sent us to. `Display` gives hosts and ports, nothing more of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    endpoint: Arc<str>,
    beyond: Option<Beyond>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Beyond {
    Redirect(String),
    Realm(String),
}

impl Place {
    /// The endpoint itself; `authority` is its `host[:port]`.
    pub(super) fn endpoint(authority: Arc<str>) -> Self {
        Self {
            endpoint: authority,
            beyond: None,
        }
    }

    /// The token realm at `url` that this endpoint named.
    pub(super) fn realm(&self, url: &Url) -> Self {
        Self {
            endpoint: Arc::clone(&self.endpoint),
            beyond: Some(Beyond::Realm(authority(url))),
        }
    }

    /// The place at `url` that this one redirected to.
    pub(super) fn redirected(&self, url: &Url) -> Self {
        let beyond = match self.beyond {
            None | Some(Beyond::Redirect(_)) => Beyond::Redirect(authority(url)),
            Some(Beyond::Realm(_)) => Beyond::Realm(authority(url)),
        };
        Self {
            endpoint: Arc::clone(&self.endpoint),
            beyond: Some(beyond),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.beyond {
            None => f.write_str(&self.endpoint),
            Some(Beyond::Redirect(host)) => write!(f, "{} (redirecting to {host})", self.endpoint),
            Some(Beyond::Realm(host)) => write!(f, "{host} (token realm of {})", self.endpoint),
        }
    }
}

/// `host[:port]`, the port only where it is not the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What somebody wrote for a URL, without what may be a user and a password.
pub(super) fn without_user(value: &str) -> String {
    let Some((before, host)) = value.rsplit_once('@') else {
        return value.to_owned();
    };
    let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
    format!("{}…@{host}", scheme.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        for (value, expected) in [
            ("https://h:5000/x", "https://h:5000/x"),
            ("https://user:pass@h/x", "https://…@h/x"),
            ("https://user:p@ss/w?rd@h", "https://…@h"),
            ("user:pass@h", "…@h"),
        ] {
            assert_eq!(without_user(value), expected);
        }
    }
}
