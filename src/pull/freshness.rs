//! Whether a tag may answer without asking the upstream.

use std::time::Duration;

use jiff::Timestamp;

use crate::upstream::FreshFor;

/// What a cached tag is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It answers.
    Fresh,
    /// The upstream is to be asked; if it cannot answer, the tag still does. Seconds since it should have been asked.
    Stale {
        /// At least 1.
        since_secs: i64,
    },
}

impl Freshness {
    /// A tag that was right at `checked_at`, where a tag stays fresh for `fresh_for`.
    pub(super) fn of(checked_at: Timestamp, fresh_for: FreshFor, now: Timestamp) -> Self {
        let FreshFor::Within(window) = fresh_for else {
            return Self::Fresh;
        };
        // A clock that was set back makes a tag look as if checked in the future: then it is asked for.
        let age = now.duration_since(checked_at);
        match Duration::try_from(age) {
            Ok(age) if age < window => Self::Fresh,
            // Whole seconds, rounded up: what is stale has less than nothing left.
            Ok(age) => Self::Stale {
                since_secs: i64::try_from(age.saturating_sub(window).as_secs() + 1).unwrap_or(i64::MAX),
            },
            Err(_) => Self::Stale { since_secs: 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_fresh_for_its_window_and_no_longer() {
        let checked: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |secs: i64| {
            Freshness::of(
                checked,
                FreshFor::Within(Duration::from_mins(5)),
                checked + jiff::SignedDuration::from_secs(secs),
            )
        };
        assert_eq!(after(0), Freshness::Fresh);
        assert_eq!(after(299), Freshness::Fresh);
        assert_eq!(after(300), Freshness::Stale { since_secs: 1 });
        assert_eq!(after(420), Freshness::Stale { since_secs: 121 });
        assert_eq!(
            after(-1),
            Freshness::Stale { since_secs: 1 },
            "a clock that was set back"
        );
    }

    #[test]
    fn forever_is_forever() {
        let checked: Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            Freshness::of(checked, FreshFor::Forever, "2300-01-01T00:00:00Z".parse().unwrap()),
            Freshness::Fresh
        );
    }
}
