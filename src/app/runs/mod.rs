//! Runs as a service: submitted, queued, performed, read, cancelled, rerun. A single attempt is the engine's.

mod again;
mod archive;
mod batches;
mod discard;
mod ends;
mod fetched;
mod files;
mod going;
mod host;
mod inputs;
mod metadata;
mod secrets;
mod space;
mod staging;
mod subject;
mod submit;
mod uploads;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{App, Error, Result, Session};
use crate::catalog::{ImageId, RunCounts, RunFilter, RunSummary, UserRole};
use crate::engine::record::RunRecord;
use crate::engine::request::ContainerLayout;
use crate::store::StoredRun;

pub use archive::ArchiveForm;
pub use batches::MOST_ROWS;
pub(super) use discard::stuck_in;
pub use files::{Log, OutputFile, RunFolder};
pub(super) use going::Going;
pub use inputs::FileSpec;
pub(super) use secrets::place as settings_place;
pub(super) use space::{RunDiskShortage, reserve};
pub use submit::{Planned, Submitted};
pub(super) use uploads::remove_parts;
pub(super) use work::LEASE as RUN_LEASE;

/// Form of a run.
#[derive(Clone, Debug, Default)]
pub struct RunForm {
    pub image: ImageAsked,
    /// By input; inputs with `multiple` may occur several times.
    pub files: Vec<(String, FileSpec)>,
    pub json: Vec<(String, Value)>,
    pub settings: Vec<(String, SecretString)>,
    /// Folders of the server, by mount.
    pub mounts: Vec<(String, PathBuf)>,
    /// Upper limit besides the manifest's own time limit.
    pub timeout_seconds: Option<u64>,
    pub max_tries: Option<u32>,
    /// 0 to 9.
    pub priority: Option<u8>,
    /// Label that the owner chose.
    pub label: String,
    pub tags: Vec<String>,
    pub layout: ContainerLayout,
    /// As in `linux/arm64`.
    pub platform: Option<String>,
    /// Whether an identical run may be returned instead of queueing this one.
    pub dedup: bool,
}

/// Values of one row of a batch; they override the shared ones.
#[derive(Clone, Debug, Default)]
pub struct BatchRow {
    pub files: Vec<(String, FileSpec)>,
    pub json: Vec<(String, Value)>,
    pub label: Option<String>,
    pub tags: Option<Vec<String>>,
}

/// The image to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageAsked {
    /// Id in the catalogue.
    Id(ImageId),
    /// What `docker pull` takes: an image of the catalogue, or one that the engine has.
    Reference(String),
}

impl Default for ImageAsked {
    fn default() -> Self {
        Self::Reference(String::new())
    }
}

/// A run's request as it is stored and shown: without secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RunSpec {
    /// As requested.
    pub image: String,
    /// What the engine is asked for: a reference whose content cannot change.
    pub pinned: String,
    /// The registry whose credentials a pull needs; `None`: the engine has the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<i64>,
    pub files: Vec<SpecFile>,
    pub json: Map<String, Value>,
    /// Secret values are masked; they are stored sealed.
    pub settings: BTreeMap<String, String>,
    pub mounts: BTreeMap<String, PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    pub layout: ContainerLayout,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// A file of a [`RunSpec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpecFile {
    pub input: String,
    #[serde(flatten)]
    pub source: FileSpec,
}

/// Changes of a rerun. What is not given stays as it was.
#[derive(Clone, Debug, Default)]
pub struct RunChange {
    /// They replace all files of the inputs that they name.
    pub files: Vec<(String, FileSpec)>,
    pub json: Vec<(String, Value)>,
    pub settings: Vec<(String, SecretString)>,
    pub mounts: Vec<(String, PathBuf)>,
    pub timeout_seconds: Option<u64>,
    pub max_tries: Option<u32>,
    pub priority: Option<u8>,
    pub label: Option<String>,
    pub tags: Option<Vec<String>>,
}

impl App {
    /// The record of a run that the user may see: their own; for admins, any.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn run_get(&self, session: &Session, id: &str) -> Result<RunRecord> {
        let stored = self.run_stored(session, id).await?;
        let mut record = read_record(&stored)?;
        self.tell_shortage_in(&mut record);
        Ok(record)
    }

    /// A run as lists show it.
    pub async fn run_summary(&self, session: &Session, id: &str) -> Result<RunSummary> {
        let found = self.0.store.run_summary(id).await?;
        let mut found = found.filter(|run| may_see(session, run)).ok_or_else(no_such_run)?;
        self.tell_shortage(&mut found);
        Ok(found)
    }

    /// Runs that the user may see, newest first, with ids below `before`.
    pub async fn run_list(
        &self,
        session: &Session,
        filter: RunFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RunSummary>> {
        let mut runs = self.0.store.run_list(&own(session, filter), before, limit).await?;
        runs.iter_mut().for_each(|run| self.tell_shortage(run));
        Ok(runs)
    }

    /// Number of these runs by status.
    pub async fn run_counts(&self, session: &Session, filter: RunFilter) -> Result<RunCounts> {
        Ok(self.0.store.run_counts(&own(session, filter)).await?)
    }

    /// The rows of a batch, in order.
    pub async fn run_list_batch(
        &self,
        session: &Session,
        batch: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<RunSummary>> {
        let mut rows = self.0.store.run_list_batch(batch, after, limit).await?;
        rows.retain(|run| may_see(session, run));
        rows.iter_mut().for_each(|run| self.tell_shortage(run));
        Ok(rows)
    }

    pub(super) async fn run_stored(&self, session: &Session, id: &str) -> Result<StoredRun> {
        let found = self.0.store.run_get(id).await?;
        found.filter(|run| may_see(session, &run.summary)).ok_or_else(no_such_run)
    }
}

fn may_see(session: &Session, run: &RunSummary) -> bool {
    session.user.role == UserRole::Admin || session.user.id == run.owner_id
}

/// Restricts the filter to the user's own runs, unless the user is an admin.
fn own(session: &Session, mut filter: RunFilter) -> RunFilter {
    if session.user.role != UserRole::Admin {
        filter.owner = Some(session.user.id);
    }
    filter
}

/// The same error for other users' runs: it does not reveal which ids exist.
fn no_such_run() -> Error {
    Error::NotFound("No run found with that ID".to_owned())
}

fn read_record(stored: &StoredRun) -> Result<RunRecord> {
    let id = &stored.summary.id;
    serde_json::from_str(&stored.record).map_err(|why| Error::Internal(format!("the record of run {id}: {why}")))
}
