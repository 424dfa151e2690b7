//! Conversion between our types and columns; no other file knows how types are stored.
//!
//! Times are milliseconds since 1970, lists and counts are JSON texts, closed sets are their words.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;
use sqlx::{ColumnIndex, Decode, Type};

use crate::catalog::{
    EventId, EventKind, HintId, ImageId, JobId, JobVersionId, OriginId, RegistryId, RegistryKind, Role, RunPhase,
    RunStatus, ScanCounts, ScanId, ScanState, ScanTrigger, TagCounts, TagOutcome, UserId,
};

/// A value bound to a statement. `None` is NULL of the column's type.
#[derive(Clone)]
pub(super) enum Value<'a> {
    Text(Option<Cow<'a, str>>),
    Integer(Option<i64>),
    Boolean(bool),
}

/// Replaces NUL by U+FFFD for both engines: PostgreSQL rejects NUL in texts, and hostile labels contain it.
fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { text }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Some(clean(Cow::Borrowed(text))))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::from(text.as_str())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Some(clean(Cow::Owned(text))))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Text(None), Value::from)
    }
}

impl From<i64> for Value<'_> {
    fn from(integer: i64) -> Self {
        Value::Integer(Some(integer))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(integer: Option<i64>) -> Self {
        Value::Integer(integer)
    }
}

/// Values above `i64::MAX` are stored as `i64::MAX`.
impl From<u64> for Value<'_> {
    fn from(integer: u64) -> Self {
        Value::Integer(Some(i64::try_from(integer).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(integer: Option<u64>) -> Self {
        integer.map_or(Value::Integer(None), Value::from)
    }
}

impl From<u32> for Value<'_> {
    fn from(integer: u32) -> Self {
        Value::Integer(Some(integer.into()))
    }
}

impl From<bool> for Value<'_> {
    fn from(boolean: bool) -> Self {
        Value::Boolean(boolean)
    }
}

impl From<DateTime<Utc>> for Value<'_> {
    fn from(time: DateTime<Utc>) -> Self {
        Value::Integer(Some(time.timestamp_millis()))
    }
}

impl From<Option<DateTime<Utc>>> for Value<'_> {
    fn from(time: Option<DateTime<Utc>>) -> Self {
        Value::Integer(time.map(|time| time.timestamp_millis()))
    }
}

/// The JSON text of a list or of counts.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("lists of plain texts and numbers have a JSON form")
}

/// A type that is read from a column.
pub(super) trait Column: Sized {
    /// The type of the column.
    type Stored;
    fn read(stored: Self::Stored) -> Result<Self, BoxDynError>;
}

macro_rules! plain_columns {
    ($($plain:ty),+) => {$(
        impl Column for $plain {
            type Stored = $plain;
            fn read(stored: $plain) -> Result<Self, BoxDynError> {
                Ok(stored)
            }
        }
    )+};
}
plain_columns!(String, i64, bool);

macro_rules! id_columns {
    ($($id:ident),+) => {$(
        impl Column for $id {
            type Stored = i64;
            fn read(stored: i64) -> Result<Self, BoxDynError> {
                Ok($id(stored))
            }
        }
        impl From<$id> for Value<'_> {
            fn from(id: $id) -> Self {
                Value::Integer(Some(id.0))
            }
        }
    )+};
}
id_columns!(EventId, HintId, ImageId, JobId, JobVersionId, OriginId, RegistryId, ScanId, UserId);

macro_rules! word_columns {
    ($($set:ident),+) => {$(
        impl Column for $set {
            type Stored = String;
            fn read(stored: String) -> Result<Self, BoxDynError> {
                $set::parse(&stored).ok_or_else(|| format!("'{stored}' is not a {}", stringify!($set)).into())
            }
        }
        impl From<$set> for Value<'_> {
            fn from(word: $set) -> Self {
                Value::from(word.as_str())
            }
        }
    )+};
}
word_columns!(EventKind, RegistryKind, Role, RunPhase, RunStatus, ScanState, ScanTrigger, TagOutcome);

impl Column for DateTime<Utc> {
    type Stored = i64;
    fn read(stored: i64) -> Result<Self, BoxDynError> {
        DateTime::from_timestamp_millis(stored).ok_or_else(|| format!("{stored} is no time").into())
    }
}

impl<T: DeserializeOwned> Column for Vec<T> {
    type Stored = String;
    fn read(stored: String) -> Result<Self, BoxDynError> {
        Ok(serde_json::from_str(&stored)?)
    }
}

impl Column for u64 {
    type Stored = i64;
    fn read(stored: i64) -> Result<Self, BoxDynError> {
        Ok(u64::try_from(stored)?)
    }
}

macro_rules! json_columns {
    ($($counts:ty),+) => {$(
        impl Column for $counts {
            type Stored = String;
            fn read(stored: String) -> Result<Self, BoxDynError> {
                Ok(serde_json::from_str(&stored)?)
            }
        }
    )+};
}
json_columns!(ScanCounts, TagCounts);

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;
    fn read(stored: Self::Stored) -> Result<Self, BoxDynError> {
        stored.map(T::read).transpose()
    }
}

/// Reads one column of a row of either engine.
pub(super) fn column<'r, R, T>(row: &'r R, name: &'static str) -> sqlx::Result<T>
where
    R: sqlx::Row,
    T: Column,
    T::Stored: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    T::read(row.try_get(name)?).map_err(|source| sqlx::Error::ColumnDecode { index: name.to_owned(), source })
}

/// `row!(Type { field, field = "column" } + { nested })`: reads `Type` from rows of both engines. A field's column has
/// its name unless another is given; a nested field is read from the same row by its own type's `row!`.
macro_rules! row {
    ($type:ty { $($field:ident $(= $column:literal)?),+ $(,)? } $(+ { $($nested:ident),+ })?) => {
        row!(@engine sqlx::sqlite::SqliteRow, $type { $($field $(= $column)?),+ } $(+ { $($nested),+ })?);
        row!(@engine sqlx::postgres::PgRow, $type { $($field $(= $column)?),+ } $(+ { $($nested),+ })?);
    };
    (@engine $row:ty, $type:ty { $($field:ident $(= $column:literal)?),+ } $(+ { $($nested:ident),+ })?) => {
        impl<'r> sqlx::FromRow<'r, $row> for $type {
            fn from_row(row: &'r $row) -> sqlx::Result<Self> {
                Ok(Self {
                    $($field: $crate::store::value::column(row, row!(@name $field $($column)?))?,)+
                    $($($nested: sqlx::FromRow::from_row(row)?,)+)?
                })
            }
        }
    };
    (@name $field:ident $column:literal) => { $column };
    (@name $field:ident) => { stringify!($field) };
}
pub(super) use row;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_becomes_the_replacement_character() {
        for value in [Value::from("a\0b"), Value::from("a\0b".to_owned()), Value::from(Some("a\0b"))] {
            let Value::Text(Some(text)) = value else { panic!("a text stays a text") };
            assert_eq!(text, "a\u{FFFD}b");
        }
    }

    #[test]
    fn a_word_outside_its_set_is_an_error_that_names_it() {
        assert_eq!(Role::read("boss".into()).unwrap_err().to_string(), "'boss' is not a Role");
    }
}
