//! Owns: [`Place`], who an error speaks of: hosts and ports, nothing more of a URL; and what else may be shown of one.

use std::fmt;
use std::sync::Arc;

use url::Url;

/// Who was asked: the endpoint, whom it sent us to, and the proxy in between. `Display` gives hosts and ports, nothing
/// more of a URL. Cheap to clone, and small in an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Arc<Way>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    endpoint: Arc<str>,
    beyond: Option<Beyond>,
    proxy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Beyond {
    Redirect(String),
    Realm(String),
}

impl Place {
    /// The endpoint itself; `authority` is its `host[:port]`.
    pub(super) fn endpoint(authority: Arc<str>) -> Self {
        Self::new(authority, None, None)
    }

    /// The token realm at `url` that this endpoint named.
    pub(super) fn realm(&self, url: &Url) -> Self {
        self.beyond(Beyond::Realm(authority(url)))
    }

    /// The place at `url` that this one redirected to.
    pub(super) fn redirected(&self, url: &Url) -> Self {
        self.beyond(match self.0.beyond {
            None | Some(Beyond::Redirect(_)) => Beyond::Redirect(authority(url)),
            Some(Beyond::Realm(_)) => Beyond::Realm(authority(url)),
        })
    }

    /// The same place, asked through the proxy at this `host[:port]`.
    pub(super) fn through(&self, proxy: Option<String>) -> Self {
        let Way { endpoint, beyond, .. } = &*self.0;
        Self::new(Arc::clone(endpoint), beyond.clone(), proxy)
    }

    fn beyond(&self, beyond: Beyond) -> Self {
        Self::new(Arc::clone(&self.0.endpoint), Some(beyond), None)
    }

    fn new(endpoint: Arc<str>, beyond: Option<Beyond>, proxy: Option<String>) -> Self {
        Self(Arc::new(Way {
            endpoint,
            beyond,
            proxy,
        }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Way {
            endpoint,
            beyond,
            proxy,
        } = &*self.0;
        match beyond {
            None => f.write_str(endpoint),
            Some(Beyond::Redirect(host)) => write!(f, "{endpoint} (redirecting to {host})"),
            Some(Beyond::Realm(host)) => write!(f, "{host} (token realm of {endpoint})"),
        }?;
        match proxy {
            None => Ok(()),
            Some(proxy) => write!(f, " through the proxy {proxy}"),
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

    #[test]
    fn a_place_names_everybody_on_the_way() {
        let url = |text| Url::parse(text).unwrap();
        let endpoint = Place::endpoint("r.example:5000".into());
        let cdn = endpoint
            .through(Some("p:3128".to_owned()))
            .redirected(&url("https://cdn.example/x?sig=1"));
        let seen = cdn.through(Some("p:3128".to_owned()));
        assert_eq!(cdn.to_string(), "r.example:5000 (redirecting to cdn.example)");
        assert_eq!(seen.to_string(), format!("{cdn} through the proxy p:3128"));
    }
}
