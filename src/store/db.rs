//! SQL for two database engines.
//!
//! A statement is written once, with `$1` placeholders, as an [`SqlStatement`] value; only this file and `pools.rs` distinguish
//! the engines. The dialects differ in two places: how a write transaction begins ([`DatabaseHandle::write`]) and how rows are
//! locked ([`DatabaseHandle::lock`]).

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::FutureExt as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, Transaction};

use super::Result;
use super::columns::SqlValue;
use super::pools::{BackgroundWriterSlot, PostgresServer, QueryPriority, SqlitePools};
use super::read_scope::ReadScope;
use crate::catalog::CatalogueView;

/// A database, the priority of the statements run on it, and what they read.
#[derive(Clone, Debug)]
pub(super) enum DatabaseHandle {
    Sqlite(SqlitePools, QueryPriority, ReadScope),
    Postgres(Arc<PostgresServer>, QueryPriority, ReadScope),
}

/// A write transaction. Ended by [`WriteTransaction::end`]; rolled back if dropped.
pub(super) enum WriteTransaction {
    Sqlite(Transaction<'static, Sqlite>, BackgroundWriterSlot),
    Postgres(Transaction<'static, Postgres>, Arc<PostgresServer>),
}

/// How to lock rows until the transaction ends.
#[derive(Clone, Copy)]
pub(super) enum RowLock {
    /// Wait for rows locked by others.
    Wait,
    /// Skip rows locked by others.
    Skip,
}

impl DatabaseHandle {
    /// Begins a write transaction.
    pub(super) async fn write(&self) -> Result<WriteTransaction> {
        Ok(match self {
            DatabaseHandle::Sqlite(pools, lane, _) => {
                let (tx, place) = pools.begin(*lane).await?;
                WriteTransaction::Sqlite(tx, place)
            }
            DatabaseHandle::Postgres(server, lane, _) => {
                WriteTransaction::Postgres(server.begin(*lane).await?, Arc::clone(server))
            }
        })
    }

    /// The same database with another priority.
    pub(super) fn with_priority(&self, lane: QueryPriority) -> Self {
        match self {
            DatabaseHandle::Sqlite(pools, _, scope) => DatabaseHandle::Sqlite(pools.clone(), lane, scope.clone()),
            DatabaseHandle::Postgres(server, _, scope) => {
                DatabaseHandle::Postgres(Arc::clone(server), lane, scope.clone())
            }
        }
    }

    /// The same database, of which only what the view sees is read.
    pub(super) fn seen_by(&self, view: &CatalogueView) -> Self {
        match self {
            DatabaseHandle::Sqlite(pools, lane, _) => {
                DatabaseHandle::Sqlite(pools.clone(), *lane, ReadScope::of(view, "main"))
            }
            DatabaseHandle::Postgres(server, lane, _) => {
                DatabaseHandle::Postgres(Arc::clone(server), *lane, ReadScope::of(view, "silo"))
            }
        }
    }

    /// The clause that locks the rows of a `SELECT`. SQLite has none and needs none: it has one writer at a time.
    pub(super) fn lock(&self, lock: RowLock) -> &'static str {
        match (self, lock) {
            (DatabaseHandle::Sqlite(..), _) => "",
            (DatabaseHandle::Postgres(..), RowLock::Wait) => "FOR UPDATE",
            (DatabaseHandle::Postgres(..), RowLock::Skip) => "FOR UPDATE SKIP LOCKED",
        }
    }
}

impl WriteTransaction {
    /// Commits if `outcome` is `Ok`, else rolls back, and returns `outcome`. A failing rollback is ignored: the
    /// connection is lost and the transaction with it, and the caller needs the original error.
    pub(super) async fn end<T>(self, outcome: Result<T>) -> Result<T> {
        match (self, &outcome) {
            (WriteTransaction::Sqlite(tx, _place), Ok(_)) => tx.commit().await?,
            (WriteTransaction::Postgres(tx, server), Ok(_)) => server.guarded(tx.commit()).await?,
            (WriteTransaction::Sqlite(tx, _place), Err(_)) => tx.rollback().await.unwrap_or_default(),
            (WriteTransaction::Postgres(tx, server), Err(_)) => server.guarded(tx.rollback()).await.unwrap_or_default(),
        }
        outcome
    }
}

/// Where a statement runs.
pub(super) enum SqlTarget<'c> {
    /// On any connection, outside a transaction.
    Db(&'c DatabaseHandle),
    /// In a transaction.
    Tx(&'c mut WriteTransaction),
}

impl<'c> From<&'c DatabaseHandle> for SqlTarget<'c> {
    fn from(db: &'c DatabaseHandle) -> Self {
        SqlTarget::Db(db)
    }
}

impl<'c> From<&'c mut WriteTransaction> for SqlTarget<'c> {
    fn from(tx: &'c mut WriteTransaction) -> Self {
        SqlTarget::Tx(tx)
    }
}

/// Runs `$body` on a connection of either engine; it is compiled once for each kind.
macro_rules! dispatch {
    ($on:expr, $reads:expr, $connection:ident => $body:expr) => {
        match $on {
            SqlTarget::Db(DatabaseHandle::Sqlite(pools, lane, _)) if $reads => {
                let mut held = pools.reader(*lane).await?;
                let $connection = &mut *held;
                $body.await?
            }
            SqlTarget::Db(DatabaseHandle::Sqlite(pools, lane, _)) => {
                let (mut held, _place) = pools.writer(*lane).await?;
                let $connection = &mut *held;
                $body.await?
            }
            SqlTarget::Db(DatabaseHandle::Postgres(server, lane, _)) => {
                let mut held = server.connection(*lane).await?;
                let $connection = &mut *held;
                server.guarded($body).await?
            }
            SqlTarget::Tx(WriteTransaction::Sqlite(tx, _)) => {
                let $connection = &mut **tx;
                $body.await?
            }
            SqlTarget::Tx(WriteTransaction::Postgres(tx, server)) => {
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
                SqlValue::Text(text) => query.bind(text.as_deref()),
                SqlValue::Integer(integer) => query.bind(*integer),
                SqlValue::Boolean(boolean) => query.bind(*boolean),
            };
        }
        query
    }};
}

/// A type that can be read from a row of either engine: by `row!`, or a tuple.
pub(super) trait SqlRow: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> SqlRow for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A statement with its values.
pub(super) struct SqlStatement<'a> {
    text: Cow<'static, str>,
    values: Vec<SqlValue<'a>>,
    cached: bool,
}

/// A statement; its placeholders `$1`, `$2`, … are numbered in the order of the [`SqlStatement::bind`] calls that follow.
pub(super) fn sql<'a>(text: impl Into<Cow<'static, str>>) -> SqlStatement<'a> {
    SqlStatement { text: text.into(), values: Vec::new(), cached: true }
}

impl<'a> SqlStatement<'a> {
    pub(super) fn bind(mut self, value: impl Into<SqlValue<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs the statement and reads all rows, also of a writing statement with `RETURNING`.
    pub(super) async fn all<R: SqlRow>(self, on: impl Into<SqlTarget<'_>>) -> Result<Vec<R>> {
        let (reads, on) = (self.reads(), on.into());
        let this = self.restricted(&on);
        let run = async move {
            let rows = dispatch!(on, reads, connection => {
                bind!(sqlx::query_as(AssertSqlSafe(this.text)), this).fetch_all(connection)
            });
            Ok(rows)
        };
        run.boxed().await
    }

    /// Runs a statement that returns at most one row.
    pub(super) async fn optional<R: SqlRow>(self, on: impl Into<SqlTarget<'_>>) -> Result<Option<R>> {
        Ok(self.all(on).await?.pop())
    }

    /// Runs a statement that always returns one row.
    pub(super) async fn one<R: SqlRow>(self, on: impl Into<SqlTarget<'_>>) -> Result<R> {
        Ok(self.optional(on).await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Runs the statement; returns the number of rows affected.
    pub(super) async fn execute(self, on: impl Into<SqlTarget<'_>>) -> Result<u64> {
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

    /// The statement as it reads from this target: a reader of a part of the catalogue gets only that.
    fn restricted(mut self, on: &SqlTarget<'_>) -> Self {
        if let SqlTarget::Db(DatabaseHandle::Sqlite(.., scope) | DatabaseHandle::Postgres(.., scope)) = on
            && !scope.is_whole()
            && self.reads()
        {
            // Not cached: there are as many texts as there are views.
            (self.text, self.cached) = (scope.restrict(&self.text).into(), false);
        }
        self
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
pub(super) struct BulkStatement<'a>(Vec<SqlStatement<'a>>);

/// Makes a [`BulkStatement`]. Serves `INSERT`, `IN (VALUES …)` and `WITH v(…) AS (VALUES …) UPDATE … FROM v`.
pub(super) fn bulk<'a, const N: usize>(
    head: &str,
    rows: impl IntoIterator<Item = [SqlValue<'a>; N]>,
    tail: &str,
) -> BulkStatement<'a> {
    let mut rows = rows.into_iter().peekable();
    let mut statements = Vec::new();
    while rows.peek().is_some() {
        let values: Vec<SqlValue<'a>> = rows.by_ref().take(MAX_VALUES / N).flatten().collect();
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
        statements.push(SqlStatement { text: text.into(), values, cached: false });
    }
    BulkStatement(statements)
}

/// A `SELECT` of all rows, or of those whose `column` is one of `keys`.
pub(super) fn select<'a, K: Into<SqlValue<'a>>>(
    select: &'static str,
    among: Option<(&str, impl IntoIterator<Item = K>)>,
) -> BulkStatement<'a> {
    match among {
        None => BulkStatement(vec![sql(select)]),
        Some((column, keys)) => {
            let mut keys: Vec<SqlValue<'a>> = keys.into_iter().map(Into::into).collect();
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

impl BulkStatement<'_> {
    pub(super) async fn all<'c, R: SqlRow>(self, on: impl Into<SqlTarget<'c>>) -> Result<Vec<R>> {
        let mut on = on.into();
        let mut rows = Vec::new();
        for statement in self.0 {
            rows.append(&mut statement.all(on.again()).await?);
        }
        Ok(rows)
    }

    pub(super) async fn execute<'c>(self, on: impl Into<SqlTarget<'c>>) -> Result<u64> {
        let mut on = on.into();
        let mut touched = 0;
        for statement in self.0 {
            touched += statement.execute(on.again()).await?;
        }
        Ok(touched)
    }
}

impl SqlTarget<'_> {
    /// Reborrows the target.
    fn again(&mut self) -> SqlTarget<'_> {
        match self {
            SqlTarget::Db(db) => SqlTarget::Db(db),
            SqlTarget::Tx(tx) => SqlTarget::Tx(tx),
        }
    }
}
