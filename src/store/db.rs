//! SQL for two database engines.
//!
//! A statement is written once, with `$1` placeholders, as an [`Sql`] value; only this file and `pools.rs` distinguish
//! the engines. The dialects differ in two places: how a write transaction begins ([`Db::write`]) and how rows are
//! locked ([`Db::lock`]).

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::FutureExt as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, Transaction};

use super::Result;
use super::pools::{Lane, Place, PostgresServer, SqlitePools};
use super::value::Value;

/// A database, and the priority of the statements run on it.
#[derive(Clone, Debug)]
pub(super) enum Db {
    Sqlite(SqlitePools, Lane),
    Postgres(Arc<PostgresServer>, Lane),
}

/// A write transaction. Ended by [`Tx::end`]; rolled back if dropped.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>, Place),
    Postgres(Transaction<'static, Postgres>, Arc<PostgresServer>),
}

/// How to lock rows until the transaction ends.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    /// Wait for rows locked by others.
    Wait,
    /// Skip rows locked by others.
    Skip,
}

impl Db {
    /// Begins a write transaction.
    pub(super) async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Db::Sqlite(pools, lane) => {
                let (tx, place) = pools.begin(*lane).await?;
                Tx::Sqlite(tx, place)
            }
            Db::Postgres(server, lane) => Tx::Postgres(server.begin(*lane).await?, Arc::clone(server)),
        })
    }

    /// The same database with another priority.
    pub(super) fn in_lane(&self, lane: Lane) -> Self {
        match self {
            Db::Sqlite(pools, _) => Db::Sqlite(pools.clone(), lane),
            Db::Postgres(server, _) => Db::Postgres(Arc::clone(server), lane),
        }
    }

    /// The clause that locks the rows of a `SELECT`. SQLite has none and needs none: it has one writer at a time.
    pub(super) fn lock(&self, lock: Lock) -> &'static str {
        match (self, lock) {
            (Db::Sqlite(..), _) => "",
            (Db::Postgres(..), Lock::Wait) => "FOR UPDATE",
            (Db::Postgres(..), Lock::Skip) => "FOR UPDATE SKIP LOCKED",
        }
    }
}

impl Tx {
    /// Commits if `outcome` is `Ok`, else rolls back, and returns `outcome`. A failing rollback is ignored: the
    /// connection is lost and the transaction with it, and the caller needs the original error.
    pub(super) async fn end<T>(self, outcome: Result<T>) -> Result<T> {
        match (self, &outcome) {
            (Tx::Sqlite(tx, _place), Ok(_)) => tx.commit().await?,
            (Tx::Postgres(tx, server), Ok(_)) => server.guarded(tx.commit()).await?,
            (Tx::Sqlite(tx, _place), Err(_)) => tx.rollback().await.unwrap_or_default(),
            (Tx::Postgres(tx, server), Err(_)) => server.guarded(tx.rollback()).await.unwrap_or_default(),
        }
        outcome
    }
}

/// Where a statement runs.
pub(super) enum On<'c> {
    /// On any connection, outside a transaction.
    Db(&'c Db),
    /// In a transaction.
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

/// Runs `$body` on a connection of either engine; it is compiled once for each kind.
macro_rules! dispatch {
    ($on:expr, $reads:expr, $connection:ident => $body:expr) => {
        match $on {
            On::Db(Db::Sqlite(pools, lane)) if $reads => {
                let mut held = pools.reader(*lane).await?;
                let $connection = &mut *held;
                $body.await?
            }
            On::Db(Db::Sqlite(pools, lane)) => {
                let (mut held, _place) = pools.writer(*lane).await?;
                let $connection = &mut *held;
                $body.await?
            }
            On::Db(Db::Postgres(server, lane)) => {
                let mut held = server.connection(*lane).await?;
                let $connection = &mut *held;
                server.guarded($body).await?
            }
            On::Tx(Tx::Sqlite(tx, _)) => {
                let $connection = &mut **tx;
                $body.await?
            }
            On::Tx(Tx::Postgres(tx, server)) => {
                let $connection = &mut **tx;
                server.guarded($body).await?
            }
        }
    };
}

/// Binds the values to a query of either engine.
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

/// A type that can be read from a row of either engine: by `row!`, or a tuple.
pub(super) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A statement with its values.
pub(super) struct Sql<'a> {
    text: Cow<'static, str>,
    values: Vec<Value<'a>>,
    cached: bool,
}

/// A statement; its placeholders `$1`, `$2`, … are numbered in the order of the [`Sql::bind`] calls that follow.
pub(super) fn sql<'a>(text: impl Into<Cow<'static, str>>) -> Sql<'a> {
    Sql { text: text.into(), values: Vec::new(), cached: true }
}

impl<'a> Sql<'a> {
    pub(super) fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs the statement and reads all rows, also of a writing statement with `RETURNING`.
    pub(super) async fn all<R: Row>(self, on: impl Into<On<'_>>) -> Result<Vec<R>> {
        let (reads, on) = (self.reads(), on.into());
        let run = async move {
            let rows = dispatch!(on, reads, connection => {
                bind!(sqlx::query_as(AssertSqlSafe(self.text)), self).fetch_all(connection)
            });
            Ok(rows)
        };
        run.boxed().await
    }

    /// Runs a statement that returns at most one row.
    pub(super) async fn optional<R: Row>(self, on: impl Into<On<'_>>) -> Result<Option<R>> {
        Ok(self.all(on).await?.pop())
    }

    /// Runs a statement that always returns one row.
    pub(super) async fn one<R: Row>(self, on: impl Into<On<'_>>) -> Result<R> {
        Ok(self.optional(on).await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Runs the statement; returns the number of rows affected.
    pub(super) async fn execute(self, on: impl Into<On<'_>>) -> Result<u64> {
        let (reads, on) = (self.reads(), on.into());
        let run = async move {
            let touched = dispatch!(on, reads, connection => async {
                let done = bind!(sqlx::query(AssertSqlSafe(self.text)), self).execute(connection).await;
                done.map(|done| done.rows_affected())
            });
            Ok(touched)
        };
        run.boxed().await
    }

    /// Whether the statement only reads. Any other may write, and would fail on a read-only connection.
    fn reads(&self) -> bool {
        self.text.trim_start().starts_with("SELECT")
    }
}

/// The most values of a statement. Far below the engines' limits (32,766 and 65,535), because SQLite searches its list
/// of numbered placeholders for each of them: twice as many values take four times as long.
const MAX_VALUES: usize = 500;

/// A statement over many rows of values, `{head} VALUES ($1,$2),($3,$4) {tail}`: split into statements of at most
/// [`MAX_VALUES`] values; none if there are no rows.
pub(super) struct Bulk<'a>(Vec<Sql<'a>>);

/// Makes a [`Bulk`]. Serves `INSERT`, `IN (VALUES …)` and `WITH v(…) AS (VALUES …) UPDATE … FROM v`.
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

/// A `SELECT` of all rows, or of those whose `column` is one of `keys`.
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

/// Up to this number of keys the statement is cached by connections. Keys are padded to a power of two, so that there
/// are few different statements.
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
    /// Reborrows the target.
    fn again(&mut self) -> On<'_> {
        match self {
            On::Db(db) => On::Db(db),
            On::Tx(tx) => On::Tx(tx),
        }
    }
}
