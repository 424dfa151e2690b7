//! The connections of a [`super::Store`]: how long callers wait for one, and how an unavailable or frozen PostgreSQL
//! server is detected.
//!
//! SQLite has one writer at a time. All writers of this process share one connection, in the order of their requests;
//! at most one of them is background work, so that a request waits for at most one step of a scan.
//!
//! PostgreSQL is probed several times a second, on a separate connection. While the probes fail, all callers get an
//! error at once, waiting and new ones.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::{Error, Result};

/// How long requests wait for a free connection. With PostgreSQL a request must fail within two seconds, whatever the
/// cause; with SQLite it waits for other writers.
const POSTGRES_PATIENCE: Duration = Duration::from_millis(1500);
const SQLITE_PATIENCE: Duration = Duration::from_secs(20);
/// How long background work waits for a free connection.
pub(super) const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
/// The longest duration of a statement; ours take less.
const LONGEST_STATEMENT: Duration = Duration::from_secs(300);
/// The interval of the probes of PostgreSQL, and the timeout of each.
const PULSE: Duration = Duration::from_millis(300);
const SILENCE: Duration = Duration::from_millis(1200);
/// How long closing connections may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// The most connections to PostgreSQL. A small server allows 100 in total, and other programs need some.
const POSTGRES_CONNECTIONS: u32 = 10;
/// All our tables are in this schema, because the database may be shared with another program. A server that has lost
/// contact with us releases our locks after the timeout.
const SESSION: &str =
    "SET search_path TO silo; SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = '300s'";
/// PostgreSQL's code for too many connections. The server is available.
const EXHAUSTED: &str = "53300";

/// The priority of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryPriority {
    /// A client waits for the answer.
    People,
    /// No client waits.
    Background,
}

/// SQLite: read-only connections, one connection for writing, and the lock that admits one background writer at a time.
#[derive(Clone, Debug)]
pub(super) struct SqlitePools {
    read: SqlitePool,
    write: SqlitePool,
    door: Arc<Mutex<()>>,
}

/// The admission of a background writer; `None` for requests.
pub(super) type BackgroundWriterSlot = Option<OwnedMutexGuard<()>>;

impl SqlitePools {
    pub(super) fn new(read: SqlitePool, write: SqlitePool) -> Self {
        Self { read, write, door: Arc::default() }
    }

    pub(super) async fn reader(&self, lane: QueryPriority) -> Result<PoolConnection<Sqlite>> {
        in_time(patience(lane, SQLITE_PATIENCE), self.read.acquire()).await
    }

    pub(super) async fn writer(&self, lane: QueryPriority) -> Result<(PoolConnection<Sqlite>, BackgroundWriterSlot)> {
        let place = self.place(lane).await?;
        Ok((in_time(patience(lane, SQLITE_PATIENCE), self.write.acquire()).await?, place))
    }

    /// Takes SQLite's write lock at the start: a transaction that reads first and takes the lock later fails
    /// immediately if another process wrote in between, whatever the busy timeout.
    pub(super) async fn begin(
        &self,
        lane: QueryPriority,
    ) -> Result<(Transaction<'static, Sqlite>, BackgroundWriterSlot)> {
        let place = self.place(lane).await?;
        let begun = in_time(patience(lane, SQLITE_PATIENCE), self.write.begin_with("BEGIN IMMEDIATE")).await?;
        Ok((begun, place))
    }

    async fn place(&self, lane: QueryPriority) -> Result<BackgroundWriterSlot> {
        if lane == QueryPriority::People {
            return Ok(None);
        }
        let waited = tokio::time::timeout(LONGEST_PATIENCE, Arc::clone(&self.door).lock_owned()).await;
        waited.map(Some).map_err(|_| Error::from(sqlx::Error::PoolTimedOut))
    }

    pub(super) async fn close(&self) {
        let both = async { tokio::join!(self.read.close(), self.write.close()) };
        _ = tokio::time::timeout(GOODBYE, both).await;
    }
}

/// PostgreSQL: a pool, and whether the server is available.
#[derive(Debug)]
pub(super) struct PostgresServer {
    options: PgConnectOptions,
    /// Replaced after each outage: older connections may hang forever.
    pool: RwLock<PgPool>,
    /// Why the server is unavailable; `None` while it answers.
    away: watch::Sender<Option<String>>,
}

impl PostgresServer {
    /// Starts to probe the server.
    pub(super) fn new(options: PgConnectOptions) -> Arc<Self> {
        let pool = RwLock::new(pool(options.clone()));
        let server = Arc::new(Self { options, pool, away: watch::Sender::default() });
        tokio::spawn(watch_server(Arc::downgrade(&server), server.options.clone()));
        server
    }

    pub(super) async fn connection(&self, lane: QueryPriority) -> Result<PoolConnection<Postgres>> {
        let pool = self.pool();
        self.guarded(async { in_time(patience(lane, POSTGRES_PATIENCE), pool.acquire()).await }).await
    }

    pub(super) async fn begin(&self, lane: QueryPriority) -> Result<Transaction<'static, Postgres>> {
        let pool = self.pool();
        self.guarded(async { in_time(patience(lane, POSTGRES_PATIENCE), pool.begin()).await }).await
    }

    /// Runs `work`, and fails as soon as the server is unavailable.
    pub(super) async fn guarded<T, E>(&self, work: impl Future<Output = std::result::Result<T, E>>) -> Result<T>
    where
        Error: From<E>,
    {
        let mut away = self.away.subscribe();
        tokio::select! {
            biased;
            Ok(why) = away.wait_for(Option::is_some) => Err(Error::Away(why.clone().unwrap_or_default())),
            done = tokio::time::timeout(LONGEST_STATEMENT, work) => match done {
                Ok(done) => Ok(done?),
                Err(_) => Err(Error::away(&"a statement took too long")),
            },
        }
    }

    pub(super) async fn close(&self) {
        let pool = self.pool();
        _ = tokio::time::timeout(GOODBYE, pool.close()).await;
    }

    fn pool(&self) -> PgPool {
        self.pool.read().clone()
    }

    /// Replaces the pool after an outage.
    fn renew(&self) {
        let new = pool(self.options.clone());
        let old = std::mem::replace(&mut *self.pool.write(), new);
        tokio::spawn(async move { old.close().await });
    }
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(LONGEST_PATIENCE)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(drop) }))
        .connect_lazy_with(options)
}

fn patience(lane: QueryPriority, of_people: Duration) -> Duration {
    if lane == QueryPriority::People { of_people } else { LONGEST_PATIENCE }
}

async fn in_time<T>(most: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    Ok(tokio::time::timeout(most, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?)
}

/// Probes the server until it is dropped or closed.
async fn watch_server(server: Weak<PostgresServer>, options: PgConnectOptions) {
    let mut connection = None;
    let mut gone_since = None;
    loop {
        tokio::time::sleep(PULSE).await;
        let looked = tokio::time::timeout(SILENCE, ping_server(&mut connection, &options)).await;
        let Some(server) = server.upgrade().filter(|server| !server.pool().is_closed()) else { return };
        let trouble = match looked {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why.to_string()),
            Err(_) => Some("it does not answer".to_owned()),
        };
        if trouble.is_some() {
            connection = None;
        }
        match (trouble, gone_since) {
            (Some(why), None) => {
                tracing::error!(why, "PostgreSQL does not answer; requests that need it get 503 until it does");
                gone_since = Some(Instant::now());
                server.away.send_replace(Some(why));
            }
            (None, Some(since)) => {
                tracing::info!(seconds = since.elapsed().as_secs(), "PostgreSQL answers again");
                gone_since = None;
                server.renew();
                server.away.send_replace(None);
            }
            _ => {}
        }
    }
}

async fn ping_server(connection: &mut Option<PgConnection>, options: &PgConnectOptions) -> sqlx::Result<()> {
    // An open connection may have been cut although the server is available.
    if let Some(mut open) = connection.take()
        && open.ping().await.is_ok()
    {
        *connection = Some(open);
        return Ok(());
    }
    match PgConnection::connect_with(options).await {
        Ok(mut open) => {
            open.ping().await?;
            *connection = Some(open);
            Ok(())
        }
        Err(sqlx::Error::Database(why)) if why.code().as_deref() == Some(EXHAUSTED) => Ok(()),
        Err(why) => Err(why),
    }
}
