//! Owns: [`Budget`], what an upstream says of the requests that it still grants (draft-ietf-httpapi-ratelimit-headers, and
//! Docker Hub's way of it).
//!
//! Promises: leniently read, and never acted upon: only a 429 says stop.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// What is left of a request budget, as the upstream told at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests that a window grants, where it was told.
    pub limit: Option<u64>,
    /// Requests that are left of them.
    pub remaining: u64,
    /// How long a window is, where it was told.
    pub window: Option<Duration>,
    /// When it was told.
    pub at: Timestamp,
}

impl Budget {
    /// What these headers say; `None` where they say nothing.
    pub(super) fn read(headers: &HeaderMap, at: Timestamp) -> Option<Self> {
        let (limit, of) = read(headers, "ratelimit-limit");
        let (remaining, window) = read(headers, "ratelimit-remaining");
        Some(Self {
            limit,
            remaining: remaining?,
            window: of.or(window),
            at,
        })
    }
}

/// `100;w=21600`: a number, and a window in seconds. Either may be missing: Hub has been seen to send `;w=21600`.
fn read(headers: &HeaderMap, name: &str) -> (Option<u64>, Option<Duration>) {
    let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else {
        return (None, None);
    };
    // A list names several budgets; the first is the one that counts.
    let mut parts = value.split(',').next().unwrap_or_default().split(';').map(str::trim);
    let number = parts.next().and_then(|number| number.parse().ok());
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok());
    (number, window.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Option<(Option<u64>, u64, Option<u64>)> {
        let header = |(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), value.parse().unwrap());
        let headers = pairs.iter().map(header).collect();
        let budget = Budget::read(&headers, Timestamp::UNIX_EPOCH)?;
        let window = budget.window.map(|window| window.as_secs());
        Some((budget.limit, budget.remaining, window))
    }

    #[test]
    fn a_budget_is_read_leniently() {
        let (limit, remaining) = ("ratelimit-limit", "ratelimit-remaining");
        let hub = [(limit, "100;w=21600"), (remaining, "76;w=21600")];
        assert_eq!(read(&hub), Some((Some(100), 76, Some(21600))));
        assert_eq!(read(&[(limit, "100"), (remaining, "0")]), Some((Some(100), 0, None)));
        assert_eq!(
            read(&[(remaining, " 5 ; x=1; w=60 , 9;w=1")]),
            Some((None, 5, Some(60)))
        );
        let malformed = [(limit, ";w=21600"), (remaining, "3;w=soon")];
        assert_eq!(read(&malformed), Some((None, 3, Some(21600))));
        for nothing in [vec![], vec![(limit, "100;w=21600")], vec![(remaining, ";w=21600")]] {
            assert_eq!(read(&nothing), None, "{nothing:?}");
        }
    }
}
