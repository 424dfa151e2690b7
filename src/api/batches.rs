//! `/api/v1/batches`: runs that one request submitted.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::WireWord;
use crate::catalog::RunCounts;

/// A batch: one job, many runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchReply {
    pub id: String,
    /// Number of its runs.
    pub total: u64,
    pub counts: RunCounts,
    /// Name of the user.
    #[serde(default)]
    pub owner: String,
    /// Name of the job.
    #[serde(default)]
    pub job: String,
    #[serde(default)]
    pub job_version: String,
    #[serde(default)]
    pub package_version: String,
    /// The image reference that was requested.
    #[serde(default)]
    pub image: String,
    /// The label of all its runs; empty if they differ.
    #[serde(default)]
    pub label: String,
    #[serde(default)]
    pub created: DateTime<Utc>,
    /// Errors of its failed runs, the most frequent first.
    #[serde(default)]
    pub errors: Vec<BatchErrorReply>,
}

/// Failed runs of a batch that have the same error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchErrorReply {
    /// Stable name, for programs.
    pub name: String,
    /// `data`, `job` or `system`.
    pub category: Option<String>,
    /// Number of runs.
    pub count: u64,
    /// Id of one of them.
    pub example: String,
}

/// What a batch would do: the reply to a request with `dry_run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBatchReply {
    /// The image reference.
    pub image: String,
    pub digest: Option<String>,
    /// Number of rows.
    pub rows: usize,
}

/// The values that one run of a batch gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchOutputReply {
    /// From 1.
    pub row: i64,
    /// Id of the run.
    pub run: String,
    /// See [`crate::catalog::RunStatus`].
    pub status: WireWord,
    /// Name of the error.
    pub error: Option<String>,
    /// By the name of the JSON output.
    pub json: Map<String, Value>,
}
