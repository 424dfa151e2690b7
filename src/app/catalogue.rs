//! The catalogue: images, jobs, job versions, manifests.

use super::{App, Error, Result};
use crate::catalog::{
    Image, ImageFilter, ImageId, ImageOrder, Job, JobFilter, JobId, JobSummary, JobVersion, JobVersionId, ListPage,
    NameOrder, PastDigest,
};
use crate::store::JobVersionWithImages;

/// A job with its versions, highest first, and their images.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDetail {
    pub job: Job,
    pub versions: Vec<JobVersionWithImages>,
}

impl App {
    /// All images, by id.
    pub async fn image_list(&self) -> Result<Vec<Image>> {
        Ok(self.0.store.image_list().await?)
    }

    /// A page of images.
    pub async fn image_page(&self, filter: &ImageFilter, page: &ListPage<ImageOrder>) -> Result<Vec<Image>> {
        Ok(self.0.store.image_page(filter, page).await?)
    }

    /// One image.
    pub async fn image_get(&self, id: ImageId) -> Result<Image> {
        self.0.store.image_get(id).await?.ok_or_else(|| Error::NotFound("No image found with that ID".to_owned()))
    }

    /// Where an image's tag pointed before, newest first.
    pub async fn image_history(&self, id: ImageId) -> Result<Vec<PastDigest>> {
        /// Tags such as `latest` may move every day.
        const MOST: u32 = 100;
        Ok(self.0.store.image_history(id, MOST).await?)
    }

    /// All jobs, by id.
    pub async fn job_list(&self) -> Result<Vec<JobDetail>> {
        let jobs = self.0.store.job_list().await?;
        Ok(with_versions(jobs, self.0.store.job_version_list(None).await?))
    }

    /// A page of jobs, each with its latest image.
    pub async fn job_page(&self, filter: &JobFilter, page: &ListPage<NameOrder>) -> Result<Vec<JobSummary>> {
        Ok(self.0.store.job_page(filter, page).await?)
    }

    /// One job with its latest image, and its versions, highest first, each with how many images it has.
    pub async fn job_summary_get(&self, id: JobId) -> Result<(JobSummary, Vec<(JobVersion, u64)>)> {
        let summary = self.0.store.job_summary_list_by_ids(&[id]).await?.pop();
        let summary = summary.ok_or_else(|| Error::NotFound("No job found with that ID".to_owned()))?;
        Ok((summary, self.0.store.job_image_counts(id).await?))
    }

    /// One job.
    pub async fn job_get(&self, id: JobId) -> Result<JobDetail> {
        let none = || Error::NotFound("No job found with that ID".to_owned());
        self.job_list_by_ids(&[id]).await?.pop().ok_or_else(none)
    }

    /// Jobs in the order of `ids`; those that are gone are left out.
    pub(super) async fn job_list_by_ids(&self, ids: &[JobId]) -> Result<Vec<JobDetail>> {
        let jobs = self.0.store.job_list_by_ids(ids).await?;
        Ok(with_versions(jobs, self.0.store.job_version_list(Some(ids)).await?))
    }

    /// All job versions, by id.
    pub async fn job_version_list(&self) -> Result<Vec<JobVersionWithImages>> {
        let mut versions = self.0.store.job_version_list(None).await?;
        versions.sort_by_key(|version| version.job_version.id);
        Ok(versions)
    }

    /// One job version.
    pub async fn job_version_get(&self, id: JobVersionId) -> Result<JobVersionWithImages> {
        let known = self.0.store.job_version_get(id).await?;
        known.ok_or_else(|| Error::NotFound("No job version found with that ID".to_owned()))
    }
}

fn with_versions(jobs: Vec<Job>, versions: Vec<JobVersionWithImages>) -> Vec<JobDetail> {
    let mut by_job: std::collections::HashMap<JobId, Vec<JobVersionWithImages>> = std::collections::HashMap::new();
    for version in versions {
        by_job.entry(version.job_version.job_id).or_default().push(version);
    }
    jobs.into_iter()
        .map(|job| {
            let versions = by_job.remove(&job.id).unwrap_or_default();
            JobDetail { job, versions }
        })
        .collect()
}
