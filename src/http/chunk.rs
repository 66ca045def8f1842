//! `Content-Range` of a request: which bytes of a blob it brings.
//!
//! The specification has a form of its own, `<first>-<last>` without a unit (distribution-spec, "Pushing a blob in
//! chunks"). Promises to take RFC 9110's form as well, whose total is nobody's business here.

use std::ops::Range;

use http::HeaderMap;
use http::header::CONTENT_RANGE;

/// The header is there, and says nothing that can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Content-Range must be <first byte>-<last byte>")]
pub(super) struct Malformed;

/// The bytes that the request says it brings, if it says so.
pub(super) fn span(headers: &HeaderMap) -> Result<Option<Range<u64>>, Malformed> {
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().ok().and_then(parse).map(Some).ok_or(Malformed),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

fn parse(text: &str) -> Option<Range<u64>> {
    let span = match text.strip_prefix("bytes") {
        None => text,
        Some(rest) => {
            let rest = rest.strip_prefix([' ', '='])?;
            rest.split_once('/').map_or(rest, |(span, _total)| span)
        }
    };
    let (first, last) = span.split_once('-')?;
    let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
    (first < end).then_some(first..end)
}

/// Digits alone: `u64` would take a sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn span_of(values: &[&str]) -> Result<Option<Range<u64>>, Malformed> {
        let values = values
            .iter()
            .map(|value| (CONTENT_RANGE, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        span(&headers)
    }

    #[test]
    fn both_forms_are_understood() {
        assert_eq!(span_of(&[]), Ok(None));
        for same in ["6-8", "006-8", "bytes 6-8", "bytes=6-8", "bytes 6-8/9", "bytes 6-8/*"] {
            assert_eq!(span_of(&[same]), Ok(Some(6..9)), "{same}");
        }
        let last = u64::MAX - 1;
        assert_eq!(span_of(&[&format!("0-{last}")]), Ok(Some(0..u64::MAX)));
    }

    #[test]
    fn anything_else_is_malformed() {
        for bad in [
            "",
            "-",
            "6",
            "6-",
            "-8",
            "8-6",
            "0--1",
            "+6-8",
            "6-+8",
            "6 - 8",
            "6-8-9",
            "6-8/9",
            "bytes",
            "bytes*/9",
            "bytes */9",
            "bytes6-8",
            "items 6-8",
            "0x6-8",
            "0-18446744073709551615",
            "99999999999999999999-8",
            "٣-٤",
        ] {
            assert_eq!(span_of(&[bad]), Err(Malformed), "{bad}");
        }
        assert_eq!(span_of(&["0-1", "0-1"]), Err(Malformed));
    }
}
