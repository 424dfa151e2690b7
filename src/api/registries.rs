//! `/api/v1/registries`.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

use super::{WireWord, exposed, exposed_if_given};

/// Of `POST /api/v1/registries`. Fields mean the same as in [`RegistryReply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryAddForm {
    pub name: String,
    pub url: String,
    /// Found out if null.
    pub kind: Option<String>,
    #[serde(default)]
    pub org: String,
    #[serde(default)]
    pub username: String,
    #[serde(default, serialize_with = "exposed")]
    pub password: SecretString,
    /// Certificates of authorities (PEM) to trust for it; empty for the server's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// A client certificate and those between it and its authority (PEM); empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_certificate: String,
    /// The client certificate's key (PEM).
    #[serde(default, serialize_with = "exposed", skip_serializing_if = "is_empty")]
    pub client_key: SecretString,
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub exclude: Vec<String>,
    #[serde(default)]
    pub repositories: Vec<String>,
    #[serde(default)]
    pub schedule: String,
    #[serde(default)]
    pub verified: bool,
    #[serde(default)]
    pub verified_namespaces: Vec<String>,
    /// `public` if null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<String>,
}

/// Of `PATCH /api/v1/registries/{id}`. A merge patch (RFC 7396): absent members keep their values, null removes them, as
/// an empty value does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryChangeForm {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none",
        serialize_with = "exposed_if_given"
    )]
    pub password: Option<SecretString>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none",
        serialize_with = "exposed_if_given"
    )]
    pub client_key: Option<SecretString>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub repositories: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub verified_namespaces: Option<Vec<String>>,
    /// This and the following members are for admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub member_groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub maintainers: Option<Vec<String>>,
}

/// Of `POST /api/v1/registry-kinds`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryKindForm {
    pub url: String,
}

/// The kind of the registry at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryKindReply {
    /// See [`crate::catalog::RegistryKind`].
    pub kind: WireWord,
}

/// A registry that answers, and was neither added nor changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCheckReply {
    /// See [`crate::catalog::RegistryKind`].
    pub kind: WireWord,
    /// Of pull references; empty for images on disk.
    pub host: String,
    /// Reasons why scans will not be complete.
    pub notes: Vec<String>,
}

/// What goes when a registry is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLossReply {
    pub images: u64,
    /// Jobs without images in other registries.
    pub jobs: u64,
}

/// Of `POST /api/v1/registries/{id}/hook`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookForm {
    /// Secret with which notifications must be signed, as GitHub does; empty for none.
    #[serde(default, serialize_with = "exposed")]
    pub secret: SecretString,
}

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
    /// Seed images in the catalogue.
    #[serde(default)]
    pub images: u64,
    /// Repositories whose last scan failed.
    #[serde(default)]
    pub failing_repositories: u64,
    /// Whether an admin has verified the whole registry.
    pub verified: bool,
    /// Namespaces that an admin has verified; the empty one stands for repositories without a slash.
    pub verified_namespaces: Vec<String>,
    /// Who sees it: see [`crate::catalog::RegistryVisibility`].
    #[serde(default)]
    pub visibility: WireWord,
    /// Names of the users that see it if it is private. For admins only, as are the following members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<String>>,
    /// Names of the groups whose users see it if it is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_groups: Option<Vec<String>>,
    /// Names of the users who may scan it, change its schedule and credentials, and make its hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintainers: Option<Vec<String>>,
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
    #[serde(serialize_with = "exposed")]
    pub url: SecretString,
    /// How to set it up at the registry; several lines.
    #[serde(serialize_with = "exposed")]
    pub advice: SecretString,
}

/// A member that is present; null becomes the empty value.
fn given<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(from).map(|value| Some(value.unwrap_or_default()))
}

fn is_empty(secret: &SecretString) -> bool {
    secret.expose_secret().is_empty()
}
