//! Runs as in lists.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::catalog::RunSummary;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunView {
    id: String,
    owner: String,
    job: String,
    job_version: String,
    package_version: String,
    image: String,
    status: &'static str,
    phase: &'static str,
    /// 0 to 100.
    progress: i64,
    message: String,
    error: Option<ErrorView>,
    attempts: i64,
    max_tries: i64,
    will_retry: bool,
    priority: i64,
    label: String,
    tags: Vec<String>,
    batch: Option<String>,
    batch_row: Option<i64>,
    rerun_of: Option<String>,
    created: DateTime<Utc>,
    started: Option<DateTime<Utc>>,
    finished: Option<DateTime<Utc>>,
    updated: DateTime<Utc>,
    /// When its logs and outputs were deleted.
    purged: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct ErrorView {
    name: String,
    category: Option<String>,
}

impl From<RunSummary> for RunView {
    fn from(run: RunSummary) -> Self {
        use crate::catalog::RunPhase;
        Self {
            will_retry: run.phase == RunPhase::RetryWait,
            id: run.id,
            owner: run.owner,
            job: run.job_name,
            job_version: run.job_version,
            package_version: run.package_version,
            image: run.image,
            status: run.status.as_str(),
            phase: run.phase.as_str(),
            progress: run.progress,
            message: run.message,
            error: run.error_name.map(|name| ErrorView { name, category: run.error_category }),
            attempts: run.attempts,
            max_tries: run.max_tries,
            priority: run.priority,
            label: run.label,
            tags: run.tags,
            batch: run.batch_id,
            batch_row: run.batch_row,
            rerun_of: run.rerun_of,
            created: run.created_at,
            started: run.started_at,
            finished: run.finished_at,
            updated: run.updated_at,
            purged: run.purged_at,
        }
    }
}
