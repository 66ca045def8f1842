//! Which bytes of a staging file are present.
//!
//! Owns a set of byte spans: sorted, disjoint and never touching. Exact to the byte, so a resumed fetch asks for
//! nothing that is there; it has one span for each stream that ever wrote, so it stays small however big the blob.
//! Promises that `decode(encode(x)) == x`. Never touches the file.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of byte positions, kept as spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Start → end (exclusive).
    spans: BTreeMap<u64, u64>,
}

impl Pieces {
    /// Adds a span.
    pub(crate) fn insert(&mut self, span: Range<u64>) {
        if span.is_empty() {
            return;
        }
        let (mut start, mut end) = (span.start, span.end);
        // Every span that overlaps or touches the new one begins at or before its end.
        while let Some((&s, &e)) = self.spans.range(..=end).next_back().filter(|&(_, &e)| e >= start) {
            self.spans.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.spans.insert(start, end);
    }

    /// Forgets everything at or above `length`.
    pub(crate) fn clip(&mut self, length: u64) {
        self.spans.split_off(&length);
        if let Some(mut last) = self.spans.last_entry() {
            *last.get_mut() = length.min(*last.get());
        }
    }

    /// Where the present run that holds `position` ends (exclusive); `position` itself when it is absent.
    pub(crate) fn run_end(&self, position: u64) -> u64 {
        self.spans
            .range(..=position)
            .next_back()
            .map_or(position, |(_, &end)| end.max(position))
    }

    /// Where the next run behind `position` begins; `None` when there is none.
    pub(crate) fn next_start(&self, position: u64) -> Option<u64> {
        self.spans.range(position..).next().map(|(&start, _)| start)
    }

    /// Whether every byte of `span` is present.
    #[cfg(test)]
    pub(crate) fn contains(&self, span: &Range<u64>) -> bool {
        span.is_empty() || self.run_end(span.start) >= span.end
    }

    /// The absent parts of `span`, in order.
    pub(crate) fn missing(&self, span: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = self.run_end(span.start);
        while at < span.end {
            let gap_end = self
                .spans
                .range(at..span.end)
                .next()
                .map_or(span.end, |(&start, _)| start);
            gaps.push(at..gap_end);
            at = self.run_end(gap_end);
        }
        gaps
    }

    /// How many bytes are present.
    pub(crate) fn total(&self) -> u64 {
        self.spans.iter().map(|(start, end)| end - start).sum()
    }

    /// How many bytes the file takes for them, in whole pages.
    pub(crate) fn on_disk(&self) -> u64 {
        const PAGE: u64 = 4096;
        let mut at = 0;
        let pages = self.spans.iter().map(|(start, end)| {
            let (first, last) = ((start / PAGE).max(at), end.div_ceil(PAGE));
            at = last;
            last.saturating_sub(first)
        });
        pages.sum::<u64>() * PAGE
    }

    /// Little-endian pairs of start and end, for the staging row.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.spans
            .iter()
            .flat_map(|(start, end)| [start.to_le_bytes(), end.to_le_bytes()])
            .flatten()
            .collect()
    }

    /// Reads what `encode` wrote; a damaged row is an empty set, because a partial is only ever a head start.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut pieces = Self::default();
        for pair in words.chunks(2) {
            match *pair {
                [start, end] if rest.is_empty() => {
                    let (start, end) = (u64::from_le_bytes(start), u64::from_le_bytes(end));
                    if start >= end {
                        return Self::default();
                    }
                    pieces.insert(start..end);
                }
                _ => return Self::default(),
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pieces;

    const LENGTH: u64 = 64;

    fn spans() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0..LENGTH, 0..=LENGTH), 0..12)
    }

    /// The naive model: one flag a byte.
    fn both(spans: &[(u64, u64)]) -> (Pieces, Vec<bool>) {
        let mut pieces = Pieces::default();
        let mut flags = vec![false; usize::try_from(LENGTH).unwrap()];
        for &(start, end) in spans {
            pieces.insert(start..end);
            for flag in flags
                .iter_mut()
                .take(usize::try_from(end).unwrap())
                .skip(usize::try_from(start).unwrap())
            {
                *flag = true;
            }
        }
        (pieces, flags)
    }

    proptest! {
        #[test]
        fn agrees_with_one_flag_a_byte(spans in spans(), from in 0..LENGTH, to in 0..=LENGTH) {
            let (pieces, flags) = both(&spans);
            let present = |at: u64| flags[usize::try_from(at).unwrap()];
            prop_assert_eq!(pieces.total(), flags.iter().filter(|present| **present).count() as u64);
            prop_assert_eq!(pieces.run_end(from), (from..LENGTH).find(|&at| !present(at)).unwrap_or(LENGTH));
            prop_assert_eq!(pieces.contains(&(from..to)), (from..to).all(present));
            let missing: Vec<u64> = pieces.missing(from..to).into_iter().flatten().collect();
            prop_assert_eq!(missing, (from..to).filter(|&at| !present(at)).collect::<Vec<_>>());
        }

        #[test]
        fn is_written_and_read_back(spans in spans(), clip in 0..=LENGTH) {
            let (mut pieces, mut flags) = both(&spans);
            prop_assert_eq!(Pieces::decode(&pieces.encode()), pieces.clone());
            pieces.clip(clip);
            flags.truncate(usize::try_from(clip).unwrap());
            prop_assert_eq!(pieces.total(), flags.iter().filter(|present| **present).count() as u64);
        }

        #[test]
        fn a_damaged_row_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let pieces = Pieces::decode(&bytes);
            prop_assert_eq!(Pieces::decode(&pieces.encode()), pieces);
        }
    }
}
