//! Runs as lists show them. The complete record of a run is the engine's.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::UserId;

/// The longest wait before another attempt.
pub const LONGEST_RETRY_WAIT: TimeDelta = TimeDelta::minutes(15);

/// Status of a run: exactly the words of OGC API – Processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Accepted,
    Running,
    Successful,
    Failed,
    Dismissed,
}

impl RunStatus {
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Running, Self::Successful, Self::Failed, Self::Dismissed];

    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Dismissed => "dismissed",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the run has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Dismissed)
    }
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    Queued,
    Pull,
    Stage,
    Main,
    Capture,
    Cancelling,
    /// Waiting for the next attempt.
    RetryWait,
    Done,
}

impl RunPhase {
    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pull => "pull",
            Self::Stage => "stage",
            Self::Main => "main",
            Self::Capture => "capture",
            Self::Cancelling => "cancelling",
            Self::RetryWait => "retry-wait",
            Self::Done => "done",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<Self> {
        use RunPhase::{Cancelling, Capture, Done, Main, Pull, Queued, RetryWait, Stage};
        [Queued, Pull, Stage, Main, Capture, Cancelling, RetryWait, Done].into_iter().find(|it| it.as_str() == word)
    }

    /// Progress in percent at the start of this phase.
    pub fn progress(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Pull | Self::RetryWait => 5,
            Self::Stage => 15,
            Self::Main => 20,
            Self::Capture | Self::Cancelling => 95,
            Self::Done => 100,
        }
    }
}

/// A run as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// A UUID of version 7, which sorts by time (RFC 9562 §5.7).
    pub id: String,
    pub owner_id: UserId,
    pub owner: String,
    pub batch_id: Option<String>,
    /// Row in the batch, from 1.
    pub batch_row: Option<i64>,
    pub rerun_of: Option<String>,
    pub label: String,
    pub tags: Vec<String>,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    /// The image reference that was requested.
    pub image: String,
    pub status: RunStatus,
    pub phase: RunPhase,
    /// In percent, 0 to 100.
    pub progress: i64,
    pub message: String,
    pub error_name: Option<String>,
    /// `data`, `job` or `system`.
    pub error_category: Option<String>,
    /// 0 to 9; runs with a higher priority start first.
    pub priority: i64,
    /// Number of attempts that were started.
    pub attempts: i64,
    pub max_tries: i64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// When its logs and outputs were deleted.
    pub purged_at: Option<DateTime<Utc>>,
}

/// Filter of runs. Fields that are not set do not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub owner: Option<UserId>,
    /// The owner's name.
    pub owner_name: Option<String>,
    /// Any of these; empty for any status.
    pub status: Vec<RunStatus>,
    pub job: Option<String>,
    pub job_version: Option<String>,
    pub image: Option<String>,
    /// All of these.
    pub tags: Vec<String>,
    pub batch: Option<String>,
    /// The error's name.
    pub error: Option<String>,
    pub created_after: Option<DateTime<Utc>>,
    pub created_before: Option<DateTime<Utc>>,
}

/// Number of runs by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCounts {
    pub accepted: u64,
    pub running: u64,
    pub successful: u64,
    pub failed: u64,
    pub dismissed: u64,
}

impl RunCounts {
    /// Number of all runs.
    pub fn total(self) -> u64 {
        self.accepted + self.running + self.successful + self.failed + self.dismissed
    }

    /// The count of one status.
    pub fn of(&mut self, status: RunStatus) -> &mut u64 {
        match status {
            RunStatus::Accepted => &mut self.accepted,
            RunStatus::Running => &mut self.running,
            RunStatus::Successful => &mut self.successful,
            RunStatus::Failed => &mut self.failed,
            RunStatus::Dismissed => &mut self.dismissed,
        }
    }
}

/// A batch as lists show it: the runs of one submission, one a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSummary {
    /// A UUID of version 7, which sorts by time.
    pub id: String,
    pub owner: String,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    /// The image reference that was requested.
    pub image: String,
    /// The label of all runs; empty if they differ.
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub counts: RunCounts,
    /// Of failed runs, the most frequent first.
    pub errors: Vec<BatchErrorCount>,
}

/// Failed runs of a batch that have the same error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchErrorCount {
    pub name: String,
    /// `data`, `job` or `system`.
    pub category: Option<String>,
    pub count: u64,
    /// Id of one of the runs.
    pub example: String,
}

/// A file that a user uploaded as an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedFile {
    /// Of the content, in lower-case hexadecimal digits.
    pub sha256: String,
    pub owner_id: UserId,
    /// File name, as it was sent.
    pub name: String,
    /// Bytes.
    pub size: i64,
    pub created_at: DateTime<Utc>,
    pub used_at: DateTime<Utc>,
}
