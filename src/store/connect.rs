//! Opening and migrating a database.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, SqlSafeStr};

use super::db::{DatabaseHandle, sql};
use super::index_feed::CatalogueState;
use super::pools::{LONGEST_PATIENCE, PostgresServer, QueryPriority, SqlitePools};
use super::read_scope::ReadScope;
use super::{DatabaseAddress, Error, Result, SEAL_KEY, SealedText, Store, StoredTimes, TOKEN_KEY};

/// How long a SQLite writer waits for writers of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most read connections to SQLite. Each is a thread; readers do not wait for each other.
const SQLITE_CONNECTIONS: u32 = 8;
/// How long a server may take to answer a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Selects the schema in which migrations run.
const SEARCH_PATH: &str = "SET search_path TO silo";

pub(super) async fn connect(address: &DatabaseAddress) -> Result<DatabaseHandle> {
    match address {
        DatabaseAddress::Sqlite(path) => sqlite(path).await,
        DatabaseAddress::Postgres(url) => postgres(url).await,
    }
}

/// The migrations of one database engine. Both engines have the same numbers and names.
macro_rules! migrations {
    ($engine:literal) => {
        Migrator::with_migrations(vec![
            migration(1, "catalogue", include_str!(concat!("../../migrations/", $engine, "/0001_catalogue.sql"))),
            migration(2, "judged by", include_str!(concat!("../../migrations/", $engine, "/0002_judged_by.sql"))),
            migration(
                3,
                "image history",
                include_str!(concat!("../../migrations/", $engine, "/0003_image_history.sql")),
            ),
            migration(
                4,
                "scan in steps",
                include_str!(concat!("../../migrations/", $engine, "/0004_scan_in_steps.sql")),
            ),
            migration(5, "registry tls", include_str!(concat!("../../migrations/", $engine, "/0005_registry_tls.sql"))),
            migration(
                6,
                "hooks and events",
                include_str!(concat!("../../migrations/", $engine, "/0006_hooks_and_events.sql")),
            ),
            migration(7, "runs", include_str!(concat!("../../migrations/", $engine, "/0007_runs.sql"))),
            migration(8, "accounts", include_str!(concat!("../../migrations/", $engine, "/0008_accounts.sql"))),
            migration(9, "incremental", include_str!(concat!("../../migrations/", $engine, "/0009_incremental.sql"))),
            migration(
                10,
                "upload reservations",
                include_str!(concat!("../../migrations/", $engine, "/0010_upload_reservations.sql")),
            ),
            migration(11, "lists", include_str!(concat!("../../migrations/", $engine, "/0011_lists.sql"))),
            migration(
                12,
                "scan reports",
                include_str!(concat!("../../migrations/", $engine, "/0012_scan_reports.sql")),
            ),
            migration(13, "origins", include_str!(concat!("../../migrations/", $engine, "/0013_origins.sql"))),
            migration(
                14,
                "file metadata",
                include_str!(concat!("../../migrations/", $engine, "/0014_file_metadata.sql")),
            ),
            migration(15, "sessions", include_str!(concat!("../../migrations/", $engine, "/0015_sessions.sql"))),
            migration(16, "visibility", include_str!(concat!("../../migrations/", $engine, "/0016_visibility.sql"))),
        ])
    };
}

/// State of a database, read without changing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseInspection {
    /// The last migration that was applied; `None` if there are no SILO tables yet.
    pub version: Option<i64>,
    /// The last migration known to this program.
    pub newest: i64,
    /// `None` unless `version` is `newest`.
    pub catalogue: Option<CatalogueState>,
    /// All sealed texts, and the check values of the key that seals and the key that signs tokens. Empty unless `version`
    /// is `newest`.
    pub sealed: Vec<SealedText>,
    pub seal_check: Option<String>,
    pub token_check: Option<String>,
    /// `None` unless `version` is `newest`.
    pub times: Option<StoredTimes>,
}

impl DatabaseInspection {
    fn without_tables(version: Option<i64>, newest: i64) -> Self {
        Self { version, newest, catalogue: None, sealed: Vec::new(), seal_check: None, token_check: None, times: None }
    }
}

impl Store {
    /// Inspects a database without creating or changing anything; also possible while a service runs on it.
    ///
    /// # Errors
    /// If the database cannot be opened or read; the text says what to do.
    pub async fn look(address: &DatabaseAddress) -> Result<DatabaseInspection> {
        let (db, migrations) = match address {
            DatabaseAddress::Sqlite(path) if !path.exists() => {
                return Ok(DatabaseInspection::without_tables(None, newest(&migrations!("sqlite"))));
            }
            DatabaseAddress::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
                let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
                let pool = pool.map_err(|why| not_opened(path, &why))?;
                (
                    DatabaseHandle::Sqlite(
                        SqlitePools::new(pool.clone(), pool),
                        QueryPriority::People,
                        ReadScope::default(),
                    ),
                    migrations!("sqlite"),
                )
            }
            DatabaseAddress::Postgres(url) => {
                open_postgres(url).await?.0.close().await?;
                let server = PostgresServer::new(postgres_options(url.expose_secret())?);
                (DatabaseHandle::Postgres(server, QueryPriority::People, ReadScope::default()), migrations!("postgres"))
            }
        };
        let store = Store { db };
        let looked = store.inspect_tables(newest(&migrations)).await;
        store.close().await;
        looked
    }

    async fn inspect_tables(&self, newest: i64) -> Result<DatabaseInspection> {
        let (is_there,): (i64,) = sql(match &self.db {
            DatabaseHandle::Sqlite(..) => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            DatabaseHandle::Postgres(..) => {
                "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('silo._sqlx_migrations')"
            }
        })
        .one(&self.db)
        .await?;
        if is_there == 0 {
            return Ok(DatabaseInspection::without_tables(None, newest));
        }
        let (version,): (Option<i64>,) = sql("SELECT MAX(version) FROM _sqlx_migrations").one(&self.db).await?;
        if version != Some(newest) {
            return Ok(DatabaseInspection::without_tables(version, newest));
        }
        Ok(DatabaseInspection {
            version,
            newest,
            catalogue: Some(self.catalogue_state().await?),
            sealed: self.sealed_list().await?,
            seal_check: self.key_check(SEAL_KEY).await?,
            token_check: self.key_check(TOKEN_KEY).await?,
            times: Some(self.stored_times().await?),
        })
    }
}

fn newest(migrations: &Migrator) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn migration(version: i64, name: &'static str, text: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
}

async fn sqlite(path: &Path) -> Result<DatabaseHandle> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|why| not_opened(path, &why))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    if !path.exists() {
        make_sqlite(path, &options).await?;
    }
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(LONGEST_PATIENCE)
        // If the disk is full, SQLite ends a transaction by itself, but sqlx believes it is still open and could not
        // begin another on that connection.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await
        .map_err(|why| not_opened(path, &why))?;
    migrations!("sqlite")
        .run(&writer)
        .await
        .map_err(|why| Error::Open(not_migrated(&format!("database file {}", path.display()), &why)))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_CONNECTIONS)
        .acquire_timeout(LONGEST_PATIENCE)
        .connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(DatabaseHandle::Sqlite(SqlitePools::new(readers, writer), QueryPriority::People, ReadScope::default()))
}

/// Creates the database under a temporary name first, so that a kill leaves no incomplete one.
async fn make_sqlite(path: &Path, options: &SqliteConnectOptions) -> Result<()> {
    let draft = path.with_added_extension("new");
    for leftover in ["new", "new-wal", "new-shm"] {
        _ = std::fs::remove_file(path.with_added_extension(leftover));
    }
    let migrated = async {
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone().filename(&draft)).await?;
        migrations!("sqlite").run(&pool).await?;
        pool.close().await;
        Ok::<_, MigrateError>(())
    };
    migrated.await.map_err(|why| not_opened(path, &why))?;
    tokio::fs::rename(&draft, path).await.map_err(|why| not_opened(path, &why))
}

fn not_opened(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let path = path.display();
    Error::Open(format!("cannot open the database file {path}: {why}; check that its folder exists and is writable"))
}

async fn postgres(url: &SecretString) -> Result<DatabaseHandle> {
    let (mut connection, place) = open_postgres(url).await?;
    migrate_postgres(&mut connection).await.map_err(|why| Error::Open(not_migrated(&place, &why)))?;
    connection.close().await?;
    Ok(DatabaseHandle::Postgres(
        PostgresServer::new(postgres_options(url.expose_secret())?),
        QueryPriority::People,
        ReadScope::default(),
    ))
}

/// Opens a single connection; also returns a description of the server. Unlike a pool it does not retry for half a
/// minute, and a lock left by a failed migration ends with the connection.
async fn open_postgres(url: &SecretString) -> Result<(PgConnection, String)> {
    let options = postgres_options(url.expose_secret())?;
    let place = format!(
        "PostgreSQL at {}:{} (database '{}', user '{}')",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username()),
        options.get_username()
    );
    let connection = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
        .await
        .map_err(|_| {
            Error::Open(format!("no answer from {place}; check the address, and that no firewall is in between"))
        })?
        .map_err(|why| {
            Error::Open(format!("cannot open {place}: {why}; check that it runs, and the address, user and password"))
        })?;
    Ok((connection, place))
}

/// PostGIS is an extension of PostgreSQL: Scale's database address begins with `postgis://`.
fn postgres_options(url: &str) -> Result<PgConnectOptions> {
    const FORM: &str = "expected postgres://USER:PASSWORD@HOST:5432/DATABASE";
    let rest = ["postgres://", "postgresql://", "postgis://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or_else(|| Error::Open(format!("the database address is not PostgreSQL's: {FORM}")))?;
    PgConnectOptions::from_str(&format!("postgres://{rest}"))
        .map_err(|why| Error::Open(format!("the database address cannot be read: {why}; {FORM}")))
}

/// Two processes may call this at once: the migrator's lock lets the second one wait and find nothing to do.
async fn migrate_postgres(connection: &mut PgConnection) -> std::result::Result<(), MigrateError> {
    let mut migrator = migrations!("postgres");
    // `CREATE SCHEMA IF NOT EXISTS` requires the right to create schemas, which a user with a prepared schema may not
    // have.
    let schema: Option<(i32,)> =
        sqlx::query_as("SELECT 1 FROM pg_namespace WHERE nspname = 'silo'").fetch_optional(&mut *connection).await?;
    if schema.is_none() {
        migrator.create_schema("silo");
    }
    connection.execute(SEARCH_PATH).await?;
    migrator.run_direct(None, connection, false).await
}

fn not_migrated(place: &str, why: &MigrateError) -> String {
    let advice = match why {
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
            "it was created by another version of SILO: start that version, or restore an older backup"
        }
        _ => "check that the user may create tables (on PostgreSQL: also the schema 'silo')",
    };
    format!("cannot bring {place} up to date: {why}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::db::sql;
    use super::*;

    #[test]
    fn every_spelling_of_the_scheme_is_the_same_database() {
        for scheme in ["postgres", "postgresql", "postgis"] {
            let options = postgres_options(&format!("{scheme}://scale:secret@db:5433/scale?sslmode=disable")).unwrap();
            assert_eq!((options.get_host(), options.get_port(), options.get_database()), ("db", 5433, Some("scale")));
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_its_password() {
        for url in
            ["mysql://u:hunter2@db/x", "postgres://u:hunter2@db:port/x", "postgres://u:hunter2@db/x?sslmode=perhaps"]
        {
            let error = postgres_options(url).unwrap_err().to_string();
            assert!(error.contains("postgres://USER"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_ends_no_others() {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let store = Store::connect(&DatabaseAddress::Sqlite(folder.path().join("silo.db"))).await.expect("it opens");
        let mut tx = store.db.write().await.expect("a transaction");
        // As if the disk were full.
        let outcome = sql("INSERT OR ROLLBACK INTO catalogue (id, revision) VALUES (1, 0)").execute(&mut tx).await;
        assert!(outcome.is_err(), "{outcome:?}");
        tx.end(outcome).await.expect_err("there is such a row already");

        for name in ["ada", "grace"] {
            let mut tx = store.db.write().await.expect("the next transaction begins");
            let add = sql("INSERT INTO users (username, password_hash, role, created_at) VALUES ($1, '', 'admin', 0)");
            let added = add.bind(name).execute(&mut tx).await;
            tx.end(added).await.expect("there is room again");
        }
        assert_eq!(store.user_list().await.expect("a list").len(), 2);
    }
}
