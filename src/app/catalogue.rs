//! The catalogue: images, jobs, job versions, manifests.

use std::collections::HashMap;

use super::{App, Error, JobKey, Result};
use crate::catalog::{
    CatalogueImage, CatalogueJob, ImageFilter, ImageId, ImageOrder, JobFilter, JobId, JobOrigin, JobSummary,
    JobVersionId, ListPage, NameOrder, OriginId, PastDigest,
};
use crate::store::JobVersionWithImages;

/// A job with its versions, highest first, and their images.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDetail {
    pub job: CatalogueJob,
    pub versions: Vec<JobVersionWithImages>,
}

impl App {
    /// All images, by id.
    pub async fn image_list(&self) -> Result<Vec<CatalogueImage>> {
        Ok(self.store().image_list().await?)
    }

    /// A page of images.
    pub async fn image_page(&self, filter: &ImageFilter, page: &ListPage<ImageOrder>) -> Result<Vec<CatalogueImage>> {
        Ok(self.store().image_page(filter, page).await?)
    }

    /// One image.
    pub async fn image_get(&self, id: ImageId) -> Result<CatalogueImage> {
        self.store().image_get(id).await?.ok_or_else(|| Error::NotFound("No image found with that ID".to_owned()))
    }

    /// Where an image's tag pointed before, newest first.
    pub async fn image_history(&self, id: ImageId) -> Result<Vec<PastDigest>> {
        /// Tags such as `latest` may move every day.
        const MOST: u32 = 100;
        Ok(self.store().image_history(id, MOST).await?)
    }

    /// All jobs, by id.
    pub async fn job_list(&self) -> Result<Vec<JobDetail>> {
        let jobs = self.store().job_list().await?;
        Ok(with_versions(jobs, self.store().job_version_list(None).await?))
    }

    /// A page of jobs, each with its latest image.
    pub async fn job_page(&self, filter: &JobFilter, page: &ListPage<NameOrder>) -> Result<Vec<JobSummary>> {
        Ok(self.store().job_page(filter, page).await?)
    }

    /// A page of a job's origins, by id; of one group only, if given.
    pub async fn job_origin_page(
        &self,
        job: &JobKey,
        group: Option<OriginId>,
        after: OriginId,
        limit: u32,
    ) -> Result<Vec<JobOrigin>> {
        let job = self.job_summary(job).await?.job.id;
        Ok(self.store().job_origin_page(job, group, after, limit).await?)
    }

    /// One job.
    pub async fn job_get(&self, id: JobId) -> Result<JobDetail> {
        let none = || Error::NotFound("No job found with that ID".to_owned());
        self.job_list_by_ids(&[id]).await?.pop().ok_or_else(none)
    }

    /// Jobs in the order of `ids`, without those that no longer exist.
    pub(super) async fn job_list_by_ids(&self, ids: &[JobId]) -> Result<Vec<JobDetail>> {
        let jobs = self.store().job_list_by_ids(ids).await?;
        Ok(with_versions(jobs, self.store().job_version_list(Some(ids)).await?))
    }

    /// All job versions, by id.
    pub async fn job_version_list(&self) -> Result<Vec<JobVersionWithImages>> {
        let mut versions = self.store().job_version_list(None).await?;
        versions.sort_by_key(|version| version.job_version.id);
        Ok(versions)
    }

    /// One job version.
    pub async fn job_version_get(&self, id: JobVersionId) -> Result<JobVersionWithImages> {
        let known = self.store().job_version_get(id).await?;
        known.ok_or_else(|| Error::NotFound("No job version found with that ID".to_owned()))
    }
}

fn with_versions(jobs: Vec<CatalogueJob>, versions: Vec<JobVersionWithImages>) -> Vec<JobDetail> {
    let mut by_job: HashMap<JobId, Vec<JobVersionWithImages>> = HashMap::new();
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
