//! `/api/v1/scans`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::WireWord;
use crate::catalog::ScanCounts;

/// A scan; also the data of the events of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanReply {
    pub id: i64,
    pub registry_id: i64,
    /// The registry's name.
    pub registry: String,
    /// See [`crate::catalog::ScanState`].
    pub state: WireWord,
    /// See [`crate::catalog::ScanTrigger`].
    pub trigger: WireWord,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// How often a worker began it; more than once after a crash.
    pub attempts: i64,
    pub counts: ScanCountsReply,
    /// An estimate, in seconds; null if unknown.
    pub remaining_seconds: Option<i64>,
    /// Why it failed, was partial or was cancelled.
    pub error: Option<String>,
    /// Further notes, a sentence or two each.
    pub notes: Vec<String>,
}

/// The counts, with tags by group of outcomes: the four add up to `tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanCountsReply {
    #[serde(flatten)]
    pub counts: ScanCounts,
    pub tags_seed: u64,
    pub tags_not_seed: u64,
    pub tags_with_problems: u64,
    pub tags_passed_over: u64,
}

/// The number of a scan's problems by code: `GET /api/v1/scans/{id}/problem-counts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanProblemCountsReply {
    /// The most frequent first.
    pub items: Vec<ScanProblemCountReply>,
}

/// How many problems with one code a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanProblemCountReply {
    /// One of [`crate::catalog::SCAN_PROBLEM_CODES`].
    pub code: String,
    pub count: u64,
}

/// A problem that a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanProblemReply {
    /// One of [`crate::catalog::SCAN_PROBLEM_CODES`].
    pub code: String,
    /// The repository concerned; empty for the whole registry.
    pub repository: String,
    /// The tag concerned; empty for the whole repository.
    pub tag: String,
    pub message: String,
}
