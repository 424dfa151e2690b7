//! Runs as a service: submitted, queued, performed, read, cancelled, rerun. A single attempt is the engine's.

mod active;
mod archive;
mod attempt;
mod batch_table;
mod batches;
mod cancel_and_retention;
mod discarded_files;
mod disk_space;
mod earlier_outputs;
mod fetched_inputs;
mod files;
mod host_paths;
mod input_metadata;
mod inputs;
mod kept_inputs;
mod log_follower;
mod log_lines;
mod rerun;
mod resolved_input;
mod run_inputs;
mod run_limits;
mod runnable_image;
mod secrets;
mod staging;
mod submit;
mod uploads;
mod worker;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{App, Error, Result, UserSession};
use crate::catalog::{ImageId, RunCounts, RunFilter, RunSummary, UserRole};
use crate::engine::plan::request::ContainerLayout;
use crate::engine::run::record::RunRecord;
use crate::store::StoredRun;

pub use crate::store::UploadPosition;
pub(super) use active::ActiveRuns;
pub use archive::ArchiveFormat;
pub(super) use attempt::LEASE as RUN_LEASE;
pub use batch_table::BatchRows;
pub use batches::{BatchOutputPage, BatchRowOutputs, MOST_ROWS, PlannedBatch};
pub(super) use discarded_files::stuck_in;
pub(super) use disk_space::{RunDiskShortage, reserve};
pub use earlier_outputs::{EarlierOutput, EarlierOutputPage};
pub use files::{AttemptLog, RunFolder, RunOutputFile};
pub use kept_inputs::{EarlierRun, KeptInputs};
pub use log_follower::LogFollower;
pub use log_lines::{LONGEST_LOG_LINE, LogLine, LogLines, LogPlace, LogSelection};
pub use run_inputs::{FileAddress, FileSpec, InputFile, RunInputs, SettingValue};
pub use run_limits::RunLimits;
pub(super) use secrets::place as settings_place;
pub use submit::{PlannedRun, RunnableJob, SubmitOutcome};
pub(super) use uploads::remove_parts;

/// Form of a run.
#[derive(Clone, Debug, Default)]
pub struct RunForm {
    pub image: RequestedImage,
    pub inputs: RunInputs,
    pub options: RunOptions,
    pub layout: ContainerLayout,
    /// As in `linux/arm64`.
    pub platform: Option<String>,
    /// Whether an identical run may be returned instead of queueing this one.
    pub dedup: bool,
    /// What is taken over from an earlier run.
    pub kept: Option<KeptInputs>,
}

/// Changes of a run's form: for a row of a batch, or a rerun. What is not given stays as it was.
#[derive(Clone, Debug, Default)]
pub struct RunChange {
    /// They replace all files of the inputs that they name.
    pub inputs: RunInputs,
    pub options: RunOptions,
}

/// How a run is done and found again. `None`: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Upper limit besides the manifest's own time limit.
    pub timeout_seconds: Option<u64>,
    pub max_tries: Option<u32>,
    /// 0 to 9.
    pub priority: Option<u8>,
    /// Label that the owner chose.
    pub label: Option<String>,
    pub tags: Option<Vec<String>>,
}

impl RunOptions {
    /// These options, with those of `change` in place of the same ones.
    fn changed(self, change: &Self) -> Self {
        Self {
            timeout_seconds: change.timeout_seconds.or(self.timeout_seconds),
            max_tries: change.max_tries.or(self.max_tries),
            priority: change.priority.or(self.priority),
            label: change.label.clone().or(self.label),
            tags: change.tags.clone().or(self.tags),
        }
    }
}

/// All that users may see of a run.
#[derive(Clone, Debug)]
pub struct RunDetail {
    pub record: RunRecord,
    pub summary: RunSummary,
    /// The earliest start of the next attempt, if there is to be one.
    pub retry_at: Option<DateTime<Utc>>,
    /// Its files, unless they were deleted.
    pub files: Option<RunFolder>,
}

/// The image to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedImage {
    /// Id in the catalogue.
    Id(ImageId),
    /// What `docker pull` takes: an image of the catalogue, or one that the engine has.
    Reference(String),
}

impl Default for RequestedImage {
    fn default() -> Self {
        Self::Reference(String::new())
    }
}

/// A run's request. Its JSON, which is stored and shown, has no secrets.
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
    #[serde(flatten)]
    pub inputs: RunInputs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    pub layout: ContainerLayout,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

impl App {
    /// The record of a run that the user may see: their own; for admins, any.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn run_get(&self, session: &UserSession, id: &str) -> Result<RunRecord> {
        let stored = self.run_stored(session, id).await?;
        let mut record = read_record(&stored)?;
        self.add_shortage_message_to_record(&mut record);
        Ok(record)
    }

    /// All that users may see of a run.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn run_detail(&self, session: &UserSession, id: &str) -> Result<RunDetail> {
        let stored = self.run_stored(session, id).await?;
        let mut record = read_record(&stored)?;
        let retry_at = record.will_retry.then(|| record.updated + self.wait_before(record.attempts.len()));
        let folder = record.folder.clone().filter(|_| stored.summary.purged_at.is_none());
        self.add_shortage_message_to_record(&mut record);
        let files = folder.map(|root| RunFolder::new(record.clone(), root));
        Ok(RunDetail { record, summary: stored.summary, retry_at, files })
    }

    /// A run as lists show it.
    pub async fn run_summary(&self, session: &UserSession, id: &str) -> Result<RunSummary> {
        let found = self.store().run_summary(id).await?;
        let mut found = found.filter(|run| may_see(session, run)).ok_or_else(no_such_run)?;
        self.add_shortage_message(&mut found);
        Ok(found)
    }

    /// Runs that the user may see, newest first, with ids below `before`.
    pub async fn run_list(
        &self,
        session: &UserSession,
        filter: RunFilter,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RunSummary>> {
        let mut runs = self.store().run_list(&own(session, filter), before, limit).await?;
        runs.iter_mut().for_each(|run| self.add_shortage_message(run));
        Ok(runs)
    }

    /// Number of these runs by status.
    pub async fn run_counts(&self, session: &UserSession, filter: RunFilter) -> Result<RunCounts> {
        Ok(self.store().run_counts(&own(session, filter)).await?)
    }

    /// The rows of a batch, in order.
    pub async fn run_list_batch(
        &self,
        session: &UserSession,
        batch: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<RunSummary>> {
        let mut rows = self.store().run_list_batch(batch, after, limit).await?;
        rows.retain(|run| may_see(session, run));
        rows.iter_mut().for_each(|run| self.add_shortage_message(run));
        Ok(rows)
    }

    pub(super) async fn run_stored(&self, session: &UserSession, id: &str) -> Result<StoredRun> {
        let found = self.store().run_get(id).await?;
        found.filter(|run| may_see(session, &run.summary)).ok_or_else(no_such_run)
    }
}

fn may_see(session: &UserSession, run: &RunSummary) -> bool {
    session.user.role == UserRole::Admin || session.user.id == run.owner_id
}

/// Restricts the filter to the user's own runs, unless the user is an admin.
fn own(session: &UserSession, mut filter: RunFilter) -> RunFilter {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As it stands in the database since version 2.0.0.
    const STORED: &str = r#"{"image":"hub/job:1","pinned":"hub/job@sha256:ab","registry":3,"files":[{"input":"SCENE","url":"https://example.org/a.tif?*****","sha256":"ab"}],"json":{"N":5,"A":18446744073709551615,"B":0.1},"settings":{"HOST":"db"},"mounts":{"MAPS":"/data/maps"},"timeoutSeconds":60,"layout":"scale","platform":"linux/arm64"}"#;

    #[test]
    fn a_stored_request_is_read_and_written_as_before() {
        let spec: RunSpec = serde_json::from_str(STORED).expect("it can be read");
        assert_eq!((&*spec.pinned, spec.registry, spec.timeout_seconds), ("hub/job@sha256:ab", Some(3), Some(60)));
        assert_eq!((spec.layout, spec.platform.as_deref()), (ContainerLayout::Scale, Some("linux/arm64")));
        assert_eq!(spec.inputs.files.len(), 1);
        assert_eq!(spec.inputs.mounts["MAPS"].to_str(), Some("/data/maps"));
        assert_eq!(serde_json::to_string(&spec).expect("it is JSON"), STORED);
        let bare = r#"{"image":"a","pinned":"b","files":[],"json":{},"settings":{},"mounts":{},"layout":"silo"}"#;
        let spec: RunSpec = serde_json::from_str(bare).expect("it can be read");
        assert_eq!(serde_json::to_string(&spec).expect("it is JSON"), bare);
    }
}
