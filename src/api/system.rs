//! `/api/v1/system`: the state of the installation, for admins.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::WireWord;

/// Of `GET /api/v1/system`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemReply {
    /// Version of the program.
    pub version: WireWord,
    pub started: DateTime<Utc>,
    /// `SQLite` or `PostgreSQL`.
    pub database: WireWord,
    /// Revision of the catalogue.
    pub catalogue_revision: i64,
    pub index: SystemIndexReply,
    pub scans: SystemScansReply,
    pub runs: SystemRunsReply,
    pub streams: SystemStreamsReply,
    pub disks: Vec<SystemDiskReply>,
    /// The container engine; null if it cannot be used.
    pub engine: Option<SystemEngineReply>,
    /// Why there is no container engine.
    pub engine_problem: Option<String>,
}

/// The search index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemIndexReply {
    /// Whether searches are answered.
    pub ready: bool,
    /// Revision of the catalogue that searches see.
    pub revision: i64,
    /// Revisions that it is behind.
    pub lag: i64,
}

/// Number of active scans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemScansReply {
    pub queued: u64,
    pub running: u64,
}

/// Number of active runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemRunsReply {
    pub accepted: u64,
    pub running: u64,
}

/// Streaming responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemStreamsReply {
    pub open: usize,
    /// `http.streams`.
    pub most: usize,
}

/// The disk of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemDiskReply {
    /// `data` or `runs`.
    pub name: WireWord,
    pub folder: String,
    /// Bytes.
    pub free: u64,
    /// Bytes.
    pub total: u64,
}

/// The container engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemEngineReply {
    /// As in `Docker Engine 28.0.1`.
    pub name: String,
    pub address: String,
    /// As in `linux/amd64`.
    pub platform: String,
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
}

/// The result of one check of `silo doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemFindingReply {
    /// The subject in a few words: `database`.
    pub about: String,
    /// `good`, `notice` or `bad`.
    pub verdict: WireWord,
    /// What was found.
    pub text: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}

/// An option of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredOptionReply {
    /// Such as `scan.workers`.
    pub option: String,
    /// As TOML; a secret that is set is masked.
    pub value: String,
    /// The file and line, variable or flag that set it; null for the default.
    pub source: Option<String>,
}

/// Of `GET /api/v1/system/history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadHistoryReply {
    /// Seconds between two samples.
    pub seconds: u64,
    /// Oldest first; at most those of the last hour.
    pub items: Vec<LoadSampleReply>,
}

/// Load of one process in one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadSampleReply {
    /// The end of the interval.
    pub at: DateTime<Utc>,
    pub requests_per_second: f64,
    /// Time that 95 of 100 searches took at most; null without a search.
    pub search_seconds_p95: Option<f64>,
    /// Requests to registries.
    pub scan_requests_per_second: f64,
    /// Runs that wait; null while the database was unreachable.
    pub runs_queued: Option<u64>,
}
