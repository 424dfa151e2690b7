//! Jobs and job versions: what the images of all registries come to, seen by algorithm.

use super::{ImageId, JobId, JobVersionId};

/// One job: all images whose manifests carry the same `job.name`. Texts are those of its latest image.
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
    /// The image whose texts the job shows: of the highest versions; among equals the one with the lowest id.
    pub image_id: ImageId,
    /// What `docker pull` takes for it.
    pub reference: String,
    /// Whether its manifest has no errors.
    pub valid: bool,
}

/// One version of a job's algorithm: all images with the same `job.name` and `job.jobVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobVersion {
    pub id: JobVersionId,
    pub job_id: JobId,
    pub job_name: String,
    pub job_version: String,
    pub latest_package_version: String,
}
