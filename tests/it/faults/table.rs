//! What becomes of a request when the registry behind a mirror fails: the one table that the tests hold wharf to, and that
//! README shows.

use super::fault::Fault;
use crate::support::script::How::{Fin, Rst};

/// Faults that come to the same.
#[derive(Debug)]
pub(super) struct Row {
    /// What the registry does, as README says it.
    pub(super) registry: &'static str,
    pub(super) faults: &'static [Fault],
    pub(super) cached_tag: Cached,
    pub(super) uncached_tag: Heard,
    pub(super) uncached_blob: Heard,
    pub(super) under_way: Heard,
    pub(super) again: Again,
}

/// What a tag answers that is cached and must be asked for again. It has moved, so that the news are more than a HEAD.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cached {
    /// What it means now.
    News,
    /// What it meant, as soon as the registry has failed.
    Stale,
    /// What it meant, when the time for a revalidation is over.
    StaleInTime,
}

/// What the client hears who asks for what is not cached.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard {
    /// Nothing of it: 200, and every byte.
    Nothing,
    /// This status and this code, with the registry's name, its status and the cause.
    Told(u16, &'static str),
    /// 200, a part and no clean end. The next request goes on where this one broke.
    Cut,
    /// 200, and no clean end before the last byte. The next request begins at the first byte.
    CutWrong,
}

/// What comes of asking for the same uncached tag once more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Again {
    /// It costs what it cost.
    Asked,
    /// After so many questions, the answer comes without a question: the registry is known to be down, and only probed.
    LeftAlone(usize),
    /// The answer is remembered for 10 s.
    Remembered,
    /// The answer comes without a question until the time that the registry named, or 5 s.
    Held,
    /// It is asked what the tag means, but not for that content, for 5 s and more each time.
    Blamed,
    /// There is nothing to ask for.
    Served,
}

const UNAVAILABLE: &str = "UNAVAILABLE";

pub(super) const TABLE: &[Row] = &[
    Row {
        registry: "refuses or breaks connections, or has no name in the DNS or no certificate to believe",
        faults: &[Fault::Refused, Fault::NoName, Fault::NoTls, Fault::Resets],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(502, UNAVAILABLE),
        uncached_blob: Heard::Told(502, UNAVAILABLE),
        under_way: Heard::Cut,
        again: Again::LeftAlone(1),
    },
    Row {
        registry: "takes no connection, or says nothing",
        faults: &[Fault::BlackHole, Fault::Silent],
        cached_tag: Cached::StaleInTime,
        uncached_tag: Heard::Told(504, UNAVAILABLE),
        uncached_blob: Heard::Told(504, UNAVAILABLE),
        under_way: Heard::Cut,
        again: Again::LeftAlone(1),
    },
    Row {
        registry: "answers 5xx",
        faults: &[Fault::Status(500), Fault::Status(502), Fault::Status(503)],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(502, UNAVAILABLE),
        uncached_blob: Heard::Told(502, UNAVAILABLE),
        under_way: Heard::Cut,
        again: Again::LeftAlone(3),
    },
    Row {
        registry: "answers 429, with `Retry-After` or without",
        faults: &[Fault::Throttles(Some(9)), Fault::Throttles(None)],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(429, "TOOMANYREQUESTS"),
        uncached_blob: Heard::Told(429, "TOOMANYREQUESTS"),
        under_way: Heard::Cut,
        again: Again::Held,
    },
    Row {
        registry: "answers 401 or 403",
        faults: &[Fault::Status(401), Fault::Status(403)],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(403, "DENIED"),
        uncached_blob: Heard::Told(403, "DENIED"),
        under_way: Heard::Cut,
        again: Again::Asked,
    },
    Row {
        registry: "answers 404, also for what it had, or 401 to an anonymous token that it has just granted",
        faults: &[Fault::Deleted, Fault::Unwelcome],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(404, "MANIFEST_UNKNOWN"),
        uncached_blob: Heard::Told(404, "BLOB_UNKNOWN"),
        under_way: Heard::Cut,
        again: Again::Remembered,
    },
    Row {
        registry: "answers 200 with a page of HTML, or with a status that means nothing",
        faults: &[Fault::Html, Fault::Status(418)],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(502, UNAVAILABLE),
        uncached_blob: Heard::Told(502, UNAVAILABLE),
        under_way: Heard::Cut,
        again: Again::Asked,
    },
    Row {
        registry: "has a token endpoint that answers 5xx",
        faults: &[Fault::NoTokens],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(502, UNAVAILABLE),
        uncached_blob: Heard::Told(502, UNAVAILABLE),
        under_way: Heard::Cut,
        again: Again::LeftAlone(1),
    },
    Row {
        registry: "redirects blobs to a place that refuses them",
        faults: &[Fault::SignaturesRefused],
        cached_tag: Cached::News,
        uncached_tag: Heard::Nothing,
        uncached_blob: Heard::Told(502, UNAVAILABLE),
        under_way: Heard::Cut,
        again: Again::Served,
    },
    Row {
        registry: "takes back tokens or signed addresses that it gave, also in mid transfer",
        faults: &[Fault::TokenExpired, Fault::SignatureExpired],
        cached_tag: Cached::News,
        uncached_tag: Heard::Nothing,
        uncached_blob: Heard::Nothing,
        under_way: Heard::Nothing,
        again: Again::Served,
    },
    Row {
        registry: "breaks off a body, or ends it too early, now and then",
        faults: &[Fault::BreaksOnce(Rst), Fault::BreaksOnce(Fin)],
        cached_tag: Cached::News,
        uncached_tag: Heard::Nothing,
        uncached_blob: Heard::Nothing,
        under_way: Heard::Nothing,
        again: Again::Served,
    },
    Row {
        registry: "falls silent in a body, now and then",
        faults: &[Fault::SilentOnce],
        cached_tag: Cached::StaleInTime,
        uncached_tag: Heard::Told(504, UNAVAILABLE),
        uncached_blob: Heard::Nothing,
        under_way: Heard::Nothing,
        again: Again::Served,
    },
    Row {
        registry: "never gets beyond some byte of it",
        faults: &[Fault::Short],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(502, UNAVAILABLE),
        uncached_blob: Heard::Cut,
        under_way: Heard::Cut,
        again: Again::Asked,
    },
    Row {
        registry: "sends wrong bytes",
        faults: &[Fault::Corrupt],
        cached_tag: Cached::Stale,
        uncached_tag: Heard::Told(502, UNAVAILABLE),
        uncached_blob: Heard::CutWrong,
        under_way: Heard::CutWrong,
        again: Again::Blamed,
    },
];
