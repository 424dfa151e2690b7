//! The connections behind a [`super::Store`]: who waits how long for one, and how a PostgreSQL server that is away or frozen
//! is noticed.
//!
//! SQLite has one writer at a time. All writers of this process share one connection and get it in the order in which they
//! asked; of background work only one stands in that line, so that a person waits for one step of a scan at most.
//!
//! PostgreSQL is asked for a sign of life several times a second, on a connection of its own. While it gives none, whoever
//! waits for it is told so, and so is whoever comes.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::{Error, Result};

/// How long people wait for a free connection. PostgreSQL's have to be answered within two seconds, whatever is wrong;
/// SQLite's wait for other writers.
const POSTGRES_PATIENCE: Duration = Duration::from_millis(1500);
const SQLITE_PATIENCE: Duration = Duration::from_secs(20);
/// How long background work does.
pub(super) const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
/// Nothing that we ask takes this long.
const LONGEST_STATEMENT: Duration = Duration::from_secs(300);
/// How often PostgreSQL is asked for a sign of life, and how long that may take.
const PULSE: Duration = Duration::from_millis(300);
const SILENCE: Duration = Duration::from_millis(1200);
/// How long the end of a connection is waited for.
const GOODBYE: Duration = Duration::from_secs(2);
/// A small server allows 100 in all, and other programs want some.
const POSTGRES_CONNECTIONS: u32 = 10;
/// Everything of ours is in this schema: the rest of the database may be another program's. A server that does not hear of
/// us any more lets go of what we had locked.
const SESSION: &str =
    "SET search_path TO silo; SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = '300s'";
/// PostgreSQL: too many connections. It lives.
const EXHAUSTED: &str = "53300";

/// For whom the database is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody waits for the answer.
    People,
    /// Nobody does.
    Background,
}

/// SQLite: connections that read, one that writes, and the door that background work goes through to it.
#[derive(Clone, Debug)]
pub(super) struct SqlitePools {
    read: SqlitePool,
    write: SqlitePool,
    door: Arc<Mutex<()>>,
}

/// A place in the line of writers, beside those of people; none for people.
pub(super) type Place = Option<OwnedMutexGuard<()>>;

impl SqlitePools {
    pub(super) fn new(read: SqlitePool, write: SqlitePool) -> Self {
        Self { read, write, door: Arc::default() }
    }

    pub(super) async fn reader(&self, lane: Lane) -> Result<PoolConnection<Sqlite>> {
        in_time(patience(lane, SQLITE_PATIENCE), self.read.acquire()).await
    }

    pub(super) async fn writer(&self, lane: Lane) -> Result<(PoolConnection<Sqlite>, Place)> {
        let place = self.place(lane).await?;
        Ok((in_time(patience(lane, SQLITE_PATIENCE), self.write.acquire()).await?, place))
    }

    /// Takes SQLite's write lock at once: a transaction that reads first and asks for the lock later fails at once when
    /// another process wrote in between, however long the busy timeout.
    pub(super) async fn begin(&self, lane: Lane) -> Result<(Transaction<'static, Sqlite>, Place)> {
        let place = self.place(lane).await?;
        let begun = in_time(patience(lane, SQLITE_PATIENCE), self.write.begin_with("BEGIN IMMEDIATE")).await?;
        Ok((begun, place))
    }

    async fn place(&self, lane: Lane) -> Result<Place> {
        if lane == Lane::People {
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

/// PostgreSQL: a pool, and whether the server gives signs of life.
#[derive(Debug)]
pub(super) struct PostgresServer {
    options: PgConnectOptions,
    /// A new one after each outage: connections of before may never come back.
    pool: RwLock<PgPool>,
    /// Why it is away; `None` while it answers.
    away: watch::Sender<Option<String>>,
}

impl PostgresServer {
    /// Begins to watch it.
    pub(super) fn new(options: PgConnectOptions) -> Arc<Self> {
        let pool = RwLock::new(pool(options.clone()));
        let server = Arc::new(Self { options, pool, away: watch::Sender::default() });
        tokio::spawn(keep_watch(Arc::downgrade(&server), server.options.clone()));
        server
    }

    pub(super) async fn connection(&self, lane: Lane) -> Result<PoolConnection<Postgres>> {
        let pool = self.pool();
        self.guarded(async { in_time(patience(lane, POSTGRES_PATIENCE), pool.acquire()).await }).await
    }

    pub(super) async fn begin(&self, lane: Lane) -> Result<Transaction<'static, Postgres>> {
        let pool = self.pool();
        self.guarded(async { in_time(patience(lane, POSTGRES_PATIENCE), pool.begin()).await }).await
    }

    /// Does something with the server, for as long as it gives signs of life.
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
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server was away, and is back.
    fn renew(&self) {
        let new = pool(self.options.clone());
        let old = std::mem::replace(&mut *self.pool.write().unwrap_or_else(PoisonError::into_inner), new);
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

fn patience(lane: Lane, of_people: Duration) -> Duration {
    if lane == Lane::People { of_people } else { LONGEST_PATIENCE }
}

async fn in_time<T>(most: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    Ok(tokio::time::timeout(most, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?)
}

/// Asks for signs of life until nobody uses the server any more.
async fn keep_watch(server: Weak<PostgresServer>, options: PgConnectOptions) {
    let mut connection = None;
    let mut gone_since = None;
    loop {
        tokio::time::sleep(PULSE).await;
        let looked = tokio::time::timeout(SILENCE, pulse(&mut connection, &options)).await;
        let Some(server) = server.upgrade().filter(|server| !server.pool().is_closed()) else { return };
        let trouble = match looked {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why.to_string()),
            Err(_) => Some("it gives no answer".to_owned()),
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

async fn pulse(connection: &mut Option<PgConnection>, options: &PgConnectOptions) -> sqlx::Result<()> {
    // One that is open may have been cut off, though the server lives.
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
