//! The database: the only SQL, and the truth that everything else is derived from.
//!
//! One concrete [`Store`] over an enum of two typed pools (SQLite, PostgreSQL). Methods are named resource first, verb
//! second. Every public method is tested on both engines. Must never hand out a transaction or be mocked.

mod catalogue_lists;
mod conditions;
mod connect;
mod contents;
mod db;
mod derive;
mod events;
mod finish;
mod images;
mod index_feed;
mod jobs;
mod origin_lists;
mod origins;
mod pools;
mod registries;
mod repositories;
mod run_lists;
mod runs;
mod scans;
mod sealed;
mod sessions;
mod times;
mod tombstones;
mod uploads;
mod users;
mod value;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use self::db::{Db, sql};
use self::pools::Lane;
pub use self::registries::SealedSecrets;
pub use self::sealed::{SEAL_KEY, SealedKind, SealedText, TOKEN_KEY};
pub use self::sessions::LoginAccount;
pub use self::times::StoredTimes;
pub use self::uploads::UploadRoom;
use crate::catalog::{
    Changes, Content, HintId, Image, JobVersion, NewScanProblem, RegistryId, RepositoryState, RunPhase, RunStatus,
    RunSummary, ScanCounts, ScanId, ScanState, UserId,
};

/// What a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique name is taken.
    #[error("{0} exists already")]
    Duplicate(&'static str),
    /// The last admin can neither be deleted nor demoted.
    #[error("the last admin cannot be removed")]
    LastAdmin,
    /// The scan or run is not this worker's any more: its lease ran out and another took it, or it was deleted.
    #[error("the lease is lost")]
    LeaseLost,
    /// It is not any more as the caller has seen it.
    #[error("somebody else changed it meanwhile")]
    Changed,
    /// A user has as many active runs as one may have.
    #[error("{there} runs are active, and {most} may be")]
    TooMany { there: u64, most: u64 },
    /// The database cannot be opened or migrated; the text says what to do.
    #[error("{0}")]
    Open(String),
    /// The database cannot be asked now; later it can. Why, for the log.
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

/// Whether the same statement may well succeed later: the database is away, busy or full.
fn is_passing(why: &sqlx::Error) -> bool {
    /// Primary result codes of SQLite: busy, locked, out of memory, read-only, I/O error, full, cannot open.
    const SQLITE: [i32; 7] = [5, 6, 7, 8, 10, 13, 14];
    /// SQLSTATE of PostgreSQL, classes and single ones: connection, transaction rollback, resources, intervention, system; not
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
    /// [`Error::Away`], told in the log, but not for each of the many who notice.
    fn away(why: &dyn std::fmt::Display) -> Self {
        const EVERY: Duration = Duration::from_secs(10);
        static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(%why, "the database could not be asked");
        }
        Self::Away(why.to_string())
    }

    /// Makes a broken uniqueness [`Error::Duplicate`]. SQLite does not name the constraint, so the caller says which.
    fn or_duplicate(self, of: &'static str) -> Self {
        match &self {
            Error::Database(sqlx::Error::Database(error)) if error.is_unique_violation() => Error::Duplicate(of),
            _ => self,
        }
    }

    /// Whether a row was to point at another that is not there.
    fn is_dangling(&self) -> bool {
        matches!(self, Error::Database(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
    }
}

pub use connect::Look;
pub use events::EventRange;
pub use index_feed::CatalogueState;

pub type Result<T> = std::result::Result<T, Error>;

/// Which database.
#[derive(Clone, Debug)]
pub enum Address {
    /// A SQLite file; made, with its folder, when it does not exist.
    Sqlite(PathBuf),
    /// `postgres://`, `postgresql://` or `postgis://`; everything lives in the schema `silo`.
    Postgres(SecretString),
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
}

/// What asking for a scan gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanRequest {
    /// A new scan waits for a worker.
    Queued(ScanId),
    /// The registry has an active scan already: this one.
    Active(ScanId),
}

/// A scan that this worker holds until its lease runs out.
#[derive(Clone, Debug)]
pub struct ClaimedScan {
    pub id: ScanId,
    pub registry_id: RegistryId,
    /// Proof of the claim: a later claim makes this one worthless.
    pub token: String,
    /// How often it was taken up, but for those times that an error of the database ended.
    pub tries: i64,
}

/// A run that is to be queued.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    pub id: String,
    pub owner_id: UserId,
    pub owner: String,
    pub batch_id: Option<String>,
    pub batch_row: Option<i64>,
    pub rerun_of: Option<String>,
    pub label: String,
    /// Each once.
    pub tags: Vec<String>,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub image: String,
    pub priority: i64,
    pub max_tries: i64,
    pub created_at: DateTime<Utc>,
    pub dedup_key: Option<String>,
    /// What was asked for, without secrets.
    pub spec: String,
    /// The secrets.
    pub sealed: Option<String>,
    /// What everybody reads.
    pub record: String,
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    pub status: RunStatus,
    pub phase: RunPhase,
    /// 0 to 100.
    pub progress: i64,
    pub message: String,
    pub error_name: Option<String>,
    pub error_category: Option<String>,
    pub attempts: i64,
    pub started_at: Option<DateTime<Utc>>,
    /// Set: nothing more will happen.
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// When the next attempt may begin.
    pub due_at: DateTime<Utc>,
    pub record: String,
}

/// All that is kept of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    pub summary: RunSummary,
    pub spec: String,
    pub sealed: Option<String>,
    pub record: String,
    pub cancelled_by: Option<String>,
    /// The silo that has it, or had it last.
    pub host: Option<String>,
}

/// A run that this worker holds until its lease runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRun {
    pub id: String,
    /// Proof of the claim: a later claim makes this one worthless.
    pub token: String,
    /// The silo that had it before.
    pub last_host: Option<String>,
}

/// A part of what a scan found. Applied in one transaction.
#[derive(Clone, Debug, Default)]
pub struct ScanStep {
    /// Before its end a scan removes nothing.
    pub changes: Changes,
    /// Contents fetched by this scan; every digest in `changes` is in here or in the store.
    pub contents: Vec<Content>,
    /// So far, all steps together.
    pub counts: ScanCounts,
    pub problems: Vec<NewScanProblem>,
    /// Repositories that were looked into.
    pub repositories: Vec<Looked>,
    /// Hints that were followed.
    pub hints: Vec<HintId>,
}

/// What came of looking into a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Its tags were listed to the end, and what they point to was read.
    Listed(Box<RepositoryState>),
    /// Not: why, in words.
    Failed { name: String, why: String },
}

/// How a scan ends: its last step, and what becomes of it. Applied in one transaction.
#[derive(Clone, Debug)]
pub struct ScanResult {
    /// None that is active.
    pub state: ScanState,
    pub step: ScanStep,
    /// Repositories whose missing images are removed in this step.
    pub settled: Vec<String>,
    /// Repositories that the registry no longer has, or that are not looked into any more.
    pub gone: Vec<String>,
    pub error: Option<String>,
}

/// A job version with its images, for views.
#[derive(Clone, Debug, PartialEq)]
pub struct JobVersionWithImages {
    pub job_version: JobVersion,
    pub images: Vec<Image>,
}

impl Store {
    /// Opens the database, makes schema `silo` on PostgreSQL, and migrates.
    ///
    /// # Errors
    /// [`Error::Open`], whose text never holds the address's password.
    pub async fn connect(address: &Address) -> Result<Self> {
        Ok(Self { db: connect::connect(address).await? })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sql("SELECT id FROM catalogue").one::<(i64,)>(&self.db).await.map(drop)
    }

    /// The same database, asked for work that nobody waits for: it waits longer for its turn, and lets people go first.
    pub fn in_background(&self) -> Self {
        Self { db: self.db.in_lane(Lane::Background) }
    }

    /// Whether the database takes changes. SQLite is not asked: whether its folder can be written tells the same, and waits for no
    /// other writer.
    pub async fn write_check(&self) -> Result<()> {
        match &self.db {
            Db::Sqlite(..) => Ok(()),
            Db::Postgres(..) => sql("UPDATE run_queue SET id = id
                 WHERE id IN (SELECT id FROM run_queue WHERE id = 1 FOR UPDATE SKIP LOCKED)")
            .execute(&self.db)
            .await
            .map(drop),
        }
    }

    /// Closes every connection; those that do not end within seconds are left.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite(pools, _) => pools.close().await,
            Db::Postgres(server, _) => server.close().await,
        }
    }
}
