//! Whether what an upstream said may answer without asking it again, and for how long it may when that cannot be asked.

use std::time::Duration;

use jiff::Timestamp;

use crate::oci::Tag;
use crate::pull::Place;
use crate::upstream::FreshFor;

/// A list is fresh no longer than this: update bots must see new tags, and verifiers new signatures.
const LISTS: Duration = Duration::from_mins(1);
/// Before the end of a window there is a time to ask aside: its last part of so many, and no more than that long. A
/// window of an hour then costs 24 questions a day however often it is used.
const WANES_FOR_A: u32 = 10;
const WANES_AT_MOST: Duration = Duration::from_mins(2);
/// As good as for ever, in seconds (RFC 9111 section 1.2.2).
const ENDLESS: i64 = 1 << 31;

/// For how long something that an upstream said counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    fresh_for: FreshFor,
    stale_for: FreshFor,
}

/// What it is worth at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    pub(super) stage: Stage,
    /// What is left of its window, in seconds; negative when that is over.
    pub(super) ttl_secs: i64,
}

/// From good to worthless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It answers.
    Fresh,
    /// It answers, but not for long: who asks aside now spares others the wait.
    Waning,
    /// The upstream is to be asked; if it cannot answer, this does.
    Stale,
    /// The upstream is to be asked, and nothing answers in its place.
    Spent,
}

impl Term {
    pub(super) fn of_tag(place: &Place, tag: &Tag) -> Self {
        Self {
            fresh_for: place.mirror.tag_fresh_for(tag),
            stale_for: place.mirror.stale_for(),
        }
    }

    pub(super) fn of_lists(place: &Place) -> Self {
        let window = match place.mirror.fresh_for() {
            FreshFor::Within(window) => window.min(LISTS),
            FreshFor::Forever => LISTS,
        };
        Self {
            fresh_for: FreshFor::Within(window),
            stale_for: place.mirror.stale_for(),
        }
    }

    /// Of what was right at `checked_at`.
    pub(super) fn freshness(self, checked_at: Timestamp, now: Timestamp) -> Freshness {
        let FreshFor::Within(window) = self.fresh_for else {
            return Freshness {
                stage: Stage::Fresh,
                ttl_secs: ENDLESS,
            };
        };
        let age = now.duration_since(checked_at);
        // A clock that was set back makes it look as if checked in the future: then it is asked for.
        let age = Duration::try_from(age).unwrap_or(window);
        let (left, over) = (window.saturating_sub(age), age.saturating_sub(window));
        // Whole seconds, rounded down: what is no longer fresh has less than nothing left.
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(ENDLESS);
        let (stage, ttl_secs) = if left.is_zero() {
            let stage = if self.stands_in(over) {
                Stage::Stale
            } else {
                Stage::Spent
            };
            (stage, -seconds(over) - 1)
        } else {
            let wanes = left <= (window / WANES_FOR_A).min(WANES_AT_MOST);
            (if wanes { Stage::Waning } else { Stage::Fresh }, seconds(left))
        };
        Freshness { stage, ttl_secs }
    }

    fn stands_in(self, over: Duration) -> bool {
        match self.stale_for {
            FreshFor::Within(stale_for) => over < stale_for,
            FreshFor::Forever => true,
        }
    }
}

impl Freshness {
    /// Whether it answers, as far as only time counts.
    pub(super) fn answers(self) -> bool {
        match self.stage {
            Stage::Fresh | Stage::Waning => true,
            Stage::Stale | Stage::Spent => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const CHECKED: Timestamp = Timestamp::UNIX_EPOCH;

    fn term(fresh_for: &str, stale_for: &str) -> Term {
        Term {
            fresh_for: fresh_for.parse().unwrap(),
            stale_for: stale_for.parse().unwrap(),
        }
    }

    fn after(term: Term, seconds: i64) -> (Stage, i64) {
        let Freshness { stage, ttl_secs } = term.freshness(CHECKED, CHECKED + SignedDuration::from_secs(seconds));
        (stage, ttl_secs)
    }

    #[test]
    fn a_window_is_fresh_wanes_and_is_over() {
        let term = term("5m", "1h");
        assert_eq!(after(term, 0), (Stage::Fresh, 300));
        assert_eq!(after(term, 269), (Stage::Fresh, 31));
        assert_eq!(after(term, 270), (Stage::Waning, 30));
        assert_eq!(after(term, 299), (Stage::Waning, 1));
        assert_eq!(after(term, 300), (Stage::Stale, -1));
        assert_eq!(after(term, 420), (Stage::Stale, -121));
        assert_eq!(after(term, 300 + 3599), (Stage::Stale, -3600));
        assert_eq!(after(term, 300 + 3600), (Stage::Spent, -3601));
        assert_eq!(after(term, -1), (Stage::Stale, -1), "a clock that was set back");
    }

    #[test]
    fn a_long_window_wanes_for_two_minutes() {
        let term = term("24h", "forever");
        assert_eq!(after(term, 86_400 - 121), (Stage::Fresh, 121));
        assert_eq!(after(term, 86_400 - 120), (Stage::Waning, 120));
    }

    #[test]
    fn forever_is_forever_and_nothing_is_nothing() {
        let century = 100 * 366 * 86_400;
        assert_eq!(after(term("forever", "0s"), century), (Stage::Fresh, ENDLESS));
        assert_eq!(after(term("0s", "forever"), 0), (Stage::Stale, -1));
        assert_eq!(after(term("1s", "forever"), century).0, Stage::Stale);
        assert_eq!(after(term("0s", "0s"), 0).0, Stage::Spent);
    }
}
