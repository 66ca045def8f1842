//! Owns: where an upstream's own words (a `Location`, a token realm) may lead us (design P9). Pure functions.
//!
//! Promises: never from https to http; never into the network that wharf stands in, unless the endpoint is in it too;
//! a realm is the endpoint's own, a built-in pair's, or the configured one.
//! Names are judged again when they resolve, in `resolve`; behind a proxy they resolve elsewhere, and only what is written
//! can be judged: literal addresses, and `localhost`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::header::HeaderValue;
use url::{Host, Url};

use super::fault::Fault;
use super::mirror::Endpoint;
use super::place::authority;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Targets {
    /// All: the configuration named the host, or an endpoint in our own network did.
    Any,
    /// Those of the public internet.
    Public,
}

/// Token endpoints on another domain that belong to a mirror nevertheless: mirror key, realm host.
const PAIRS: [(&str, &str); 1] = [("docker.io", "auth.docker.io")];

/// What an endpoint at `url` may point to that was reached at `peer`. Through a proxy nobody here knows where it was
/// reached: then the URL is taken at its word.
pub(super) fn targets(url: &Url, peer: Option<SocketAddr>) -> Targets {
    let public = match peer {
        Some(peer) => is_public(peer.ip()),
        None => !is_inner(url),
    };
    if public { Targets::Public } else { Targets::Any }
}

/// Where a redirect leads.
pub(super) fn redirect(from: &Url, location: Option<&HeaderValue>, targets: Targets) -> Result<Url, Fault> {
    let location = location
        .and_then(|value| value.to_str().ok())
        .ok_or(Fault::NoLocation)?;
    let to = from.join(location).ok().and_then(web).ok_or(Fault::NoLocation)?;
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(Fault::Downgrade { host: authority(&to) });
    }
    admit(&to, targets)?;
    Ok(to)
}

/// The token endpoint that a challenge names, if this endpoint may name it, and which addresses it may have.
pub(super) fn realm(endpoint: &Endpoint, realm: &str, targets: Targets) -> Result<(Url, Targets), Fault> {
    let url = Url::parse(realm).ok().and_then(web).ok_or(Fault::BadRealm)?;
    if endpoint.is_https() && url.scheme() != "https" {
        return Err(Fault::InsecureRealm { realm: authority(&url) });
    }
    let foreign = || Fault::ForeignRealm {
        realm: authority(&url),
        mirror: endpoint.mirror().to_owned(),
    };
    if let Some(configured) = endpoint.token_realm() {
        let same = configured.origin() == url.origin() && configured.path() == url.path();
        let other = || Fault::OtherRealm {
            realm: authority(&url),
            mirror: endpoint.mirror().to_owned(),
            configured: format!(
                "{}://{}{}",
                configured.scheme(),
                authority(configured),
                configured.path()
            ),
        };
        return if same { Ok((url, Targets::Any)) } else { Err(other()) };
    }
    let host = url.host_str().unwrap_or_default();
    if !related(host, endpoint.host()) && !PAIRS.contains(&(endpoint.mirror(), host)) {
        return Err(foreign());
    }
    admit(&url, targets).map_err(|fault| of_realm(fault, endpoint))?;
    Ok((url, targets))
}

/// A fault of a token endpoint, with the key that would allow what is forbidden to others.
pub(super) fn of_realm(fault: Fault, endpoint: &Endpoint) -> Fault {
    if let Fault::PrivateTarget { host: realm } = fault {
        let mirror = endpoint.mirror().to_owned();
        return Fault::PrivateRealm { realm, mirror };
    }
    fault
}

/// Whether an address is one of the public internet, also when it is wrapped into an IPv6 address.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn admit(url: &Url, targets: Targets) -> Result<(), Fault> {
    match targets {
        Targets::Public if is_inner(url) => Err(Fault::PrivateTarget { host: authority(url) }),
        Targets::Public | Targets::Any => Ok(()),
    }
}

/// Whether a URL says by itself that it leads into our own network: by its address, or as `localhost` (RFC 6761).
fn is_inner(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// An http(s) URL without user and password: reqwest would send those as credentials.
fn web(mut url: Url) -> Option<Url> {
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let stripped = url.set_username("").is_ok() && url.set_password(None).is_ok();
    url.set_fragment(None);
    (web && stripped).then_some(url)
}

/// The same host, or the same registrable domain (the public suffix list tells where those begin).
fn related(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('.'), b.trim_end_matches('.'));
    let numeric = |host: &str| host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    if a == b || numeric(a) || numeric(b) {
        return a == b;
    }
    matches!((psl::domain_str(a), psl::domain_str(b)), (Some(a), Some(b)) if a == b)
}

/// IANA's special-purpose registry, less what is globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 | 224..=255 => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// Only `2000::/3` is given out (RFC 4291); forms that carry an IPv4 address are what that address is.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-mapped (RFC 4291 2.5.5.2), the well-known NAT64 prefix (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            embedded(high, low)
        }
        // Teredo and other protocol assignments (RFC 2928), documentation (RFC 3849, RFC 9637).
        [0x2001, second, ..] if second < 0x200 || second == 0x0db8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests;
