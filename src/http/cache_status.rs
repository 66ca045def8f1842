//! The `Cache-Status` header (RFC 9211): how an answer came about.

use std::fmt;

use crate::pull::Via;

/// `Display` is the header's value.
#[derive(Debug, Clone)]
pub(super) struct CacheStatus<'a> {
    pub(super) via: &'a Via,
    /// A HEAD fetches nothing, so nothing is stored.
    pub(super) head: bool,
}

impl fmt::Display for CacheStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wharf; ")?;
        let stored = if self.head { "" } else { "; stored" };
        match self.via {
            Via::Hit => f.write_str("hit"),
            // RFC 9211 section 2.1: an answer that the upstream had to confirm is no hit.
            Via::Revalidated => f.write_str("fwd=stale; detail=revalidated"),
            Via::Miss => write!(f, "fwd=uri-miss{stored}"),
            Via::Relay => f.write_str("fwd=uri-miss; detail=relay"),
            Via::Collapsed => write!(f, "fwd=uri-miss{stored}; collapsed"),
            Via::Stale { ttl_secs, detail } => {
                write!(f, "hit; ttl={ttl_secs}; detail={}", Detail(detail))
            }
        }
    }
}

/// A token where it is one, else a quoted string (RFC 8941 sections 3.3.3 and 3.3.4).
struct Detail<'a>(&'a str);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_token = self.0.starts_with(|first: char| first.is_ascii_alphabetic())
            && self
                .0
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte));
        if is_token {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for char in self.0.chars() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                ' '..='~' => write!(f, "{char}")?,
                _ => f.write_str("?")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale(detail: &str) -> Via {
        Via::Stale {
            ttl_secs: -120,
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn every_way_has_its_value() {
        let cases = [
            (Via::Hit, "wharf; hit"),
            (Via::Miss, "wharf; fwd=uri-miss; stored"),
            (Via::Collapsed, "wharf; fwd=uri-miss; stored; collapsed"),
            (Via::Relay, "wharf; fwd=uri-miss; detail=relay"),
            (Via::Revalidated, "wharf; fwd=stale; detail=revalidated"),
            (stale("upstream-503"), "wharf; hit; ttl=-120; detail=upstream-503"),
            (stale("a \"b\"\n"), "wharf; hit; ttl=-120; detail=\"a \\\"b\\\"?\""),
            (stale(""), "wharf; hit; ttl=-120; detail=\"\""),
        ];
        for (via, value) in cases {
            assert_eq!(CacheStatus { via: &via, head: false }.to_string(), value);
        }
        let (via, head) = (Via::Miss, true);
        assert_eq!(CacheStatus { via: &via, head }.to_string(), "wharf; fwd=uri-miss");
    }
}
