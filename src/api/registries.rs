//! `/api/v1/registries`.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{WireWord, told_once};

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryReply {
    pub id: i64,
    pub name: String,
    /// Base URL, or path of an image layout or archive.
    pub url: String,
    /// See [`crate::catalog::RegistryKind`].
    pub kind: WireWord,
    /// First part of the path of all repositories that are scanned; empty for all.
    pub org: String,
    /// For admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub has_password: bool,
    /// Whether it has a hook for notifications.
    pub has_hook: bool,
    pub has_client_certificate: bool,
    /// SHA-256 fingerprints of its own CA certificates.
    pub ca_fingerprints: Vec<String>,
    /// Patterns of repositories to scan.
    pub include: Vec<String>,
    /// Patterns of repositories to pass over.
    pub exclude: Vec<String>,
    /// Repositories to scan, for registries that do not list them.
    pub repositories: Vec<String>,
    /// Five cron fields in UTC, or `off`; empty for the server's.
    pub schedule: String,
    pub created_at: DateTime<Utc>,
    pub next_scan_at: Option<DateTime<Utc>>,
    pub last_scan: Option<LastScanReply>,
    /// Whether an admin has verified the whole registry.
    pub verified: bool,
    /// Namespaces that an admin has verified; the empty one stands for repositories without a slash.
    pub verified_namespaces: Vec<String>,
    /// Notes for its admin; only in replies to adding and changing it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The last scan of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastScanReply {
    pub id: i64,
    /// See [`crate::catalog::ScanState`].
    pub state: WireWord,
    pub finished_at: Option<DateTime<Utc>>,
    /// Number of tags that have vanished, and whose removal an admin must confirm.
    pub held: u64,
}

/// A repository as of the last scans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryReply {
    pub name: String,
    /// Number of its tags that name an image.
    pub tags: i64,
    /// When its tags were last listed completely.
    pub listed_at: Option<DateTime<Utc>>,
    /// Number of failed scans of it since, in a row.
    pub failures: i64,
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the last of them failed; empty if none did.
    pub failure: String,
}

/// The address for a registry's notifications. Only this reply contains it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HookReply {
    #[serde(serialize_with = "told_once")]
    pub url: SecretString,
    /// How to set it up at the registry; several lines.
    #[serde(serialize_with = "told_once")]
    pub advice: SecretString,
}
