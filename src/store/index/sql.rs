//! How domain values become columns, and back.
//!
//! Promises that a column which does not parse is an error that names it, never a wrong value. Never runs a statement.

use std::error::Error as StdError;
use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Error, Row};

/// A value as the text that `FromStr` reads back.
pub(super) fn text(value: &impl Display) -> String {
    value.to_string()
}

/// The value in a text column.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: StdError + Send + Sync + 'static>,
{
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(malformed(column, Type::Text))
}

/// The value in a text column that may be NULL.
pub(super) fn parsed_or_null<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: StdError + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(str::parse).transpose().map_err(malformed(column, Type::Text))
}

/// A size as a column; one that no file can have (a manifest may claim any) is NULL, not known.
pub(super) fn size(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

/// The number in a column that is never negative, a size or an id.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(unsigned_or_null(row, column)?.ok_or(FromSqlError::InvalidType)?)
}

/// The size in a column that may be NULL.
pub(super) fn unsigned_or_null(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    let checked = number.map(|n| u64::try_from(n).map_err(|_| Error::IntegralValueOutOfRange(column, n)));
    checked.transpose()
}

/// The time in a column of microseconds since 1970.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(time_or_null(row, column)?.ok_or(FromSqlError::InvalidType)?)
}

/// The time in a column of microseconds since 1970 that may be NULL.
pub(super) fn time_or_null(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let microseconds: Option<i64> = row.get(column)?;
    let time = microseconds.map(Timestamp::from_microsecond).transpose();
    time.map_err(malformed(column, Type::Integer))
}

fn malformed<E: StdError + Send + Sync + 'static>(column: usize, found: Type) -> impl FnOnce(E) -> Error {
    move |cause| Error::FromSqlConversionFailure(column, found, Box::new(cause))
}
