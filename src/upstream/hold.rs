//! Owns: what upstreams asked us to wait (`Retry-After`), and for what: an endpoint, one repository, and who asked.
//!
//! Promises: until then there is no request; other credentials and other repositories are not held.
//! Never: waits by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::oci::RemoteName;

use super::credentials::Credential;
use super::error::Error;
use super::mirror::EndpointId;

/// What a 429 without a word means.
const UNSAID: Duration = Duration::from_secs(5);
/// The longest that is believed; Docker Hub's window is 6 h.
const LONGEST: Duration = Duration::from_hours(24);
const HELD: u64 = 16 * 1024;
/// A number of seconds from here on is a time (2001), and no wait.
const EPOCH: u64 = 1_000_000_000;

/// Who must wait where.
#[derive(Debug, Clone)]
pub(super) struct Holds(Cache<(EndpointId, RemoteName), Arc<Hold>>);

#[derive(Debug)]
pub(super) struct Hold {
    who: Option<Arc<Credential>>,
    until: Timestamp,
    said: Error,
}

impl Holds {
    pub(super) fn new() -> Self {
        let held = Cache::builder().max_capacity(HELD).time_to_live(LONGEST);
        Self(held.eviction_policy(EvictionPolicy::lru()).build())
    }

    /// What holds whoever it holds.
    pub(super) async fn find(&self, endpoint: &EndpointId, remote: &RemoteName) -> Option<Arc<Hold>> {
        self.0.get(&(endpoint.clone(), remote.clone())).await
    }

    /// Remembers an error that asks us to wait; others say nothing here.
    pub(super) async fn remember(
        &self,
        (endpoint, remote): (&EndpointId, &RemoteName),
        who: Option<Arc<Credential>>,
        said: &Error,
        now: Timestamp,
    ) {
        let unsaid = matches!(said, Error::Throttled { .. }).then_some(UNSAID);
        let wait = said.retry_after().or(unsaid);
        let Some(until) = wait.and_then(|wait| now.checked_add(wait.min(LONGEST)).ok()) else {
            return;
        };
        let said = said.clone();
        let hold = Arc::new(Hold { who, until, said });
        self.0.insert((endpoint.clone(), remote.clone()), hold).await;
    }
}

impl Hold {
    /// What `who` is to hear at `now` in place of an answer: what was said, and what is left of the wait.
    pub(super) fn of(&self, who: Option<&Arc<Credential>>, now: Timestamp) -> Option<Error> {
        let left = Duration::try_from(self.until.duration_since(now)).ok();
        let left = left.filter(|left| !left.is_zero() && self.who.as_ref() == who)?;
        let mut error = self.said.clone();
        if let Error::Throttled { retry_after, .. } | Error::Failed { retry_after, .. } = &mut error {
            *retry_after = Some(left);
        }
        Some(error)
    }
}

/// How long an answer asks us to wait: seconds or a date (RFC 9110 section 10.2.3), or Docker Hub's `X-Retry-After`, a
/// time in seconds since 1970. A time that has passed is no wait at all.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let values = [RETRY_AFTER.as_str(), "x-retry-after"].map(|name| headers.get(name)?.to_str().ok());
    values.into_iter().flatten().find_map(|value| wait(value.trim(), now))
}

fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    let then = match value.parse() {
        Ok(seconds @ 0..EPOCH) => return Some(Duration::from_secs(seconds)),
        Ok(time) => Timestamp::from_second(i64::try_from(time).ok()?).ok()?,
        Err(_) => DateTimeParser::new().parse_timestamp(value).ok()?,
    };
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_a_date_or_a_time() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let read = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("retry-after", "7"), Some(7));
        assert_eq!(read("retry-after", " 0 "), Some(0));
        assert_eq!(read("retry-after", "Sat, 21 Nov 2026 10:01:00 GMT"), Some(60));
        assert_eq!(read("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!(read("retry-after", &(now.as_second() + 90).to_string()), Some(90));
        assert_eq!(read("x-retry-after", &(now.as_second() + 30).to_string()), Some(30));
        assert_eq!(read("x-retry-after", "1000000000"), Some(0));
        assert_eq!(read("retry-after", "soon"), None);
        assert_eq!(read("retry-after", "18446744073709551615"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
