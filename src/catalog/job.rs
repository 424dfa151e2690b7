//! Jobs and job versions: the images of all registries, grouped by algorithm.

use chrono::{DateTime, Utc};

use super::{ImageId, ImageOrigin, JobGroup, JobId, JobVersionId};

/// One job: all images whose manifests have the same `job.name`. Texts and versions are those of the latest of the
/// images that represent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueJob {
    pub id: JobId,
    pub name: String,
    pub latest_job_version: String,
    pub latest_package_version: String,
    pub title: String,
    pub maintainer: String,
    pub email: String,
    pub maint_org: String,
    pub description: String,
}

/// A job as a list of results shows it: with its latest image, without its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    pub job: CatalogueJob,
    /// The image whose texts the job shows: of the images that represent the job, the one with the highest versions;
    /// among equals, the lowest id.
    pub image_id: ImageId,
    /// The image's reference for `docker pull`.
    pub reference: String,
    /// Whether the image's manifest has no errors.
    pub valid: bool,
    /// The origin of that image.
    pub origin: ImageOrigin,
    /// The first groups of origins with the same maintainer; the group that represents the job comes first.
    pub groups: Vec<JobGroup>,
    /// Number of all groups.
    pub group_count: u64,
}

/// How much the catalogue has of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSize {
    pub job_id: JobId,
    /// Number of job versions.
    pub versions: u64,
    /// Number of images of all versions, in all registries.
    pub images: u64,
}

/// One version of a job's algorithm: all images with the same `job.name` and `job.jobVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobVersion {
    pub id: JobVersionId,
    pub job_id: JobId,
    pub job_name: String,
    pub job_version: String,
    /// The highest package version among the images that represent the job, if any of them has this job version; else
    /// among all images with it.
    pub latest_package_version: String,
}

/// A version as a list of versions shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobVersionSummary {
    pub version: JobVersion,
    /// Number of its images.
    pub images: u64,
    /// Whether any of them represents the job.
    pub represents: bool,
    /// Highest package version first.
    pub packages: Vec<JobPackageSummary>,
}

/// The images of a job with the same job version and package version, described by one of them: one that represents the
/// job, if any does; among equals, the lowest id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPackageSummary {
    pub package_version: String,
    /// Number of images.
    pub images: u64,
    pub image_id: ImageId,
    /// Reference for `docker pull`.
    pub reference: String,
    pub origin: ImageOrigin,
    pub digest: String,
    pub platforms: Vec<String>,
    /// Compressed bytes to pull, if known.
    pub size: Option<u64>,
    pub built_at: Option<DateTime<Utc>>,
    /// When a scan first saw the tag.
    pub first_seen_at: DateTime<Utc>,
    /// When the tag appeared or last moved.
    pub changed_at: DateTime<Utc>,
    /// Whether the manifest has no errors.
    pub valid: bool,
}

/// A place of an image: one tag of one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlace {
    pub image_id: ImageId,
    /// Reference for `docker pull`.
    pub reference: String,
    pub digest: String,
    pub origin: ImageOrigin,
}
