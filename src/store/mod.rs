//! The database: the only SQL, and the truth that everything else is derived from.
//!
//! One concrete [`Store`] over an enum of two typed pools (SQLite, PostgreSQL). Methods are named resource first, verb
//! second. Every public method is tested on both engines. Must never hand out a transaction or be mocked.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::catalog::*;

/// What a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique name is taken.
    #[error("{0} exists already")]
    Duplicate(&'static str),
    /// The last admin can neither be deleted nor demoted.
    #[error("the last admin cannot be removed")]
    LastAdmin,
    /// The scan is not this worker's any more: its lease ran out and another took it, or its registry was deleted.
    #[error("the scan's lease is lost")]
    LeaseLost,
    /// The database cannot be opened or migrated; the text says what to do.
    #[error("{0}")]
    Open(String),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

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
pub struct Store {}

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
}

/// How a finished scan changes the catalogue. Applied in one transaction.
#[derive(Clone, Debug)]
pub struct ScanResult {
    /// `Complete`, `Partial` or `Failed`.
    pub state: ScanState,
    pub changes: Changes,
    /// Contents fetched by this scan; every digest in `changes` is in here or in the store.
    pub contents: Vec<Content>,
    pub counts: ScanCounts,
    pub problems: Vec<NewScanProblem>,
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
    pub async fn connect(_address: &Address) -> Result<Self> {
        todo!()
    }
    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        todo!()
    }
    /// Closes every connection.
    pub async fn close(&self) {
        todo!()
    }

    // users.rs
    /// Duplicate("user").
    pub async fn user_insert(
        &self,
        _username: &str,
        _password_hash: &str,
        _role: Role,
        _now: DateTime<Utc>,
    ) -> Result<User> {
        todo!()
    }
    /// By id.
    pub async fn user_list(&self) -> Result<Vec<User>> {
        todo!()
    }
    pub async fn user_get(&self, _id: UserId) -> Result<Option<User>> {
        todo!()
    }
    /// With the password hash.
    pub async fn user_by_name(&self, _username: &str) -> Result<Option<(User, String)>> {
        todo!()
    }
    /// Also ends every session of the user, when `end_sessions`. False: no such user.
    pub async fn user_set_password(&self, _id: UserId, _password_hash: &str, _end_sessions: bool) -> Result<bool> {
        todo!()
    }
    /// False: no such user. Sessions go with it. LastAdmin is checked in the same transaction (two at once!).
    pub async fn user_delete(&self, _id: UserId) -> Result<bool> {
        todo!()
    }

    // sessions.rs — one row a token that was handed out
    pub async fn session_insert(&self, _jti: &str, _user: UserId, _expires_at: DateTime<Utc>) -> Result<()> {
        todo!()
    }
    /// The user behind a session that has not expired; the role comes from the users table.
    pub async fn session_user(&self, _jti: &str, _now: DateTime<Utc>) -> Result<Option<User>> {
        todo!()
    }
    pub async fn session_delete(&self, _jti: &str) -> Result<bool> {
        todo!()
    }
    /// Deletes expired rows; how many.
    pub async fn session_prune(&self, _now: DateTime<Utc>) -> Result<u64> {
        todo!()
    }

    // registries.rs
    /// Duplicate("registry"). `sealed_password` is ciphertext text, stored as given.
    pub async fn registry_insert(
        &self,
        _new: &NewRegistry,
        _sealed_password: Option<&str>,
        _now: DateTime<Utc>,
    ) -> Result<Registry> {
        todo!()
    }
    /// By id.
    pub async fn registry_list(&self) -> Result<Vec<Registry>> {
        todo!()
    }
    pub async fn registry_get(&self, _id: RegistryId) -> Result<Option<Registry>> {
        todo!()
    }
    pub async fn registry_by_name(&self, _name: &str) -> Result<Option<Registry>> {
        todo!()
    }
    pub async fn registry_sealed_password(&self, _id: RegistryId) -> Result<Option<String>> {
        todo!()
    }
    pub async fn registry_set_next_scan(&self, _id: RegistryId, _at: Option<DateTime<Utc>>) -> Result<()> {
        todo!()
    }
    /// Removes it with its images, scans and problems, and the jobs and versions that only it had, in one transaction;
    /// raises the catalogue revision. An active scan of it loses its lease. False: no such registry.
    pub async fn registry_delete(&self, _id: RegistryId) -> Result<bool> {
        todo!()
    }

    // images.rs
    /// Catalogued images, by id.
    pub async fn image_list(&self) -> Result<Vec<Image>> {
        todo!()
    }
    pub async fn image_get(&self, _id: ImageId) -> Result<Option<Image>> {
        todo!()
    }
    /// In the order of `ids`; ids that are gone are left out.
    pub async fn image_list_by_ids(&self, _ids: &[ImageId]) -> Result<Vec<Image>> {
        todo!()
    }
    /// Every tag of a registry, catalogued or not, for `diff`.
    pub async fn image_tags(&self, _registry: RegistryId) -> Result<Vec<StoredTag>> {
        todo!()
    }

    // jobs.rs
    /// By id.
    pub async fn job_list(&self) -> Result<Vec<Job>> {
        todo!()
    }
    pub async fn job_get(&self, _id: JobId) -> Result<Option<Job>> {
        todo!()
    }
    /// In the order of `ids`; ids that are gone are left out.
    pub async fn job_list_by_ids(&self, _ids: &[JobId]) -> Result<Vec<Job>> {
        todo!()
    }
    /// Versions with their images. Of the given jobs, or of all (`None`). By job id, then highest version first;
    /// images highest package version first, then by id. A fixed number of queries, however many rows.
    pub async fn job_version_list(&self, _jobs: Option<&[JobId]>) -> Result<Vec<JobVersionWithImages>> {
        todo!()
    }
    pub async fn job_version_get(&self, _id: JobVersionId) -> Result<Option<JobVersionWithImages>> {
        todo!()
    }

    // contents.rs
    /// Which of these digests are known, and so need no fetching.
    pub async fn content_known(&self, _digests: &HashSet<String>) -> Result<HashSet<String>> {
        todo!()
    }
    /// Problems of all contents that have any, by digest.
    pub async fn content_problem_list(&self) -> Result<HashMap<String, Vec<ContentProblem>>> {
        todo!()
    }
    /// Deletes contents that no image points to; how many.
    pub async fn content_prune(&self) -> Result<u64> {
        todo!()
    }

    // scans.rs
    /// Asks for a scan. At most one active scan a registry, also when two ask at once. None: no such registry.
    pub async fn scan_request(
        &self,
        _registry: RegistryId,
        _trigger: ScanTrigger,
        _now: DateTime<Utc>,
    ) -> Result<Option<ScanRequest>> {
        todo!()
    }
    /// Takes up the oldest scan that is queued, or running with its lease run out. `token` must be new for each call.
    pub async fn scan_claim(
        &self,
        _token: &str,
        _now: DateTime<Utc>,
        _lease_until: DateTime<Utc>,
    ) -> Result<Option<ClaimedScan>> {
        todo!()
    }
    /// Stores progress and renews the lease. LeaseLost when the scan is not ours any more.
    pub async fn scan_progress(
        &self,
        _claim: &ClaimedScan,
        _counts: &ScanCounts,
        _lease_until: DateTime<Utc>,
    ) -> Result<()> {
        todo!()
    }
    /// Ends a scan: applies the result to images, contents, jobs and job versions, stores problems (numbered from 1) and
    /// counts, raises the catalogue revision when anything changed — all in one transaction, or nothing. LeaseLost when
    /// the scan is not ours any more. Ids of jobs and versions stay while they exist.
    pub async fn scan_finish(&self, _claim: &ClaimedScan, _result: &ScanResult, _now: DateTime<Utc>) -> Result<()> {
        todo!()
    }
    /// Puts a running scan back in the queue (graceful stop). LeaseLost when it is not ours any more.
    pub async fn scan_release(&self, _claim: &ClaimedScan) -> Result<()> {
        todo!()
    }
    /// Puts every running scan back in the queue: for a process that knows it is alone. How many.
    pub async fn scan_release_all(&self) -> Result<u64> {
        todo!()
    }
    pub async fn scan_get(&self, _id: ScanId) -> Result<Option<Scan>> {
        todo!()
    }
    /// Newest first. Of one registry, or all; only ids below `before`.
    pub async fn scan_list(
        &self,
        _registry: Option<RegistryId>,
        _before: Option<ScanId>,
        _limit: u32,
    ) -> Result<Vec<Scan>> {
        todo!()
    }
    /// By `seq`, only those above `after`.
    pub async fn scan_problem_list(&self, _id: ScanId, _after: i64, _limit: u32) -> Result<Vec<ScanProblem>> {
        todo!()
    }
    /// Deletes all but the newest `keep` ended scans of each registry; how many.
    pub async fn scan_prune(&self, _keep: u32) -> Result<u64> {
        todo!()
    }

    // index feed
    /// Rises with every change of the catalogue; 0 for an empty, untouched one.
    pub async fn catalogue_revision(&self) -> Result<i64> {
        todo!()
    }
    /// Images whose row, content or job changed after `revision`, in ascending id above `after`, at most `limit`: what the search index is
    /// brought up to date with. (An image's own fields are all that the index holds.)
    pub async fn image_changes(&self, _revision: i64, _after: ImageId, _limit: u32) -> Result<Vec<Image>> {
        todo!()
    }
    /// Ids of all catalogued images.
    pub async fn image_ids(&self) -> Result<Vec<i64>> {
        todo!()
    }
}
