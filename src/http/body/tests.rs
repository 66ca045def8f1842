use std::collections::VecDeque;
use std::future::poll_fn;
use std::iter;

use futures_core::Stream;
use http_body::Body as _;

use super::*;
use crate::store::Blob;
use crate::store::Extent;
use crate::tasks::Tasks;

const CONTENT: &[u8] = b"0123456789";

/// A tail that gives what it is told to.
struct Given(VecDeque<Result<Extent, Cut>>);

impl Stream for Given {
    type Item = Result<Extent, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is one item of a tail")]
fn extent(range: std::ops::Range<u64>) -> Result<Extent, Cut> {
    Ok(Blob::memory(Bytes::from_static(CONTENT), Tasks::new()).extent(range))
}

fn body(tail: impl IntoIterator<Item = Result<Extent, Cut>>, pieces: &[Piece], length: Option<u64>) -> Body {
    let tail = Given(tail.into_iter().collect());
    let pieces: Vec<_> = pieces.to_vec();
    Body::stream(Extents::new(tail, pieces.into_iter(), length, &Streams::default()))
}

/// All bytes until the end, and how it ended; checks the size hint on the way.
async fn read(mut body: Body) -> (Vec<u8>, Result<(), Error>) {
    let mut read = Vec::new();
    loop {
        let promised = body.size_hint().exact();
        if body.is_end_stream() {
            return (read, Ok(()));
        }
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => return (read, Ok(())),
            Some(Err(error)) => return (read, Err(error)),
            Some(Ok(frame)) => {
                let bytes = frame.into_data().unwrap();
                assert!(!bytes.is_empty());
                if let Some(promised) = promised {
                    let left = promised - bytes.len() as u64;
                    assert_eq!(body.size_hint().exact(), Some(left));
                }
                read.extend_from_slice(&bytes);
            }
        }
    }
}

#[tokio::test]
async fn extents_become_one_content() {
    let tail = [extent(0..3), extent(3..4), extent(4..10)];
    let (bytes, ended) = read(body(tail, &[Piece::Content(10)], Some(10))).await;
    assert_eq!(bytes, CONTENT);
    assert!(ended.is_ok());
}

#[tokio::test]
async fn content_of_unknown_length_ends_with_its_tail() {
    let given = body([extent(0..3), extent(3..10)], &[Piece::Rest], None);
    assert_eq!(given.size_hint().exact(), None);
    let (bytes, ended) = read(given).await;
    assert_eq!(bytes, CONTENT);
    assert!(ended.is_ok());
}

#[tokio::test]
async fn texts_stand_between_contents() {
    let text = |text: &'static str| Piece::Text(Bytes::from_static(text.as_bytes()));
    let pieces = [text("<"), Piece::Content(2), text("|"), Piece::Content(3), text(">")];
    // Whatever the tail makes of its ranges, no content is longer than its piece.
    for tail in [
        vec![extent(0..1), extent(1..2), extent(7..10)],
        vec![extent(0..2), extent(7..10)],
    ] {
        let (bytes, ended) = read(body(tail, &pieces, Some(8))).await;
        assert_eq!(bytes, b"<01|789>");
        assert!(ended.is_ok());
    }
}

#[tokio::test]
async fn an_extent_longer_than_its_piece_is_read_in_parts() {
    let text = Piece::Text(Bytes::from_static(b"|"));
    let pieces = [Piece::Content(4), text, Piece::Content(6)];
    let (bytes, ended) = read(body([extent(0..10)], &pieces, Some(11))).await;
    assert_eq!(bytes, b"0123|456789");
    assert!(ended.is_ok());
}

#[tokio::test]
async fn a_cut_is_an_error_with_a_length_and_without() {
    for (piece, length) in [(Piece::Content(10), Some(10)), (Piece::Rest, None)] {
        let (bytes, ended) = read(body([extent(0..9), Err(Cut)], &[piece], length)).await;
        assert_eq!(bytes, b"012345678");
        assert!(matches!(ended, Err(Error::Cut(_))));
    }
}

#[tokio::test]
async fn a_tail_that_ends_early_is_an_error() {
    let (_, ended) = read(body([extent(0..9)], &[Piece::Content(10)], Some(10))).await;
    assert!(matches!(ended, Err(Error::Short { missing: 1 })));
}

#[tokio::test]
async fn the_tail_is_not_asked_after_the_last_byte() {
    let (bytes, ended) = read(body([extent(0..10), Err(Cut)], &[Piece::Content(10)], Some(10))).await;
    assert_eq!(bytes, CONTENT);
    assert!(ended.is_ok());
}

#[tokio::test]
async fn an_empty_content_needs_no_frame() {
    let empty = body(iter::empty(), &[Piece::Content(0)], Some(0));
    assert!(empty.is_end_stream());
    let (bytes, ended) = read(body(iter::empty(), &[Piece::Rest], None)).await;
    assert!(bytes.is_empty() && ended.is_ok());
}

#[tokio::test]
async fn a_body_from_memory_is_one_frame() {
    let (bytes, _) = read(Body::full(CONTENT)).await;
    assert_eq!(bytes, CONTENT);
    assert!(Body::empty().is_end_stream() && Body::full("").is_end_stream());
}
