//! Owns: [`Proxy`], the value of a `proxy` key, and [`ProxyUrl`], the proxy itself.
//!
//! Promises: whatever shows one (`Display`, `Debug`, serde) shows [`MASK`] for user and password.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use super::super::place::authority;
use super::super::secret::MASK;

/// Which way requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `"none"`: straight to the upstream, whatever is said elsewhere.
    Direct,
    /// Through this one.
    Through(ProxyUrl),
}

/// A proxy, with the user and password that it wants to hear: an HTTP proxy (asked in clear text or by TLS) or SOCKS5,
/// with names looked up here (`socks5`) or there (`socks5h`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Url);

/// What is no proxy. Never repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a proxy's URL")]
pub struct NoProxyUrl;

const DIRECT: &str = "none";
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

impl ProxyUrl {
    /// `host[:port]`, for messages.
    pub(in crate::upstream) fn authority(&self) -> String {
        authority(&self.0)
    }

    pub(in crate::upstream) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether it is itself spoken to by TLS.
    pub(in crate::upstream) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// With its credentials, for the client that presents them.
    pub(in crate::upstream) fn expose(&self) -> &Url {
        &self.0
    }
}

impl FromStr for ProxyUrl {
    type Err = NoProxyUrl;

    /// A URL of scheme, host and port; without a scheme `http` is meant, as in the environment everywhere.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let url = url.map_err(|_| NoProxyUrl)?;
        let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let usable = SCHEMES.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty());
        // What `config check` printed in place of a user and a password is neither.
        let known = url.username() != MASK;
        (plain && usable && known).then_some(Self(url)).ok_or(NoProxyUrl)
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.0.username().is_empty() && self.0.password().is_none() {
            String::new()
        } else {
            format!("{MASK}@")
        };
        write!(f, "{}://{user}{}", self.0.scheme(), self.authority())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Proxy {
    type Err = NoProxyUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == DIRECT {
            return Ok(Self::Direct);
        }
        text.parse().map(Self::Through)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str(DIRECT),
            Self::Through(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_url_or_none() {
        for (text, shown) in [
            ("none", "none"),
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://proxy:3128/", "http://proxy:3128"),
            ("proxy.site.example:3128", "http://proxy.site.example:3128"),
            ("https://proxy", "https://proxy"),
            ("socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080"),
            ("socks5h://[::1]:1080", "socks5h://[::1]:1080"),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(shown.parse(), Ok(proxy), "{text}");
        }
        for text in [
            "",
            "ftp://h",
            "socks4://h",
            "http://",
            "socks5://",
            "http://h/path",
            "http://h?q",
            "http://h:99999",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(NoProxyUrl), "{text}");
        }
    }

    #[test]
    fn what_shows_a_proxy_shows_nobody() {
        for url in [
            "http://user:hunter2@p:3128",
            "user:hunter2@p:3128",
            "http://hunter2@p:3128",
        ] {
            let proxy: Proxy = url.parse().unwrap();
            let json = serde_json::to_string(&proxy).unwrap();
            for shown in [proxy.to_string(), format!("{proxy:?}"), json] {
                assert!(
                    shown.contains("http://********@p:3128") && !shown.contains("hunter2"),
                    "{shown}"
                );
            }
            assert_eq!(
                proxy.to_string().parse::<Proxy>(),
                Err(NoProxyUrl),
                "the mask is no user"
            );
        }
    }
}
