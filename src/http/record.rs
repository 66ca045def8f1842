//! One log line per request, written when its answer is over.
//!
//! Owns what is known of a request until then, and its id. Promises exactly one line, however the request ends: also
//! when the client leaves before there is an answer. Never logs the value of a header that it did not check,
//! nor a query but for an `ns` that leads nowhere, cut like every other text of the client's.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use tracing::info;
use uuid::Uuid;

use crate::http::limits;
use crate::oci::RepoName;
use crate::pull::Tally;

/// `X-Request-Id`: the client's, or ours.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// No more of a path, or of a message that repeats what the client sent, goes into the log; in characters.
const LONGEST_PATH: usize = 300;

/// One request, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Record {
    id: String,
    client: IpAddr,
    method: Method,
    path: String,
    /// What is asked for, once the path has been understood: repository, and tag or digest.
    name: Option<String>,
    reference: Option<String>,
    mirror: Option<String>,
    cache: Option<String>,
    status: Option<StatusCode>,
    error: Option<String>,
    bytes: u64,
    ending: Ending,
    tally: Tally,
    started: Instant,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// With its last byte.
    Whole,
    /// The client was gone first, or was cut for taking nothing, or the server went down.
    Left,
    /// We had to break it off.
    Broken(String),
}

impl Ending {
    pub(super) fn broken(error: &dyn StdError) -> Self {
        Self::Broken(chain(error))
    }
}

impl Record {
    pub(super) fn new(client: IpAddr, method: &Method, path: &str, headers: &HeaderMap) -> Self {
        Self {
            id: request_id(headers),
            client,
            method: method.clone(),
            path: cut(path).to_owned(),
            name: None,
            reference: None,
            mirror: None,
            cache: None,
            status: None,
            error: None,
            bytes: 0,
            ending: Ending::Left,
            tally: Tally::default(),
            started: Instant::now(),
        }
    }

    /// The request's id: visible ASCII, so a header value and a log field without quoting.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Counts the upstream requests made for this one.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The mirror's key, once a mirror is what was asked.
    pub(super) fn mirror(&self) -> Option<&str> {
        self.mirror.as_deref()
    }

    /// What the path means.
    pub(super) fn asks(&mut self, name: &RepoName, reference: &dyn fmt::Display) {
        self.name = Some(name.to_string());
        self.reference = Some(cut(&reference.to_string()).to_owned());
    }

    /// Where that is.
    pub(super) fn leads_to(&mut self, mirror: Option<&str>) {
        self.mirror = mirror.map(str::to_owned);
    }

    pub(super) fn came(&mut self, cache_status: &str) {
        self.cache = Some(cache_status.to_owned());
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(super) fn failed(&mut self, why: &str) {
        self.error = Some(why.to_owned());
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(super) fn ended(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        info!(
            id = %self.id,
            client = %self.client,
            method = %self.method,
            path = self.name.is_none().then_some(&*self.path),
            name = self.name.as_deref(),
            reference = self.reference.as_deref(),
            mirror = self.mirror.as_deref(),
            status = self.status.map(|status| status.as_u16()),
            cache = self.cache.as_deref(),
            bytes = self.bytes,
            ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            upstream_requests = self.tally.get(),
            end = %self.ending,
            error = self.error.as_deref(),
            "request"
        );
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::Left => "left",
            Self::Broken(why) => return write!(f, "broken: {why}"),
        })
    }
}

fn request_id(headers: &HeaderMap) -> String {
    let sane = |id: &HeaderValue| {
        let id = id.to_str().ok()?;
        let visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && id.len() <= limits::REQUEST_ID).then(|| id.to_owned())
    };
    headers
        .get(REQUEST_ID)
        .and_then(sane)
        .unwrap_or_else(|| Uuid::new_v4().simple().to_string())
}

/// As much of what a client sent as the log holds.
pub(super) fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST_PATH);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// An error with its causes, outermost first. Each is cut: one about JSON repeats a string of the manifest, all of it.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = cut(&error.to_string()).to_owned();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some errors already show their source.
        if !text.ends_with(cut(&cause)) {
            text = format!("{text}: {}", cut(&cause));
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(sent: &'static [u8]) -> String {
        let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(sent).unwrap())]);
        request_id(&headers)
    }

    #[test]
    fn a_sane_id_is_kept() {
        assert_eq!(id_for(b"job-17/\"x\""), "job-17/\"x\"");
        assert_eq!(id_for(&[b'a'; 128]), "a".repeat(128));
    }

    #[test]
    fn any_other_is_replaced() {
        for sent in [&b""[..], b"a b", b"caf\xc3\xa9", &[b'a'; 129]] {
            let id = id_for(sent);
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{id}"
            );
        }
    }

    #[test]
    fn what_a_client_sent_is_cut_between_characters() {
        let long = "é".repeat(LONGEST_PATH + 1);
        assert_eq!(cut(&long), "é".repeat(LONGEST_PATH));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_none_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner: {0}")]
        struct Inner(#[source] std::fmt::Error);
        let error = Outer(Inner(std::fmt::Error));
        let expected = format!("outer: inner: {}", std::fmt::Error);
        assert_eq!(chain(&error), expected);
    }
}
