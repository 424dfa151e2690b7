//! Jobs and job versions: what the images of all registries come to, seen by algorithm.

use super::{ImageId, JobGroup, JobId, JobVersionId, Origin};

/// One job: all images whose manifests carry the same `job.name`. Texts and
/// versions are those of the latest image of those that represent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
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
    pub job: Job,
    /// The image whose texts the job shows: of those that represent it, of the highest versions; among equals the one with
    /// the lowest id.
    pub image_id: ImageId,
    /// What `docker pull` takes for it.
    pub reference: String,
    /// Whether its manifest has no errors.
    pub valid: bool,
    /// Where that image is from.
    pub origin: Origin,
    /// By maintainer, the one that represents the job first; a few of them.
    pub groups: Vec<JobGroup>,
    /// How many there are.
    pub group_count: u64,
}

/// One version of a job's algorithm: all images with the same `job.name` and `job.jobVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobVersion {
    pub id: JobVersionId,
    pub job_id: JobId,
    pub job_name: String,
    pub job_version: String,
    /// Of the images that represent the job, if any of them has this version; else of all that have it.
    pub latest_package_version: String,
}

/// A version with what a list of versions shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobVersionSummary {
    pub version: JobVersion,
    /// How many images it has.
    pub images: u64,
    /// Any of them represents the job.
    pub represents: bool,
}
