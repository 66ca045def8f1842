//! Owns: [`Place`], who an error speaks of: hosts and ports, nothing more of a URL.

use std::fmt;
use std::sync::Arc;

use url::Url;

/// What is shown in place of a secret.
pub(super) const MASK: &str = "********";

/// Who was asked: the endpoint, whom it sent us to, and the proxy in between. `Display` gives hosts and ports, nothing
/// more of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
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
        Self {
            endpoint: authority,
            beyond: None,
            proxy: None,
        }
    }

    /// The token realm at `url` that this endpoint named.
    pub(super) fn realm(&self, url: &Url) -> Self {
        Self {
            endpoint: Arc::clone(&self.endpoint),
            beyond: Some(Beyond::Realm(authority(url))),
            proxy: None,
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
            proxy: None,
        }
    }

    /// The same place, asked through the proxy at this `host[:port]`.
    pub(super) fn through(&self, proxy: Option<String>) -> Self {
        Self { proxy, ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.beyond {
            None => f.write_str(&self.endpoint),
            Some(Beyond::Redirect(host)) => write!(f, "{} (redirecting to {host})", self.endpoint),
            Some(Beyond::Realm(host)) => write!(f, "{host} (token realm of {})", self.endpoint),
        }?;
        match &self.proxy {
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

/// What was written where a URL belongs, without its user and password. Rather too little is shown than too much.
pub fn without_credentials(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    let begin = before.find("://").map(|at| at + "://".len());
    let begin = begin.unwrap_or_else(|| before.len() - before.trim_start_matches(['"', '\'', '[', ' ']).len());
    format!("{}{MASK}@{after}", &before[..begin])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_an_at_sign_is_not_shown() {
        for (text, shown) in [
            ("https://u:p@h:1/x", "https://********@h:1/x"),
            ("\"u:p@h:1\"", "\"********@h:1\""),
            ("[\"https://u:p@a\", \"https://v:q@b\"]", "[\"https://********@b\"]"),
            ("http://u:p@ss@h", "http://********@h"),
            ("https://h/x", "https://h/x"),
        ] {
            assert_eq!(without_credentials(text), shown);
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
