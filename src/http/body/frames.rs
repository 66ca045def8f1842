//! The buffers that body bytes are read into.
//!
//! Promises that a body in flight owns no more than two of them, that they are zeroed once and then reused, and that
//! many bodies at a time make them small, so that a stalled reader stays cheap (P10).

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::http::limits;

/// How many bodies stream now. Clones count together.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Streams(Arc<AtomicUsize>);

impl Streams {
    /// Counts one more body until the frames are dropped. It is `length` bytes long, if that is known.
    pub(super) fn enter(&self, length: Option<u64>) -> Frames {
        self.0.fetch_add(1, Ordering::Relaxed);
        let useful = length
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(usize::MAX);
        Frames {
            streams: self.clone(),
            useful,
            shelf: Arc::default(),
        }
    }

    fn frame_size(&self) -> usize {
        if self.0.load(Ordering::Relaxed) <= limits::FEW_BODIES {
            limits::LARGE_FRAME
        } else {
            limits::SMALL_FRAME
        }
    }
}

/// One body's buffers.
#[derive(Debug)]
pub(super) struct Frames {
    streams: Streams,
    /// A buffer larger than the whole body is a waste.
    useful: usize,
    shelf: Arc<Shelf>,
}

impl Frames {
    /// A buffer to read into, of the size that suits now. What is in it is old.
    pub(super) fn take(&self) -> Box<[u8]> {
        let size = self.streams.frame_size().min(self.useful);
        let used = self.shelf.buffers().pop();
        used.filter(|buffer| buffer.len() == size)
            .unwrap_or_else(|| vec![0; size].into_boxed_slice())
    }

    /// The first `length` bytes of `buffer`, to be sent. The buffer comes home when they are gone.
    pub(super) fn lend(&self, buffer: Box<[u8]>, length: usize) -> Bytes {
        let length = length.min(buffer.len());
        Bytes::from_owner(Lent {
            buffer,
            length,
            shelf: Arc::clone(&self.shelf),
        })
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.streams.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Shelf(Mutex<Vec<Box<[u8]>>>);

impl Shelf {
    const ROOM: usize = 2;

    fn buffers(&self) -> std::sync::MutexGuard<'_, Vec<Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shelf").field(&self.buffers().len()).finish()
    }
}

struct Lent {
    buffer: Box<[u8]>,
    length: usize,
    shelf: Arc<Shelf>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffers = self.shelf.buffers();
        if buffers.len() < Shelf::ROOM {
            buffers.push(mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_home_and_is_used_again() {
        let frames = Streams::default().enter(None);
        let mut buffer = frames.take();
        buffer[..5].copy_from_slice(b"hello");
        let place = buffer.as_ptr();
        let sent = frames.lend(buffer, 5);
        assert_eq!(&sent[..], b"hello");
        let other = frames.take();
        assert_ne!(other.as_ptr(), place, "it is still out");
        drop(sent);
        let again = frames.take();
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_small_body_gets_a_small_buffer() {
        assert_eq!(Streams::default().enter(Some(10)).take().len(), 10);
    }

    #[test]
    fn many_bodies_make_small_frames_and_fewer_make_large_ones_again() {
        let streams = Streams::default();
        let first = streams.enter(None);
        let others: Vec<_> = (0..limits::FEW_BODIES).map(|_| streams.enter(None)).collect();
        assert_eq!(first.take().len(), limits::SMALL_FRAME);
        drop(others);
        assert_eq!(first.take().len(), limits::LARGE_FRAME);
    }
}
