//! Owns: [`Config`], the `[upstream]` table, and [`Routes`]: which proxy a request goes through, if any.
//!
//! Promises: a mirror's own `proxy` is the last word for all that this mirror asks; else `[upstream] proxy`, else the
//! environment's, each but for the exceptions. Never reads the environment: `config` does.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::except::Exceptions;
use super::proxy::{Proxy, ProxyUrl};

/// `[upstream]`: how upstreams are reached that say nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The proxy of all mirrors without one of their own, in place of the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// What is reached directly all the same, in place of the environment's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<Vec<String>>,
    /// What the environment says.
    #[serde(skip)]
    pub environment: Environment,
}

/// The proxies that the environment names, by the variable that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `HTTP_PROXY`: for http URLs.
    pub http: Option<ProxyUrl>,
    /// `HTTPS_PROXY`: for https URLs.
    pub https: Option<ProxyUrl>,
    /// `ALL_PROXY`: for URLs whose own variable is not set.
    pub all: Option<ProxyUrl>,
    /// `NO_PROXY`: what is reached directly.
    pub none: Option<String>,
}

impl Config {
    /// What the environment says, where it is what counts; `Display` names the variables and shows nobody's password.
    pub fn inherited(&self) -> Option<&Environment> {
        let Environment {
            http,
            https,
            all,
            none: _,
        } = &self.environment;
        let any = [http, https, all].into_iter().any(Option::is_some);
        (self.proxy.is_none() && any).then_some(&self.environment)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { http, https, all, none } = self;
        let proxies = [("HTTP_PROXY", http), ("HTTPS_PROXY", https), ("ALL_PROXY", all)];
        let proxies = proxies
            .into_iter()
            .filter_map(|(name, proxy)| Some((name, proxy.as_ref()?.to_string())));
        let none = none.iter().map(|none| ("NO_PROXY", none.clone()));
        for (at, (name, value)) in proxies.chain(none).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} = {value:?}")?;
        }
        Ok(())
    }
}

/// The way to every URL.
#[derive(Debug, Clone, Default)]
pub(in crate::upstream) struct Routes {
    http: Option<ProxyUrl>,
    https: Option<ProxyUrl>,
    except: Exceptions,
}

impl Routes {
    pub(in crate::upstream) fn new(config: &Config) -> Self {
        let Environment { http, https, all, none } = config.environment.clone();
        let (http, https) = match config.proxy.clone() {
            Some(Proxy::Direct) => (None, None),
            Some(Proxy::Through(proxy)) => (Some(proxy.clone()), Some(proxy)),
            None => (http.or(all.clone()), https.or(all)),
        };
        let except = match &config.no_proxy {
            Some(entries) => Exceptions::new(entries.iter().map(String::as_str)),
            None => Exceptions::of_variable(none.as_deref().unwrap_or_default()),
        };
        Self { http, https, except }
    }

    /// The proxy between wharf and this URL, asked for a mirror whose own `proxy` is `own`.
    pub(in crate::upstream) fn to<'a>(&'a self, url: &Url, own: Option<&'a Proxy>) -> Option<&'a ProxyUrl> {
        match own {
            Some(Proxy::Direct) => None,
            Some(Proxy::Through(proxy)) => Some(proxy),
            None if self.except.contain(url) => None,
            None if url.scheme() == "https" => self.https.as_ref(),
            None => self.http.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ProxyUrl {
        text.parse().unwrap()
    }

    fn environment() -> Environment {
        Environment {
            http: Some(url("http://plain")),
            https: Some(url("http://secure")),
            all: Some(url("socks5://all")),
            none: Some("direct.example".to_owned()),
        }
    }

    fn way(config: &Config, to: &str, own: Option<&str>) -> Option<String> {
        let own = own.map(|own| own.parse().unwrap());
        let routes = Routes::new(config);
        let proxy = routes.to(&Url::parse(to).unwrap(), own.as_ref());
        proxy.map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn the_environment_has_a_proxy_for_each_scheme() {
        let mut config = Config {
            environment: environment(),
            ..Config::default()
        };
        let way = |config: &Config, to| way(config, to, None);
        assert_eq!(way(&config, "http://r.example").as_deref(), Some("plain"));
        assert_eq!(way(&config, "https://r.example").as_deref(), Some("secure"));
        assert_eq!(way(&config, "https://x.direct.example"), None);
        assert_eq!(way(&config, "http://127.0.0.1"), None);
        config.environment.https = None;
        assert_eq!(way(&config, "https://r.example").as_deref(), Some("all"));
        assert_eq!(way(&Config::default(), "https://r.example"), None);
    }

    #[test]
    fn the_file_overrules_the_environment_and_a_mirror_overrules_both() {
        let mut config = Config {
            proxy: Some("http://site".parse().unwrap()),
            no_proxy: None,
            environment: environment(),
        };
        assert_eq!(way(&config, "http://r.example", None).as_deref(), Some("site"));
        assert_eq!(way(&config, "https://r.example", None).as_deref(), Some("site"));
        assert_eq!(way(&config, "https://direct.example", None), None, "NO_PROXY counts");
        assert_eq!(
            way(&config, "https://r.example", Some("http://own")).as_deref(),
            Some("own")
        );
        assert_eq!(
            way(&config, "https://direct.example", Some("http://own")).as_deref(),
            Some("own")
        );
        assert_eq!(
            way(&config, "http://127.0.0.1", Some("http://own")).as_deref(),
            Some("own")
        );
        assert_eq!(way(&config, "https://r.example", Some("none")), None);
        config.no_proxy = Some(vec!["r.example".to_owned()]);
        assert_eq!(way(&config, "https://r.example", None), None);
        assert_eq!(way(&config, "https://direct.example", None).as_deref(), Some("site"));
        config.proxy = Some(Proxy::Direct);
        assert_eq!(way(&config, "https://other.example", None), None);
    }
}
