//! `/api/v1/runs` and `/api/v1/uploads`. `silo run --json` prints a [`RunReply`], too.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::WireWord;
use crate::catalog::RunCounts;
use crate::seed::metadata::SeedMetadata;

/// A run in a list; also the data of the events of its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummaryReply {
    /// A UUID of version 7, which sorts by time.
    pub id: String,
    /// Name of the user.
    pub owner: String,
    /// Name of the job.
    pub job: String,
    pub job_version: String,
    pub package_version: String,
    /// The image reference that was requested.
    pub image: String,
    /// See [`crate::catalog::RunStatus`].
    pub status: WireWord,
    /// See [`crate::catalog::RunPhase`].
    pub phase: WireWord,
    /// Percent, 0 to 100.
    pub progress: i64,
    /// The current or last event.
    pub message: String,
    pub error: Option<RunErrorNameReply>,
    /// Number of attempts that were started.
    pub attempts: i64,
    pub max_tries: i64,
    pub will_retry: bool,
    /// 0 to 9; runs with a higher priority start first.
    pub priority: i64,
    pub label: String,
    pub tags: Vec<String>,
    /// Id of its batch.
    pub batch: Option<String>,
    /// Row in the batch, from 1.
    pub batch_row: Option<i64>,
    pub rerun_of: Option<String>,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub finished: Option<DateTime<Utc>>,
    pub updated: DateTime<Utc>,
    /// When its logs and outputs were deleted.
    pub purged: Option<DateTime<Utc>>,
}

/// Name of a run's error, as in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunErrorNameReply {
    /// Stable name, for programs.
    pub name: String,
    /// `data`, `job` or `system`.
    pub category: Option<String>,
}

/// One page of runs, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPageReply {
    pub items: Vec<RunSummaryReply>,
    /// Cursor of the next page; null on the last.
    pub next: Option<String>,
    /// Number on all pages.
    pub total: u64,
    pub counts: RunCounts,
}

/// A file that the server has stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReply {
    /// Of the content, in lower-case hexadecimal digits.
    pub sha256: String,
    pub name: String,
    /// Bytes.
    pub size: i64,
}

/// A file that the user has uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownUploadReply {
    /// Of the content, in lower-case hexadecimal digits.
    pub sha256: String,
    pub name: String,
    /// Bytes.
    pub size: i64,
    pub created: DateTime<Utc>,
    /// When it was last uploaded, or used by a run.
    pub used: DateTime<Utc>,
}

/// An output file of one of the user's runs: `GET /api/v1/outputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierOutputReply {
    /// Id of the run.
    pub run: String,
    /// Name of the job.
    pub job: String,
    pub job_version: String,
    /// Label that the owner chose.
    pub label: Option<String>,
    pub finished: Option<DateTime<Utc>>,
    /// Name of the output.
    pub output: String,
    pub file: OutputFileReply,
}

/// What a run may ask for: `GET /api/v1/runs/limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunLimitsReply {
    /// Bytes of one uploaded file.
    pub upload_bytes: u64,
    /// Bytes of all files that a user has uploaded, and that runs of the user fetch.
    pub user_bytes: u64,
    /// Days after which an unused upload is removed.
    pub keep_uploads_days: u32,
    /// Folders of the server that files may be taken from.
    pub input_roots: Vec<PathBuf>,
    /// Folders of the server that may be mounted.
    pub mount_roots: Vec<PathBuf>,
    /// The longest time of an attempt, in seconds.
    pub timeout_seconds: u64,
    /// Attempts of a run that asks for no number of them.
    pub tries: u32,
    pub most_tries: u32,
    /// Priority of a run that asks for none.
    pub priority: u8,
    pub highest_priority: u8,
    /// Runs of one user that are queued or running.
    pub active_runs: u32,
    /// Characters.
    pub longest_label: usize,
    pub most_tags: usize,
    /// Characters.
    pub longest_tag: usize,
}

/// What a run would do: the reply to a request with `dry_run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRunReply {
    /// The image reference.
    pub image: String,
    pub digest: Option<String>,
    /// Container, inputs, resources and warnings.
    pub plan: Value,
    /// The same as a shell command, with secrets masked.
    pub docker_run: String,
}

/// The record of a run: what was run, with which inputs, its result, and whether it is retried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReply {
    pub id: String,
    pub job: RunJobReply,
    pub image: RunImageReply,
    /// The manifest at the time of the run.
    pub manifest: Value,
    /// The given inputs, secrets masked; files after they were read.
    pub given: RunInputsReply,
    /// The container, secrets masked: image, command, environment, binds and limits.
    pub container: Value,
    /// The container as a shell command line.
    pub docker_run: String,
    /// See [`crate::catalog::RunStatus`].
    pub status: WireWord,
    /// See [`crate::catalog::RunPhase`].
    pub phase: WireWord,
    /// Percent, 0 to 100.
    pub progress: u8,
    /// The current or last event.
    pub message: String,
    /// Error of the run, or of its last attempt.
    pub error: Option<RunErrorReply>,
    /// A sentence each.
    pub warnings: Vec<String>,
    pub attempts: Vec<AttemptReply>,
    /// Most attempts.
    pub max_tries: u32,
    pub will_retry: bool,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub finished: Option<DateTime<Utc>>,
    pub updated: DateTime<Utc>,
    /// Null before they are captured.
    pub outputs: Option<RunOutputsReply>,
    /// The request, without secrets.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub asked: Value,
    /// The run's folder on the executing host.
    pub folder: Option<PathBuf>,
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// 0 to 9; runs with a higher priority start first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Id of its batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
}

/// Name and versions of a run's job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunJobReply {
    pub name: String,
    pub job_version: String,
    pub package_version: String,
}

/// The requested image, and the one that it resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImageReply {
    pub reference: String,
    pub digest: Option<String>,
    /// Such as `linux/amd64`.
    pub platform: Option<String>,
}

/// Inputs of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInputsReply {
    pub files: Vec<GivenInputReply>,
    /// By input, with the manifest's types.
    pub json: BTreeMap<String, Value>,
    /// By setting; secrets are masked.
    pub settings: BTreeMap<String, String>,
    /// Folders of the host, by mount.
    pub mounts: BTreeMap<String, String>,
}

/// A file input of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenInputReply {
    pub name: String,
    pub files: Vec<GivenFileReply>,
}

/// A file of an input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenFileReply {
    /// Name in the container.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
    pub media_type: Option<String>,
    pub modified: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// URL to download it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<DateTime<Utc>>,
    /// Of the output of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<RunProductReply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<SeedMetadata>,
    /// Where it is stored: `uploads`, `runs`, `server`, `web` or `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WireWord>,
}

/// The run that a file is an output of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProductReply {
    /// Id of the run.
    pub run: String,
    /// Name and version of the job.
    pub job: String,
    pub output: String,
}

/// A named error of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunErrorReply {
    /// Stable name, for programs.
    pub name: String,
    pub title: String,
    pub description: String,
    /// `data`, `job` or `system`.
    pub category: WireWord,
    /// Exit code of the process, if it had one.
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    /// Whether it ran out of memory.
    pub oom: bool,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

/// An attempt of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReply {
    /// From 1.
    pub number: u32,
    pub started: DateTime<Utc>,
    pub finished: Option<DateTime<Utc>>,
    /// Host of the engine.
    pub host: Option<String>,
    /// Product and version of the engine.
    pub engine: Option<String>,
    pub container_id: Option<String>,
    pub phases: Vec<PhaseReply>,
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    /// Whether it ran out of memory.
    pub oom: bool,
    pub timed_out: bool,
    pub error: Option<RunErrorReply>,
    /// Bytes printed, including those beyond the log limit.
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    /// Whether output was beyond the log limit.
    pub truncated: bool,
    /// The most memory that its container was seen to use, in bytes; `None`: it was not measured.
    #[serde(default)]
    pub peak_memory: Option<u64>,
    /// CPU time until the last measurement, of all cores.
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
}

/// A phase of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReply {
    /// See [`crate::catalog::RunPhase`].
    pub name: WireWord,
    pub started: DateTime<Utc>,
    pub finished: Option<DateTime<Utc>>,
    pub message: Option<String>,
}

/// Outputs of a run, as in its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOutputsReply {
    /// One entry for each file output of the manifest, in its order, also without files.
    pub files: Vec<RunOutputReply>,
    /// By the name of the JSON output.
    pub json: Map<String, Value>,
    /// Files that belong to no output.
    pub extra: Vec<OutputFileReply>,
    /// Metadata that the job wrote for its inputs, by input name.
    pub input_metadata: BTreeMap<String, SeedMetadata>,
    /// Total length of all files, hard links counted once.
    pub bytes: u64,
    /// Violations of the manifest.
    pub problems: Vec<OutputProblemReply>,
    /// A sentence each.
    pub warnings: Vec<String>,
}

/// The files of a file output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutputReply {
    pub name: String,
    pub files: Vec<OutputFileReply>,
}

/// An output file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputFileReply {
    /// Relative to the output directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits; absent for files of no output, or if a limit is exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// From the manifest, or by file name extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<SeedMetadata>,
    /// Path of the file's URL; only in [`OutputListReply`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A violation of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputProblemReply {
    /// Stable, such as `missing-required-output`.
    pub code: WireWord,
    /// Name of the output, or path of the file.
    pub subject: String,
    /// A sentence.
    pub message: String,
}

/// What a run left: `GET /api/v1/runs/{id}/outputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputListReply {
    pub files: Vec<RunOutputReply>,
    /// By the name of the JSON output.
    pub json: Map<String, Value>,
    /// Files that belong to no output.
    pub extra: Vec<OutputFileReply>,
}

/// Lines of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLinesReply {
    pub items: Vec<LogLineReply>,
    /// Number of lines in the log.
    pub total: u64,
    /// Number of lines in the log that contain the text of `grep`; null without one.
    pub hits: Option<u64>,
    /// `fromLine` of the next lines that were asked for; null if there are none.
    pub next: Option<u64>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLineReply {
    /// From 1.
    pub line: u64,
    /// When it was printed; null if the log does not know.
    pub time: Option<DateTime<Utc>>,
    /// `stdout` or `stderr` in the log `combined`, else null.
    pub stream: Option<String>,
    /// As printed, with escapes of terminals.
    pub text: String,
    /// Number of bytes that are left out at its end.
    pub cut: u64,
}

/// A piece of a log: the data of the events of its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPieceReply {
    pub text: String,
}
