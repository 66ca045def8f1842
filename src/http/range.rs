//! `Range` against a known length (RFC 9110 14.1.2, 14.2).
//!
//! Promises ranges that lie inside the content, do not touch each other, and keep the order in which they were asked for.
//! Written by hand: http-range-header refuses a whole header for one `-0`, for two ranges that overlap, and for numbers
//! that RFC 9110 allows.

use std::ops::Range;

use super::limits::{RANGE_HEADER, RANGES};

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200 with everything: no `Range`, another unit, or nothing that RFC 9110 calls a range.
    Whole,
    /// 206 with these.
    Partial {
        /// At least one; bytes, the end exclusive.
        ranges: Vec<Range<u64>>,
        /// Whether the client could take the content as complete after this response: it asked for a range without end
        /// (`a-`), or gets everything.
        completing: bool,
    },
    /// 416: none of the ranges has a byte of the content.
    Unsatisfiable,
}

/// Decides about the `Range` header of a request for content of `length` bytes.
pub fn parse(header: Option<&str>, length: u64) -> Outcome {
    let Some(specs) = header.and_then(specs) else {
        return Outcome::Whole;
    };
    let wanted = specs.iter().filter_map(|spec| spec.within(length)).collect();
    let ranges = coalesce(wanted);
    let everything = ranges.first() == Some(&(0..length));
    let open_ended = specs.iter().any(|spec| matches!(spec, Spec::From(_)));
    if ranges.is_empty() {
        Outcome::Unsatisfiable
    } else {
        Outcome::Partial {
            ranges,
            completing: everything || open_ended,
        }
    }
}

/// One range as it was written.
#[derive(Clone, Copy)]
enum Spec {
    /// `a-b`, both inclusive.
    Between(u64, u64),
    /// `a-`.
    From(u64),
    /// `-n`.
    Last(u64),
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("", count) => Some(Self::Last(number(count)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => Some(Self::Between(number(first)?, number(last)?)),
        }
    }

    /// The bytes meant; `None` when there are none, as for `5-2` and `-0`.
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(length),
            Self::From(first) => first..length,
            Self::Last(count) => length.saturating_sub(count)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The ranges of a header; `None` when it is to be ignored.
fn specs(header: &str) -> Option<Vec<Spec>> {
    let (unit, set) = header.split_once('=')?;
    if header.len() > RANGE_HEADER || !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Empty list elements mean nothing (RFC 9110 5.6.1.2).
    let elements = set
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|it| !it.is_empty());
    let specs = elements.take(RANGES + 1).map(Spec::parse).collect::<Option<Vec<_>>>()?;
    (1..=RANGES).contains(&specs.len()).then_some(specs)
}

/// `1*DIGIT`. Whatever does not fit lies behind the end of anything.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Merges what overlaps or touches; each merged range stands where the first of its parts stood (RFC 9110 15.3.7.2).
fn coalesce(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut placed: Vec<(usize, Range<u64>)> = ranges.into_iter().enumerate().collect();
    placed.sort_by_key(|(_, range)| range.start);
    placed.dedup_by(|(place, next), (first_place, merged)| {
        let touches = next.start <= merged.end;
        if touches {
            merged.end = merged.end.max(next.end);
            *first_place = (*first_place).min(*place);
        }
        touches
    });
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partial<const N: usize>(ranges: [(u64, u64); N], completing: bool) -> Outcome {
        Outcome::Partial {
            ranges: ranges.map(|(start, end)| start..end).into(),
            completing,
        }
    }

    #[test]
    fn answers_single_ranges() {
        for (header, expected) in [
            ("bytes=500-1499", partial([(500, 1500)], false)),
            ("bytes=500-", partial([(500, 2000)], true)),
            ("bytes=-500", partial([(1500, 2000)], false)),
            ("bytes=1500-9999", partial([(1500, 2000)], false)),
            ("bytes=1999-99999999999999999999999", partial([(1999, 2000)], false)),
            ("bytes=0-0", partial([(0, 1)], false)),
            ("bytes=000-09", partial([(0, 10)], false)),
            ("bytes=0-", partial([(0, 2000)], true)),
            ("bytes=0-1999", partial([(0, 2000)], true)),
            ("bytes=0-1998", partial([(0, 1999)], false)),
            ("bytes=-2000", partial([(0, 2000)], true)),
            ("bytes=-9999", partial([(0, 2000)], true)),
            ("Bytes= 0-1 ", partial([(0, 2)], false)),
        ] {
            assert_eq!(parse(Some(header), 2000), expected, "{header}");
        }
    }

    #[test]
    fn refuses_what_has_no_byte() {
        for header in [
            "bytes=500-0",
            "bytes=2000-",
            "bytes=2000-2001",
            "bytes=-0",
            "bytes=5-2,-0,2000-",
            "bytes=18446744073709551616-",
        ] {
            assert_eq!(parse(Some(header), 2000), Outcome::Unsatisfiable, "{header}");
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(parse(Some(header), 0), Outcome::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn ignores_what_is_no_range() {
        assert_eq!(parse(None, 10), Outcome::Whole);
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "items=0-1",
            "bytes=a-b",
            "bytes=1",
            "bytes=-",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0-1,x",
            "bytes =0-1",
            "bytes=0 -1",
            "0-1",
        ] {
            assert_eq!(parse(Some(header), 10), Outcome::Whole, "{header}");
        }
    }

    #[test]
    fn several_ranges_are_merged_and_keep_their_order() {
        for (header, expected) in [
            ("bytes=0-1,4-5", partial([(0, 2), (4, 6)], false)),
            ("bytes=0-1, 2-3", partial([(0, 4)], false)),
            ("bytes=0-5,2-3,4-7", partial([(0, 8)], false)),
            ("bytes=-2,0-1", partial([(8, 10), (0, 2)], false)),
            ("bytes=6-6,0-1,,5-5 ,\\t", partial([(5, 7), (0, 2)], false)),
            ("bytes=0-1,99-,-0,7-3", partial([(0, 2)], true)),
            ("bytes=5-9,0-4", partial([(0, 10)], true)),
            ("bytes=0-1,5-", partial([(0, 2), (5, 10)], true)),
        ] {
            let header = header.replace("\\t", "\t");
            assert_eq!(parse(Some(&header), 10), expected, "{header}");
        }
    }

    #[test]
    fn ends_at_its_limits() {
        let many = |count: u64| {
            let specs: Vec<_> = (0..count).map(|i| format!("{0}-{0}", 2 * i)).collect();
            parse(Some(&format!("bytes={}", specs.join(","))), 1 << 20)
        };
        assert!(matches!(many(1024), Outcome::Partial { ranges, .. } if ranges.len() == 1024));
        assert_eq!(many(1025), Outcome::Whole);
        let padded = |length: usize| parse(Some(&format!("bytes=0-{:>width$}", 1, width = length - 8)), 10);
        assert_eq!(padded(RANGE_HEADER + 1), Outcome::Whole);
        assert_eq!(
            parse(Some(&format!("bytes=0-1{}", " ".repeat(RANGE_HEADER - 9))), 10),
            partial([(0, 2)], false)
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(
            specs in prop::collection::vec((prop::option::of(0..40_u64), prop::option::of(0..40_u64)), 1..8),
            length in 0..32_u64,
        ) {
            let specs: Vec<_> = specs.into_iter().filter(|spec| *spec != (None, None)).collect();
            prop_assume!(!specs.is_empty());
            let text = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
            let header: Vec<_> = specs.iter().map(|(a, b)| format!("{}-{}", text(*a), text(*b))).collect();
            let wanted = |at: u64| specs.iter().any(|spec| match spec {
                (Some(a), Some(b)) => *a <= at && at <= *b,
                (Some(a), None) => *a <= at,
                (None, Some(n)) => at + n >= length,
                (None, None) => false,
            });
            match parse(Some(&format!("bytes={}", header.join(","))), length) {
                Outcome::Whole => prop_assert!(false, "ignored"),
                Outcome::Unsatisfiable => prop_assert!(!(0..length).any(wanted)),
                Outcome::Partial { ranges, completing } => {
                    for at in 0..length {
                        prop_assert_eq!(ranges.iter().filter(|range| range.contains(&at)).count(), usize::from(wanted(at)));
                    }
                    prop_assert!(ranges.iter().all(|range| !range.is_empty() && range.end <= length));
                    prop_assert!(ranges.iter().all(|range| ranges.iter().all(|other| range.end != other.start)));
                    let open_ended = specs.iter().any(|spec| matches!(spec, (Some(_), None)));
                    prop_assert_eq!(completing, open_ended || (0..length).all(wanted));
                }
            }
        }

        #[test]
        fn nothing_makes_it_panic(header in "(bytes=)?[0-9,\\- a]*", length in any::<u64>()) {
            let _ = parse(Some(&header), length);
        }
    }
}
