//! `GET` and `HEAD` of a blob (distribution-spec end-2; RFC 9110 sections 13 to 15).
//!
//! Promises the response's head before the content is there, the digest in the algorithm that the client asked for, and
//! that neither a HEAD nor a 304 reads content. Never touches a byte: `body` does.

use std::iter;
use std::ops::Range;

use http::HeaderValue;
use http::StatusCode;
use http::header::ACCEPT_RANGES;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_RANGE;
use http::header::CONTENT_TYPE;
use http::header::RANGE;

use crate::http::body::Body;
use crate::http::body::Extents;
use crate::http::body::Piece;
use crate::http::body::Streams;
use crate::http::conditions;
use crate::http::content::Answer;
use crate::http::content::Asked;
use crate::http::content::Lasting;
use crate::http::error::Refusal;
use crate::http::multipart::Multipart;
use crate::http::multipart::content_range;
use crate::http::range;
use crate::http::range::Outcome;
use crate::oci::Digest;
use crate::pull::Opened;
use crate::pull::Pull;
use crate::pull::Via;

/// The answer to a pull of `digest`.
pub(super) async fn answer(
    pull: &Pull,
    streams: &Streams,
    asked: Asked<'_>,
    digest: &Digest,
) -> Result<Answer, Refusal> {
    if asked.head.is_head() || conditions::has_already(&asked.head.headers, digest) {
        return stat(pull, asked, digest).await;
    }
    let opened = pull.blob(asked.caller, asked.repo, digest, asked.tally).await?;
    let opened = match opened.length() {
        None if asked.head.needs_length() => opened.settled().await?,
        _ => opened,
    };
    match opened.length() {
        Some(length) => known(streams, asked, digest, opened, length).await,
        // With the length unknown no range can be told from another: chunked, and `Range` is ignored.
        None => whole(streams, asked, digest, opened, None).await,
    }
}

async fn stat(pull: &Pull, asked: Asked<'_>, digest: &Digest) -> Result<Answer, Refusal> {
    let stat = pull.stat_blob(asked.caller, asked.repo, digest, asked.tally).await?;
    let mut answer = blob(asked, digest, stat.via, Body::empty());
    if let Some(size) = stat.size {
        answer
            .headers()
            .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if answer.response.status() == StatusCode::OK {
            answer.headers().insert(CONTENT_LENGTH, size.into());
        }
    }
    Ok(answer)
}

async fn known(
    streams: &Streams,
    asked: Asked<'_>,
    digest: &Digest,
    opened: Opened,
    length: u64,
) -> Result<Answer, Refusal> {
    let wanted = asked.head.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let wanted = wanted.filter(|_| conditions::range_counts(&asked.head.headers, digest));
    let mut answer = match range::parse(wanted, length) {
        Outcome::Whole => whole(streams, asked, digest, opened, Some(length)).await?,
        Outcome::Unsatisfiable => return Err(Refusal::unsatisfiable(length)),
        Outcome::Partial { ranges, completing } if completing && ranges.len() > 1 && !opened.is_seekable() => {
            whole(streams, asked, digest, opened, Some(length)).await?
        }
        Outcome::Partial { ranges, completing } => {
            let part = Part {
                ranges,
                completing,
                length,
            };
            partial(streams, asked, digest, opened, part).await?
        }
    };
    answer
        .headers()
        .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(answer)
}

async fn whole(
    streams: &Streams,
    asked: Asked<'_>,
    digest: &Digest,
    opened: Opened,
    length: Option<u64>,
) -> Result<Answer, Refusal> {
    let via = opened.via().clone();
    let piece = length.map_or(Piece::Rest, Piece::Content);
    let extents = Extents::new(opened.read_whole().await?, iter::once(piece), length, streams);
    Ok(blob(asked, digest, via, Body::stream(extents)))
}

/// What of a blob was asked for.
struct Part {
    /// At least one.
    ranges: Vec<Range<u64>>,
    completing: bool,
    /// Of the whole blob.
    length: u64,
}

async fn partial(
    streams: &Streams,
    asked: Asked<'_>,
    digest: &Digest,
    opened: Opened,
    part: Part,
) -> Result<Answer, Refusal> {
    let via = opened.via().clone();
    let tail = opened.read(part.ranges.clone(), part.completing).await?;
    let mut answer = if let [range] = part.ranges.as_slice() {
        let size = range.end - range.start;
        let extents = Extents::new(tail, iter::once(Piece::Content(size)), Some(size), streams);
        let mut answer = blob(asked, digest, via, Body::stream(extents));
        answer.set(CONTENT_RANGE, content_range(range, part.length));
        answer
    } else {
        let parts = Multipart::new(part.ranges, part.length);
        let (content_type, size) = (parts.content_type(), parts.length());
        let extents = Extents::new(tail, parts.into_pieces(), Some(size), streams);
        let mut answer = blob(asked, digest, via, Body::stream(extents));
        answer.set(CONTENT_TYPE, content_type);
        answer
    };
    *answer.response.status_mut() = StatusCode::PARTIAL_CONTENT;
    Ok(answer)
}

fn blob(asked: Asked<'_>, digest: &Digest, via: Via, body: Body) -> Answer {
    let mut answer = Answer::new(asked, digest, Lasting::Forever, via, body);
    let octets = HeaderValue::from_static("application/octet-stream");
    answer.headers().insert(CONTENT_TYPE, octets);
    answer
}
