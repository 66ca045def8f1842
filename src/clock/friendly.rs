//! Durations as people write them, for serde and for what is like it: `"250ms"`, `"1h 30m"`, `"7d"`. A day has 24 hours, a week seven days.

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
    parse(&text).map_err(D::Error::custom)
}

/// The duration in words; a negative one is an error.
pub fn parse(text: &str) -> Result<Duration, jiff::Error> {
    let span: Span = text.parse()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours())?)
}
