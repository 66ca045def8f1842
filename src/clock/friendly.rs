//! Durations as people write them, for serde: `"250ms"`, `"1h 30m"`, `"7d"`. A day has 24 hours, a week seven days.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required;
use jiff::{Span, SpanRelativeTo};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes hours at most: what reads back is the same.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    required::serialize(duration, to)
}

/// Reads a duration; a negative one is an error.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let span: Span = text.parse().map_err(D::Error::custom)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let duration = duration.map_err(D::Error::custom)?;
    Duration::try_from(duration).map_err(D::Error::custom)
}
