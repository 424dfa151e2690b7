//! `/api/v1/jobs`, and origins of jobs' images, which other replies have, too.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::seed::comparison::ManifestChange;

/// A job, with fields of the image that represents it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReply {
    pub id: i64,
    pub name: String,
    pub title: String,
    pub description: String,
    pub job_version: String,
    pub package_version: String,
    pub maintainer: String,
    pub email: String,
    pub organization: String,
    /// What `docker pull` takes for the latest image.
    pub image: String,
    pub image_id: i64,
    /// Whether that image's manifest has no errors.
    pub valid: bool,
    /// Registry and namespace of that image.
    pub origin: OriginReply,
    /// Groups by maintainer, the one that represents the job first; only the first few.
    pub groups: Vec<JobGroupReply>,
    /// Number of all groups.
    pub group_count: u64,
}

/// A job with its versions: `GET /api/v1/jobs/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDetailReply {
    #[serde(flatten)]
    pub job: JobReply,
    pub versions: Vec<JobVersionReply>,
}

/// A version of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobVersionReply {
    pub id: i64,
    pub job_version: String,
    /// The latest one.
    pub package_version: String,
    /// Number of images; `/api/v1/images?job=…&jobVersion=…` lists them.
    pub images: u64,
    /// Whether any of them represents the job.
    pub representative: bool,
    /// Highest package version first.
    pub packages: Vec<JobPackageReply>,
}

/// The images with the same job version and package version, described by one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobPackageReply {
    pub package_version: String,
    /// Number of images.
    pub images: u64,
    /// What `docker pull` takes.
    pub image: String,
    pub image_id: i64,
    pub digest: String,
    /// Such as `linux/amd64`.
    pub platforms: Vec<String>,
    /// Bytes to pull, compressed.
    pub size: Option<u64>,
    pub built_at: Option<DateTime<Utc>>,
    /// When a scan first found the tag.
    pub first_seen_at: DateTime<Utc>,
    /// When the tag appeared or last moved.
    pub changed_at: DateTime<Utc>,
    /// Whether its manifest has no errors.
    pub valid: bool,
    /// Registry and namespace.
    pub origin: OriginReply,
}

/// What differs in the manifests of two versions: `GET /api/v1/jobs/{id}/compare/{versions}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobComparisonReply {
    pub old: ComparedImageReply,
    pub new: ComparedImageReply,
    /// By section. The standard's defaults are filled in before.
    pub changes: Vec<ManifestChange>,
}

/// One of two images that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedImageReply {
    pub job_version: String,
    pub package_version: String,
    /// What `docker pull` takes.
    pub image: String,
    pub image_id: i64,
    pub digest: String,
}

/// One namespace of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginReply {
    /// Null while the database is unreachable.
    pub registry_id: Option<i64>,
    /// The registry's name, as its admin chose it.
    pub registry: String,
    /// Host and port for `docker pull`.
    pub host: String,
    /// The path of repositories before the last slash; may be empty.
    pub namespace: String,
    /// Whether an admin has marked it as verified.
    pub verified: bool,
    /// Whether it represents the job: the job shows the latest image of such origins.
    pub representative: bool,
}

/// The images of a job from one origin, with fields of the latest one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobOriginReply {
    pub id: i64,
    pub group_id: i64,
    #[serde(flatten)]
    pub origin: OriginReply,
    #[serde(flatten)]
    pub latest: LatestImageReply,
}

/// Fields of the latest image of an origin or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatestImageReply {
    pub title: String,
    pub maintainer: String,
    pub email: String,
    pub organization: String,
    pub job_version: String,
    pub package_version: String,
    /// What `docker pull` takes.
    pub image: String,
    pub image_id: i64,
    /// Whether its manifest has no errors.
    pub valid: bool,
}

/// The origins of a job with the same maintainer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobGroupReply {
    pub id: i64,
    /// Whether it represents the job.
    pub representative: bool,
    /// Whether one of its origins is verified.
    pub verified: bool,
    #[serde(flatten)]
    pub latest: LatestImageReply,
    /// Origin of the latest image.
    pub origin: OriginReply,
    pub origin_count: u64,
    /// The first origins; only in the detail view of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<JobOriginReply>>,
}
