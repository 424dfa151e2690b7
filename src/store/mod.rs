//! The database: the only SQL, and the source of truth from which everything else is derived.
//!
//! One concrete [`Store`] over an enum of two typed pools (SQLite, PostgreSQL). Methods are named resource first, verb
//! second. Every public method is tested on both engines. Must never return a transaction or be mocked.

mod batches;
mod catalogue_lists;
mod catalogue_row;
mod columns;
mod conditions;
mod connect;
mod contents;
mod db;
mod derive;
mod events;
mod images;
mod index_feed;
mod jobs;
mod origin_lists;
mod origins;
mod pools;
mod read_scope;
mod registries;
mod repositories;
mod run_queries;
mod runs;
mod scan_commit;
mod scans;
mod sealed;
mod sessions;
mod times;
mod tombstones;
mod uploads;
mod users;
mod visibility;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use secrecy::SecretString;

use self::db::{DatabaseHandle, sql};
use self::pools::QueryPriority;
pub use self::registries::{SealedChanges, SealedSecrets};
pub use self::sealed::{SEAL_KEY, SealedKind, SealedText, TOKEN_KEY};
pub use self::sessions::{LoginAccount, SessionUser};
pub use self::times::StoredTimes;
pub use self::uploads::{UploadPosition, UploadRoom};
pub use self::visibility::MemberIds;
use crate::catalog::{
    CatalogueImage, CatalogueView, DigestContent, HintId, JobVersion, NewScanProblem, RegistryId, RepositoryState,
    RunPhase, RunStatus, RunSummary, ScanCounts, ScanId, ScanState, TagChanges, UserId,
};

/// Errors that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique name is taken.
    #[error("{0} exists already")]
    Duplicate(&'static str),
    /// The last admin can neither be deleted nor demoted.
    #[error("the last admin cannot be removed")]
    LastAdmin,
    /// The scan or run is no longer this worker's: its lease expired and another worker took it, or it was deleted.
    #[error("the lease is lost")]
    LeaseLost,
    /// It is no longer in the state that the caller read.
    #[error("it was changed by another request")]
    Changed,
    /// The user would have more active runs than allowed.
    #[error("{there} runs are active, the limit is {most}")]
    TooMany { there: u64, most: u64 },
    /// The database cannot be opened or migrated; the text says what to do.
    #[error("{0}")]
    Open(String),
    /// The database is temporarily unavailable. The text is for the log.
    #[error("the database does not answer: {0}")]
    Away(String),
    #[error("database: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(why: sqlx::Error) -> Self {
        if is_passing(&why) { Self::away(&why) } else { Self::Database(why) }
    }
}

/// Whether the same statement may succeed later: the database is unavailable, busy or full.
fn is_passing(why: &sqlx::Error) -> bool {
    /// Primary result codes of SQLite: busy, locked, out of memory, read-only, I/O error, full, cannot open.
    const SQLITE: [i32; 7] = [5, 6, 7, 8, 10, 13, 14];
    /// SQLSTATE classes and codes of PostgreSQL: connection, transaction rollback, resources, intervention, system; not
    /// accepting connections, read-only, lock not available, idle for too long.
    const POSTGRES: [&str; 9] = ["08", "40", "53", "57", "58", "55000", "25006", "55P03", "25P03"];
    match why {
        sqlx::Error::Database(why) => {
            let code = why.code().unwrap_or_default();
            match why.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                Some(_) => code.parse::<i32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff))),
                None => POSTGRES.iter().any(|passing| code.starts_with(passing)),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

impl Error {
    /// [`Error::Away`], logged at most every ten seconds, because many callers get it at once.
    fn away(why: &dyn std::fmt::Display) -> Self {
        const EVERY: Duration = Duration::from_secs(10);
        static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
        let mut told = TOLD.lock();
        if told.is_none_or(|at| at.elapsed() >= EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(%why, "the database could not be asked");
        }
        Self::Away(why.to_string())
    }

    /// Turns a violated unique constraint into [`Error::Duplicate`]. SQLite does not name the constraint, so the caller
    /// gives `of`.
    fn or_duplicate(self, of: &'static str) -> Self {
        match &self {
            Error::Database(sqlx::Error::Database(error)) if error.is_unique_violation() => Error::Duplicate(of),
            _ => self,
        }
    }

    /// Whether a foreign key references a row that does not exist.
    fn is_dangling(&self) -> bool {
        matches!(self, Error::Database(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
    }
}

pub use connect::DatabaseInspection;
pub use events::EventRange;
pub use index_feed::CatalogueState;

pub type Result<T> = std::result::Result<T, Error>;

/// Address of the database.
#[derive(Clone, Debug)]
pub enum DatabaseAddress {
    /// A SQLite file; created, with its folder, if it does not exist.
    Sqlite(PathBuf),
    /// `postgres://`, `postgresql://` or `postgis://`; all tables are in the schema `silo`.
    Postgres(SecretString),
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    db: DatabaseHandle,
}

/// The result of requesting a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanRequest {
    /// A new scan is queued.
    Queued(ScanId),
    /// The registry already has an active scan: this one.
    Active(ScanId),
}

/// A scan claimed by this worker, until its lease expires.
#[derive(Clone, Debug)]
pub struct ClaimedScan {
    pub id: ScanId,
    pub registry_id: RegistryId,
    /// Proof of the claim: a later claim invalidates it.
    pub token: String,
    /// How often it was claimed, without the attempts that an error of the database ended.
    pub tries: i64,
}

/// A run to be queued.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    pub id: String,
    pub owner_id: UserId,
    pub owner: String,
    pub batch_id: Option<String>,
    pub batch_row: Option<i64>,
    pub rerun_of: Option<String>,
    pub label: String,
    /// Without duplicates.
    pub tags: Vec<String>,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub image: String,
    pub priority: i64,
    pub max_tries: i64,
    pub created_at: DateTime<Utc>,
    pub dedup_key: Option<String>,
    /// The request, without secrets.
    pub spec: String,
    /// The sealed secrets of the request.
    pub sealed: Option<String>,
    /// The record that users read.
    pub record: String,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    pub status: RunStatus,
    pub phase: RunPhase,
    /// In percent, 0 to 100.
    pub progress: i64,
    pub message: String,
    pub error_name: Option<String>,
    pub error_category: Option<String>,
    pub attempts: i64,
    pub started_at: Option<DateTime<Utc>>,
    /// If set, the run has ended.
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// The earliest start of the next attempt.
    pub due_at: DateTime<Utc>,
    pub record: String,
}

/// All that is stored of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    pub summary: RunSummary,
    pub spec: String,
    pub sealed: Option<String>,
    pub record: String,
    pub cancelled_by: Option<String>,
    /// The host that has claimed it, or did so last.
    pub host: Option<String>,
}

/// A run claimed by this worker, until its lease expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRun {
    pub id: String,
    /// Proof of the claim: a later claim invalidates it.
    pub token: String,
    /// The host that had claimed it before.
    pub last_host: Option<String>,
}

/// A part of a scan's findings. Committed in one transaction.
#[derive(Clone, Debug, Default)]
pub struct ScanStep {
    /// Removes nothing: only the last step of a scan may.
    pub changes: TagChanges,
    /// Contents fetched by this scan; every digest in `changes` is here or in the store.
    pub contents: Vec<DigestContent>,
    /// Of all steps so far.
    pub counts: ScanCounts,
    pub problems: Vec<NewScanProblem>,
    /// Results of the repositories that were scanned.
    pub repositories: Vec<RepositoryScanResult>,
    /// Hints that were followed.
    pub hints: Vec<HintId>,
}

/// The result of scanning one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryScanResult {
    /// Its tags were listed completely, and their contents were read.
    Listed(Box<RepositoryState>),
    /// Scanning it failed; the reason as text.
    Failed { name: String, why: String },
}

/// The last step of a scan and its outcome. Committed in one transaction.
#[derive(Clone, Debug)]
pub struct ScanResult {
    /// Not an active state.
    pub state: ScanState,
    pub step: ScanStep,
    /// Repositories whose missing images are removed in this step.
    pub settled: Vec<String>,
    /// Repositories that the registry no longer has, or that are no longer selected.
    pub gone: Vec<String>,
    pub error: Option<String>,
}

/// A job version with its images, for views.
#[derive(Clone, Debug, PartialEq)]
pub struct JobVersionWithImages {
    pub job_version: JobVersion,
    pub images: Vec<CatalogueImage>,
}

impl Store {
    /// Opens the database, creates the schema `silo` on PostgreSQL, and migrates.
    ///
    /// # Errors
    /// [`Error::Open`]; its text never contains the address's password.
    pub async fn connect(address: &DatabaseAddress) -> Result<Self> {
        Ok(Self { db: connect::connect(address).await? })
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<()> {
        sql("SELECT id FROM catalogue").one::<(i64,)>(&self.db).await.map(drop)
    }

    /// The same database for background work, which waits longer for a connection and yields to requests.
    pub fn in_background(&self) -> Self {
        Self { db: self.db.with_priority(QueryPriority::Background) }
    }

    /// The same database for a reader: whatever is read outside of a transaction, registries that the view hides do not
    /// exist.
    pub fn seen_by(&self, view: &CatalogueView) -> Self {
        Self { db: self.db.seen_by(view) }
    }

    /// Checks that the database accepts writes. SQLite is not queried: whether its folder is writable tells the same,
    /// without waiting for another writer.
    pub async fn write_check(&self) -> Result<()> {
        match &self.db {
            DatabaseHandle::Sqlite(..) => Ok(()),
            DatabaseHandle::Postgres(..) => sql("UPDATE run_queue SET id = id
                 WHERE id IN (SELECT id FROM run_queue WHERE id = 1 FOR UPDATE SKIP LOCKED)")
            .execute(&self.db)
            .await
            .map(drop),
        }
    }

    /// Closes all connections; those that do not end within seconds are abandoned.
    pub async fn close(&self) {
        match &self.db {
            DatabaseHandle::Sqlite(pools, ..) => pools.close().await,
            DatabaseHandle::Postgres(server, ..) => server.close().await,
        }
    }
}
