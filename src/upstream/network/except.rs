//! Owns: [`Exceptions`], what is reached directly although there is a proxy.
//!
//! Promises: entries mean what they mean to Go's programs, docker and containerd among them: `*`, an address, a network, a
//! domain with all below it, or, after a dot, only what is below it; each perhaps with a port. Loopback never goes through
//! a proxy. Never resolves a name.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// The entries of `no_proxy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everything,
    Network { net: IpNet, port: Option<u16> },
    Domain(Domain),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Domain {
    name: String,
    /// Whether the name itself is meant too, and not only what is below it.
    itself: bool,
    port: Option<u16>,
}

impl Exceptions {
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let entries = entries.into_iter().map(str::trim).filter(|entry| !entry.is_empty());
        Self(entries.map(Exception::new).collect())
    }

    /// The value of `NO_PROXY`.
    pub(super) fn of_variable(value: &str) -> Self {
        Self::new(value.split([',', ' ']))
    }

    /// Whether this is asked without a proxy.
    pub(super) fn contain(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        match url.host() {
            Some(Host::Ipv4(address)) => self.contain_address(address.into(), port),
            Some(Host::Ipv6(address)) => self.contain_address(address.into(), port),
            Some(Host::Domain(name)) => self.contain_name(name.trim_end_matches('.'), port),
            None => false,
        }
    }

    fn contain_address(&self, address: IpAddr, port: Option<u16>) -> bool {
        let address = address.to_canonical();
        let fits = |exception: &Exception| match exception {
            Exception::Everything => true,
            Exception::Network { net, port: only } => net.contains(&address) && (only.is_none() || *only == port),
            Exception::Domain(_) => false,
        };
        address.is_loopback() || self.0.iter().any(fits)
    }

    fn contain_name(&self, name: &str, port: Option<u16>) -> bool {
        let fits = |exception: &Exception| match exception {
            Exception::Everything => true,
            Exception::Network { .. } => false,
            Exception::Domain(domain) => domain.contains(name) && (domain.port.is_none() || domain.port == port),
        };
        Domain::new("localhost", None).contains(name) || self.0.iter().any(fits)
    }
}

impl Exception {
    fn new(entry: &str) -> Self {
        if entry == "*" {
            return Self::Everything;
        }
        if let Some(net) = network(entry) {
            return Self::Network { net, port: None };
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry, None),
            },
            None => (entry, None),
        };
        if let Some(net) = network(host) {
            return Self::Network { net, port };
        }
        Self::Domain(Domain::new(host, port))
    }
}

impl Domain {
    fn new(host: &str, port: Option<u16>) -> Self {
        let host = host
            .strip_prefix('*')
            .filter(|host| host.starts_with('.'))
            .unwrap_or(host);
        Self {
            name: host.trim_matches('.').to_ascii_lowercase(),
            itself: !host.starts_with('.'),
            port,
        }
    }

    fn contains(&self, name: &str) -> bool {
        let rest = name.strip_suffix(&*self.name);
        rest.is_some_and(|rest| rest.ends_with('.') || self.itself && rest.is_empty())
    }
}

/// An address (IPv6 perhaps in brackets) or a network.
fn network(text: &str) -> Option<IpNet> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = || bare.unwrap_or(text).parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(entries: &str, url: &str) -> bool {
        Exceptions::of_variable(entries).contain(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_domain_means_all_below_it_and_itself_unless_it_begins_with_a_dot() {
        for (entry, itself) in [
            ("corp.example", true),
            ("x, Corp.Example. ,y", true),
            ("x corp.example", true),
            (".corp.example", false),
            ("*.corp.example", false),
            (".corp.example:443", false),
        ] {
            assert_eq!(contain(entry, "https://corp.example/v2/"), itself, "{entry}");
            assert!(contain(entry, "https://r.corp.example/v2/"), "{entry}");
            assert!(contain(entry, "https://a.r.corp.example/v2/"), "{entry}");
            assert!(!contain(entry, "https://evilcorp.example/"), "{entry}");
            assert!(!contain(entry, "https://corp.example.evil/"), "{entry}");
        }
        assert!(contain("*", "https://quay.io/") && contain("*", "http://10.0.0.1/"));
        assert!(!contain("", "https://quay.io/") && !contain(" , ,", "https://quay.io/"));
    }

    #[test]
    fn addresses_and_networks_are_those_that_are_written() {
        assert!(contain("10.0.0.1", "http://10.0.0.1:5000/") && !contain("10.0.0.1", "http://10.0.0.2/"));
        assert!(contain("10.0.0.0/8,fd00::/8", "http://10.9.8.7/") && contain("fd00::/8", "http://[fd00::1]/"));
        assert!(contain("[fd00::1]", "http://[fd00::1]/") && contain("10.0.0.0/8", "http://[::ffff:10.0.0.1]/"));
        assert!(!contain("10.0.0.0/8", "http://ten.example/"), "a name is not looked up");
    }

    #[test]
    fn a_port_narrows_an_entry() {
        assert!(contain("r.example:5000", "http://r.example:5000/"));
        assert!(!contain("r.example:5000", "http://r.example/"));
        assert!(contain("r.example:443", "https://r.example/"));
        assert!(contain("10.0.0.1:5000", "http://10.0.0.1:5000/") && !contain("10.0.0.1:5000", "http://10.0.0.1/"));
        assert!(contain("[fd00::1]:5000", "http://[fd00::1]:5000/") && !contain("[fd00::1]:5000", "http://[fd00::1]/"));
    }

    #[test]
    fn loopback_needs_no_entry() {
        for url in [
            "http://localhost:5000/",
            "http://127.0.0.2/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(contain("", url), "{url}");
        }
        assert!(!contain("", "http://notlocalhost/"));
    }
}
