//! Owns: the body of an answer while it arrives, and what it says about itself.
//!
//! Promises: `Ok(None)` is a clean end with every promised byte; no deadline but silence, of which the host's health hears;
//! nothing is read ahead of the caller.
//! Dropped: the connection is closed. [`BlobBody::chunk`] is cancel safe: no byte is lost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_RANGE;
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::fault::{Cause, Fault, Phase};
use super::health::Witness;
use super::mirror::Endpoint;
use super::place::Place;
use super::redirect::Answer;

/// Which bytes of a blob are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub from: u64,
    /// The last byte, itself included; none: to the end.
    pub to: Option<u64>,
}

/// A blob's bytes as they arrive.
pub struct BlobBody {
    response: Response,
    at: Place,
    start: u64,
    total: Option<u64>,
    promised: Option<u64>,
    got: u64,
    from: Arc<Endpoint>,
    /// Whether the mirror's rate holds for it.
    paced: bool,
    /// What is too long between two chunks, and what that is called.
    silence: (Phase, Duration),
    witness: Witness,
}

impl BlobBody {
    /// The position of the first byte in the blob: where it was asked for, or 0 when the upstream knows no ranges.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where in the blob it ends (exclusive), if the upstream told.
    pub fn end(&self) -> Option<u64> {
        self.promised.map(|promised| self.start + promised)
    }

    /// The whole blob's length in bytes, if the upstream told.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Who was asked for it.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.from
    }

    /// The next bytes, never empty; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.paced {
            self.from.pace().ready().await;
        }
        loop {
            let (phase, within) = self.silence;
            let Ok(arrived) = timeout(within, self.response.chunk()).await else {
                let at = self.at.clone();
                let silent = Error::Timeout { at, phase, within };
                self.witness.failed(&silent);
                return Err(silent);
            };
            if self.got == 0 && arrived.is_ok() {
                self.witness.is_well();
            }
            match arrived {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => return self.count(bytes).map(Some),
                Ok(None) if self.promised.is_none_or(|promised| promised == self.got) => {
                    return Ok(None);
                }
                Ok(None) => return Err(self.cut(None)),
                Err(error) => return Err(self.cut(Some(Cause::new(error.without_url())))),
            }
        }
    }

    /// The body of a 200 or 206 as an answer to a request for `span`.
    pub(super) fn open(answer: Answer, span: Span) -> Result<Self, Error> {
        let length = answer.length();
        let (start, total, promised) = if answer.status() == 206 {
            let range = answer.header(&CONTENT_RANGE).and_then(ContentRange::parse);
            let range = range.filter(|range| range.fits(span, length));
            let known = range.and_then(|range| Some((range, range.length()?)));
            let (range, length) = known.ok_or_else(|| answer.unusable(Fault::WrongRange))?;
            (range.first, range.total, Some(length))
        } else {
            (0, length, length)
        };
        let Answer {
            response,
            at,
            endpoint,
            witness,
            ..
        } = answer;
        Ok(Self {
            response,
            at,
            start,
            total,
            promised,
            got: 0,
            silence: (Phase::Silence, endpoint.deadlines().silence),
            from: endpoint,
            paced: false,
            witness,
        })
    }

    /// The same body, of which each part is as small as an answer's head.
    pub(super) fn small(self) -> Self {
        let limits = self.from.deadlines();
        let silence = (Phase::SmallBody, limits.first_byte.min(limits.silence));
        Self { silence, ..self }
    }

    /// The same body, at the mirror's rate.
    pub(super) fn paced(self) -> Self {
        Self { paced: true, ..self }
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, Error> {
        self.got += bytes.len() as u64;
        if self.paced {
            self.from.pace().took(bytes.len(), Instant::now());
        }
        if self.promised.is_some_and(|promised| self.got > promised) {
            let (at, status) = (self.at.clone(), Some(self.response.status().as_u16()));
            return Err(Error::Unusable {
                at,
                status,
                fault: Fault::Excess,
            });
        }
        Ok(bytes)
    }

    fn cut(&self, cause: Option<Cause>) -> Error {
        Error::Cut {
            at: self.at.clone(),
            got: self.got,
            promised: self.promised,
            cause,
        }
    }
}

impl fmt::Debug for BlobBody {
    // By hand: a response shows its URL, which may be signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at, start, total, got, ..
        } = self;
        write!(f, "BlobBody({at}, from {start} of {total:?}, {got} arrived)")
    }
}

/// `Content-Range: bytes first-last/total` (RFC 9110 section 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(header: &str) -> Option<Self> {
        let (range, total) = range_and_total(header)?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = if total == "*" { None } else { Some(number(total)?) };
        let ordered = first <= last && total.is_none_or(|total| last < total);
        ordered.then_some(Self { first, last, total })
    }

    /// In bytes; none where `first-last` is all of u64, one more than it can count.
    fn length(&self) -> Option<u64> {
        (self.last - self.first).checked_add(1)
    }

    fn fits(&self, span: Span, length: Option<u64>) -> bool {
        let asked = self.first == span.from && span.to.is_none_or(|to| self.last <= to);
        asked && length.is_none_or(|length| self.length() == Some(length))
    }
}

/// The total of a 416's `Content-Range: bytes */total`.
pub(super) fn total_of_unsatisfied(header: &str) -> Option<u64> {
    let (range, total) = range_and_total(header)?;
    number(total).filter(|_| range == "*")
}

fn range_and_total(header: &str) -> Option<(&str, &str)> {
    let (unit, rest) = header.trim().split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes")
        .then(|| rest.trim().split_once('/'))?
}

/// Digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let some = |first, last, total| Some(ContentRange { first, last, total });
        assert_eq!(ContentRange::parse("bytes 0-99/1000"), some(0, 99, Some(1000)));
        assert_eq!(ContentRange::parse("Bytes 5-5/*"), some(5, 5, None));
        for bad in [
            "",
            "bytes",
            "bytes 1-2",
            "bytes 2-1/9",
            "bytes 0-9/9",
            "bytes +1-2/9",
            "items 1-2/9",
            "bytes */9",
            "bytes -1/9",
            "bytes 1-2/",
        ] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
        assert_eq!(total_of_unsatisfied("bytes */12"), Some(12));
        assert_eq!(total_of_unsatisfied("bytes 0-1/12"), None);
    }

    #[test]
    fn a_length_beyond_all_numbers_is_none() {
        let length = |header| ContentRange::parse(header).unwrap().length();
        assert_eq!(length("bytes 0-99/*"), Some(100));
        assert_eq!(length("bytes 1-18446744073709551615/*"), Some(u64::MAX));
        assert_eq!(length("bytes 0-18446744073709551615/*"), None);
    }

    #[test]
    fn a_range_must_be_the_one_asked_for() {
        let range = ContentRange {
            first: 10,
            last: 19,
            total: Some(100),
        };
        let span = |from, to| Span { from, to };
        assert!(range.fits(span(10, None), None) && range.fits(span(10, Some(19)), Some(10)));
        // Less than asked for is the upstream's right; the caller asks again.
        assert!(range.fits(span(10, Some(50)), Some(10)));
        assert!(!range.fits(span(0, None), None), "starts elsewhere");
        assert!(!range.fits(span(10, Some(15)), None), "more than asked for");
        assert!(!range.fits(span(10, None), Some(11)), "another length than its own");
        assert!(!range.fits(span(10, None), Some(0)));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(header in "\\PC*") {
            let _ = (ContentRange::parse(&header), total_of_unsatisfied(&header));
        }

        #[test]
        fn what_is_sent_is_read(first: u64, more: u64) {
            let last = first.saturating_add(more);
            let expected = Some(ContentRange { first, last, total: None });
            prop_assert_eq!(ContentRange::parse(&format!("bytes {first}-{last}/*")), expected);
        }
    }
}
