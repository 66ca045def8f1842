//! `multipart/byteranges` (RFC 9110 section 14.6): several ranges in one body, in the order asked for.
//!
//! Promises that the length is known before the first byte and that the text between the parts is made as it leaves,
//! not kept. Never touches the content itself.

use std::ops::Range;
use std::vec;

use bytes::Bytes;
use uuid::Uuid;

use crate::http::body::Piece;

/// The layout of one multipart body.
#[derive(Debug, Clone)]
pub(super) struct Multipart {
    boundary: String,
    /// Of the whole content, in bytes.
    total: u64,
    ranges: Vec<Range<u64>>,
}

impl Multipart {
    /// `ranges` lie within the `total` bytes.
    pub(super) fn new(ranges: Vec<Range<u64>>, total: u64) -> Self {
        // Random, so that no content can hold it on purpose.
        let boundary = Uuid::new_v4().simple().to_string();
        Self {
            boundary,
            total,
            ranges,
        }
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Length of the whole body, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.clone().into_pieces().map(|piece| piece.length()).sum()
    }

    pub(super) fn into_pieces(self) -> Pieces {
        Pieces {
            boundary: self.boundary,
            total: self.total,
            ranges: self.ranges.into_iter(),
            next: Next::First,
        }
    }
}

/// The body's pieces, one after the other.
#[derive(Debug)]
pub(super) struct Pieces {
    boundary: String,
    total: u64,
    ranges: vec::IntoIter<Range<u64>>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    First,
    Content(u64),
    Head,
    Nothing,
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let line_end = match self.next {
            Next::Content(length) => {
                self.next = Next::Head;
                return Some(Piece::Content(length));
            }
            Next::Nothing => return None,
            Next::First => "",
            Next::Head => "\r\n",
        };
        let text = if let Some(range) = self.ranges.next() {
            self.next = Next::Content(range.end - range.start);
            self.head(line_end, &range)
        } else {
            self.next = Next::Nothing;
            format!("{line_end}--{}--\r\n", self.boundary)
        };
        Some(Piece::Text(Bytes::from(text)))
    }
}

impl Pieces {
    fn head(&self, line_end: &str, range: &Range<u64>) -> String {
        let Self { boundary, total, .. } = self;
        format!(
            "{line_end}--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {}\r\n\r\n",
            content_range(range, *total)
        )
    }
}

/// The value of `Content-Range` for a part of `total` bytes that is not empty.
pub(super) fn content_range(range: &Range<u64>, total: u64) -> String {
    format!("bytes {}-{}/{total}", range.start, range.end.saturating_sub(1))
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Content(length) => *length,
            Self::Rest => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"0123456789abcdef";

    fn rendered(multipart: Multipart) -> Vec<u8> {
        let mut ranges = multipart.ranges.clone().into_iter();
        let mut body = Vec::new();
        for piece in multipart.into_pieces() {
            match piece {
                Piece::Text(text) => body.extend_from_slice(&text),
                Piece::Content(length) => {
                    let range = ranges.next().unwrap();
                    let (from, to) = (
                        usize::try_from(range.start).unwrap(),
                        usize::try_from(range.end).unwrap(),
                    );
                    assert_eq!(length, range.end - range.start);
                    body.extend_from_slice(&CONTENT[from..to]);
                }
                Piece::Rest => panic!("a multipart body has a length"),
            }
        }
        body
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn the_length_is_that_of_the_body() {
        for ranges in [vec![0..1], vec![0..2, 10..16], (0..16).map(|at| at..at + 1).collect()] {
            let multipart = Multipart::new(ranges, CONTENT.len() as u64);
            let length = multipart.length();
            assert_eq!(length, rendered(multipart).len() as u64);
        }
    }

    #[test]
    fn the_parts_are_in_order_and_say_what_they_are() {
        let multipart = Multipart::new(vec![10..12, 0..1], 16);
        let boundary = multipart.boundary.clone();
        assert_eq!(
            multipart.content_type(),
            format!("multipart/byteranges; boundary={boundary}")
        );
        let expected = format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 10-11/16\r\n\r\nab\r\n\
             --{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-0/16\r\n\r\n0\r\n\
             --{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(rendered(multipart)).unwrap(), expected);
    }
}
