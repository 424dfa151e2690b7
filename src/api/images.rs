//! `/api/v1/images`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jobs::OriginReply;
use crate::seed::ManifestProblem;

/// An image in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReply {
    pub id: i64,
    /// What `docker pull` takes.
    pub reference: String,
    pub digest: String,
    /// Name of its job.
    pub job: String,
    pub job_version: String,
    pub package_version: String,
    pub title: String,
    pub maintainer: String,
    pub organization: String,
    pub registry_id: i64,
    pub job_id: i64,
    pub job_version_id: i64,
    /// Registry and namespace.
    pub origin: OriginReply,
    pub first_seen_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    /// Whether its manifest has no errors.
    pub valid: bool,
}

/// An image with its manifest: `GET /api/v1/images/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDetailReply {
    pub id: i64,
    /// What `docker pull` takes.
    pub reference: String,
    pub digest: String,
    /// Such as `linux/amd64`.
    pub platforms: Vec<String>,
    /// Bytes to pull, compressed.
    pub size: Option<u64>,
    pub built_at: Option<DateTime<Utc>>,
    pub registry_id: i64,
    pub job_id: i64,
    pub job_version_id: i64,
    /// Registry and namespace.
    pub origin: OriginReply,
    pub first_seen_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    /// Earlier digests of the tag, newest first.
    pub history: Vec<PastDigestReply>,
    /// Whether its manifest has no errors.
    pub valid: bool,
    /// All problems that validation found in the manifest.
    pub problems: Vec<ManifestProblem>,
    /// The manifest, with the standard's defaults.
    pub manifest: Value,
}

/// An earlier digest of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastDigestReply {
    pub digest: String,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
}
