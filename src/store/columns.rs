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
    EventId, EventKind, HintId, ImageId, JobId, JobVersionId, OriginId, RegistryId, RegistryKind, RegistryVisibility,
    RunPhase, RunStatus, ScanCounts, ScanId, ScanState, ScanTrigger, SessionKind, TagCounts, TagOutcome, UserId,
    UserRole,
};

/// A value bound to a statement. `None` is NULL of the column's type.
#[derive(Clone)]
pub(super) enum SqlValue<'a> {
    Text(Option<Cow<'a, str>>),
    Integer(Option<i64>),
    Boolean(bool),
}

/// Replaces NUL by U+FFFD for both engines: PostgreSQL rejects NUL in texts, and hostile labels contain it.
fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { text }
}

impl<'a> From<&'a str> for SqlValue<'a> {
    fn from(text: &'a str) -> Self {
        SqlValue::Text(Some(clean(Cow::Borrowed(text))))
    }
}

impl<'a> From<&'a String> for SqlValue<'a> {
    fn from(text: &'a String) -> Self {
        SqlValue::from(text.as_str())
    }
}

impl From<String> for SqlValue<'_> {
    fn from(text: String) -> Self {
        SqlValue::Text(Some(clean(Cow::Owned(text))))
    }
}

impl<'a> From<Option<&'a str>> for SqlValue<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(SqlValue::Text(None), SqlValue::from)
    }
}

impl From<i64> for SqlValue<'_> {
    fn from(integer: i64) -> Self {
        SqlValue::Integer(Some(integer))
    }
}

impl From<Option<i64>> for SqlValue<'_> {
    fn from(integer: Option<i64>) -> Self {
        SqlValue::Integer(integer)
    }
}

/// Values above `i64::MAX` are stored as `i64::MAX`.
impl From<u64> for SqlValue<'_> {
    fn from(integer: u64) -> Self {
        SqlValue::Integer(Some(i64::try_from(integer).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for SqlValue<'_> {
    fn from(integer: Option<u64>) -> Self {
        integer.map_or(SqlValue::Integer(None), SqlValue::from)
    }
}

impl From<u32> for SqlValue<'_> {
    fn from(integer: u32) -> Self {
        SqlValue::Integer(Some(integer.into()))
    }
}

impl From<bool> for SqlValue<'_> {
    fn from(boolean: bool) -> Self {
        SqlValue::Boolean(boolean)
    }
}

impl From<DateTime<Utc>> for SqlValue<'_> {
    fn from(time: DateTime<Utc>) -> Self {
        SqlValue::Integer(Some(time.timestamp_millis()))
    }
}

impl From<Option<DateTime<Utc>>> for SqlValue<'_> {
    fn from(time: Option<DateTime<Utc>>) -> Self {
        SqlValue::Integer(time.map(|time| time.timestamp_millis()))
    }
}

/// The JSON text of a list or of counts.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("lists of plain texts and numbers have a JSON form")
}

/// A type that is read from a column.
pub(super) trait SqlColumn: Sized {
    /// The type of the column.
    type Stored;
    fn read(stored: Self::Stored) -> Result<Self, BoxDynError>;
}

macro_rules! plain_columns {
    ($($plain:ty),+) => {$(
        impl SqlColumn for $plain {
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
        impl SqlColumn for $id {
            type Stored = i64;
            fn read(stored: i64) -> Result<Self, BoxDynError> {
                Ok($id(stored))
            }
        }
        impl From<$id> for SqlValue<'_> {
            fn from(id: $id) -> Self {
                SqlValue::Integer(Some(id.0))
            }
        }
    )+};
}
id_columns!(EventId, HintId, ImageId, JobId, JobVersionId, OriginId, RegistryId, ScanId, UserId);

macro_rules! word_columns {
    ($($set:ident),+) => {$(
        impl SqlColumn for $set {
            type Stored = String;
            fn read(stored: String) -> Result<Self, BoxDynError> {
                $set::parse(&stored).ok_or_else(|| format!("'{stored}' is not a {}", stringify!($set)).into())
            }
        }
        impl From<$set> for SqlValue<'_> {
            fn from(word: $set) -> Self {
                SqlValue::from(word.as_str())
            }
        }
    )+};
}
word_columns!(
    EventKind,
    RegistryKind,
    RegistryVisibility,
    UserRole,
    RunPhase,
    RunStatus,
    ScanState,
    ScanTrigger,
    SessionKind,
    TagOutcome
);

impl SqlColumn for DateTime<Utc> {
    type Stored = i64;
    fn read(stored: i64) -> Result<Self, BoxDynError> {
        DateTime::from_timestamp_millis(stored).ok_or_else(|| format!("{stored} is not a time").into())
    }
}

impl<T: DeserializeOwned> SqlColumn for Vec<T> {
    type Stored = String;
    fn read(stored: String) -> Result<Self, BoxDynError> {
        Ok(serde_json::from_str(&stored)?)
    }
}

impl SqlColumn for u64 {
    type Stored = i64;
    fn read(stored: i64) -> Result<Self, BoxDynError> {
        Ok(u64::try_from(stored)?)
    }
}

macro_rules! json_columns {
    ($($counts:ty),+) => {$(
        impl SqlColumn for $counts {
            type Stored = String;
            fn read(stored: String) -> Result<Self, BoxDynError> {
                Ok(serde_json::from_str(&stored)?)
            }
        }
    )+};
}
json_columns!(ScanCounts, TagCounts);

impl<T: SqlColumn> SqlColumn for Option<T> {
    type Stored = Option<T::Stored>;
    fn read(stored: Self::Stored) -> Result<Self, BoxDynError> {
        stored.map(T::read).transpose()
    }
}

/// Reads one column of a row of either engine.
pub(super) fn column<'r, R, T>(row: &'r R, name: &'static str) -> sqlx::Result<T>
where
    R: sqlx::Row,
    T: SqlColumn,
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
                    $($field: $crate::store::columns::column(row, row!(@name $field $($column)?))?,)+
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
        for value in [SqlValue::from("a\0b"), SqlValue::from("a\0b".to_owned()), SqlValue::from(Some("a\0b"))] {
            let SqlValue::Text(Some(text)) = value else { panic!("a text stays a text") };
            assert_eq!(text, "a\u{FFFD}b");
        }
    }

    #[test]
    fn a_word_outside_its_set_is_an_error_that_names_it() {
        assert_eq!(UserRole::read("boss".into()).unwrap_err().to_string(), "'boss' is not a UserRole");
    }
}
