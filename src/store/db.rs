//! One way to say SQL to two engines.
//!
//! A statement is written once, with `$1` placeholders, as an [`Sql`] value; only this file knows that there are two
//! pools behind it. The dialects differ in two places: how a write transaction begins ([`Db::write`]) and how rows are
//! locked ([`Db::lock`]).

use std::borrow::Cow;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use super::Result;
use super::value::Value;

/// The same thing of either engine.
#[derive(Clone, Debug)]
pub(super) enum Engine<S, P> {
    Sqlite(S),
    Postgres(P),
}

pub(super) type Db = Engine<SqlitePool, PgPool>;

/// A write transaction. Ended by [`Tx::end`]; rolled back when dropped.
pub(super) type Tx = Engine<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

/// How rows are locked until the transaction ends.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    /// Wait for whoever holds them.
    Wait,
    /// Pass over those that somebody holds.
    Skip,
}

impl Db {
    /// Begins a transaction that will write. SQLite takes its write lock at once: a transaction that reads first and
    /// asks for the lock later fails at once when another one wrote in between, however long the busy timeout.
    pub(super) async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Db::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Db::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// The clause that locks the rows of a `SELECT`. SQLite has none and needs none: its writers are one at a time.
    pub(super) fn lock(&self, lock: Lock) -> &'static str {
        match (self, lock) {
            (Db::Sqlite(_), _) => "",
            (Db::Postgres(_), Lock::Wait) => "FOR UPDATE",
            (Db::Postgres(_), Lock::Skip) => "FOR UPDATE SKIP LOCKED",
        }
    }
}

impl Tx {
    /// Commits what succeeded and rolls back what failed, and hands the outcome on. A rollback that fails does so because
    /// the connection is gone, and the transaction with it: what the caller wants to know is why it came to that.
    pub(super) async fn end<T>(self, outcome: Result<T>) -> Result<T> {
        match (self, &outcome) {
            (Tx::Sqlite(tx), Ok(_)) => tx.commit().await?,
            (Tx::Postgres(tx), Ok(_)) => tx.commit().await?,
            (Tx::Sqlite(tx), Err(_)) => tx.rollback().await.unwrap_or_default(),
            (Tx::Postgres(tx), Err(_)) => tx.rollback().await.unwrap_or_default(),
        }
        outcome
    }
}

/// Where a statement runs.
pub(super) enum On<'c> {
    /// On any connection, by itself.
    Db(&'c Db),
    /// As part of a transaction.
    Tx(&'c mut Tx),
}

impl<'c> From<&'c Db> for On<'c> {
    fn from(db: &'c Db) -> Self {
        On::Db(db)
    }
}

impl<'c> From<&'c mut Tx> for On<'c> {
    fn from(tx: &'c mut Tx) -> Self {
        On::Tx(tx)
    }
}

/// Compiles `$body` once for each kind of executor.
macro_rules! dispatch {
    ($on:expr, $executor:ident => $body:expr) => {
        match $on {
            On::Db(Db::Sqlite($executor)) => $body,
            On::Db(Db::Postgres($executor)) => $body,
            On::Tx(Tx::Sqlite(tx)) => {
                let $executor = &mut **tx;
                $body
            }
            On::Tx(Tx::Postgres(tx)) => {
                let $executor = &mut **tx;
                $body
            }
        }
    };
}

/// Binds the values to a query of whichever engine.
macro_rules! bind {
    ($query:expr, $sql:expr) => {{
        let mut query = $query.persistent($sql.cached);
        for value in &$sql.values {
            query = match value {
                Value::Text(text) => query.bind(text.as_deref()),
                Value::Integer(integer) => query.bind(*integer),
                Value::Boolean(boolean) => query.bind(*boolean),
            };
        }
        query
    }};
}

/// What a row of either engine can be read as. See `row!` in `value.rs`; tuples will do as well.
pub(super) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A statement with its values.
pub(super) struct Sql<'a> {
    text: Cow<'static, str>,
    values: Vec<Value<'a>>,
    cached: bool,
}

/// A statement, its placeholders numbered `$1`, `$2`, … in the order of the [`Sql::bind`] calls to come.
pub(super) fn sql<'a>(text: impl Into<Cow<'static, str>>) -> Sql<'a> {
    Sql { text: text.into(), values: Vec::new(), cached: true }
}

impl<'a> Sql<'a> {
    pub(super) fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it and reads every row, also of a writing statement with `RETURNING`.
    pub(super) async fn all<R: Row>(self, on: impl Into<On<'_>>) -> Result<Vec<R>> {
        let rows = dispatch!(on.into(), executor => {
            bind!(sqlx::query_as(AssertSqlSafe(self.text)), self).fetch_all(executor).await?
        });
        Ok(rows)
    }

    /// For a statement that gives at most one row.
    pub(super) async fn optional<R: Row>(self, on: impl Into<On<'_>>) -> Result<Option<R>> {
        Ok(self.all(on).await?.pop())
    }

    /// For a statement that always gives one row.
    pub(super) async fn one<R: Row>(self, on: impl Into<On<'_>>) -> Result<R> {
        Ok(self.optional(on).await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Runs it; how many rows it touched.
    pub(super) async fn execute(self, on: impl Into<On<'_>>) -> Result<u64> {
        let touched = dispatch!(on.into(), executor => {
            bind!(sqlx::query(AssertSqlSafe(self.text)), self).execute(executor).await?.rows_affected()
        });
        Ok(touched)
    }
}

/// How many values a statement carries at most. Far below what the engines take (32,766 and 65,535), because SQLite
/// searches its list of numbered placeholders for each of them: twice as many values cost four times as much.
const MAX_VALUES: usize = 500;

/// A statement over many rows of values, `{head} VALUES ($1,$2),($3,$4) {tail}`: cut into as many statements as
/// [`MAX_VALUES`] asks for, none for no rows.
pub(super) struct Bulk<'a>(Vec<Sql<'a>>);

/// See [`Bulk`]. Serves `INSERT`, `IN (VALUES …)` and `WITH v(…) AS (VALUES …) UPDATE … FROM v` alike.
pub(super) fn bulk<'a, const N: usize>(
    head: &str,
    rows: impl IntoIterator<Item = [Value<'a>; N]>,
    tail: &str,
) -> Bulk<'a> {
    let mut rows = rows.into_iter().peekable();
    let mut statements = Vec::new();
    while rows.peek().is_some() {
        let values: Vec<Value<'a>> = rows.by_ref().take(MAX_VALUES / N).flatten().collect();
        let mut text = format!("{head} VALUES ");
        for row in 0..values.len() / N {
            text.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..N {
                text.push_str(if column == 0 { "$" } else { ",$" });
                text.push_str(&(row * N + column + 1).to_string());
            }
            text.push(')');
        }
        text.push(' ');
        text.push_str(tail);
        statements.push(Sql { text: text.into(), values, cached: false });
    }
    Bulk(statements)
}

/// A `SELECT` of all rows, or of those whose `column` is among `keys`.
pub(super) fn select<'a, K: Into<Value<'a>>>(
    select: &'static str,
    among: Option<(&str, impl IntoIterator<Item = K>)>,
) -> Bulk<'a> {
    match among {
        None => Bulk(vec![sql(select)]),
        Some((column, keys)) => {
            let mut keys: Vec<Value<'a>> = keys.into_iter().map(Into::into).collect();
            let is_kept = keys.len() <= KEPT;
            if let Some(last) = keys.last().filter(|_| is_kept).cloned() {
                keys.resize(keys.len().next_power_of_two(), last);
            }
            let mut statements = bulk(&format!("{select} WHERE {column} IN ("), keys.into_iter().map(|key| [key]), ")");
            statements.0.iter_mut().for_each(|statement| statement.cached = is_kept);
            statements
        }
    }
}

/// The statements for as many keys are kept by connections. Keys are filled up to a power of two, so that these are few.
const KEPT: usize = 128;

impl Bulk<'_> {
    pub(super) async fn all<'c, R: Row>(self, on: impl Into<On<'c>>) -> Result<Vec<R>> {
        let mut on = on.into();
        let mut rows = Vec::new();
        for statement in self.0 {
            rows.append(&mut statement.all(on.again()).await?);
        }
        Ok(rows)
    }

    pub(super) async fn execute<'c>(self, on: impl Into<On<'c>>) -> Result<u64> {
        let mut on = on.into();
        let mut touched = 0;
        for statement in self.0 {
            touched += statement.execute(on.again()).await?;
        }
        Ok(touched)
    }
}

impl On<'_> {
    /// The same place once more.
    fn again(&mut self) -> On<'_> {
        match self {
            On::Db(db) => On::Db(db),
            On::Tx(tx) => On::Tx(tx),
        }
    }
}
