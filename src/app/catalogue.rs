//! The catalogue: images, jobs, job versions, manifests.

use super::{App, Error, Result};
use crate::catalog::{Image, ImageId, Job, JobId, JobVersionId, PastDigest, Registry};
use crate::registry::{Fetched, image_name, pull_host};
use crate::scan::seed_label;
use crate::seed::{LABEL, label};
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

    /// The manifest text of an image that need not be catalogued, read now. Only registries that an admin added are
    /// asked, so that this address cannot make the service call any host that a stranger names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an image that cannot be named so; [`Error::NotFound`] for a host that nobody added, and
    /// for an image without a Seed manifest; [`Error::Registry`].
    pub async fn remote_manifest(&self, host: &str, image: &str) -> Result<String> {
        let label = self.remote_label(host, image).await?;
        let label = label.ok_or_else(|| Error::NotFound(format!("the image has no label {LABEL}")))?;
        label::read(&label).map_err(|why| Error::NotFound(why.to_string()))
    }

    /// The raw Seed label of such an image; `None` for one that carries none.
    ///
    /// # Errors
    /// As [`App::remote_manifest`], but not for what the label holds.
    pub(super) async fn remote_label(&self, host: &str, image: &str) -> Result<Option<String>> {
        // The old service's words, for names that carry a port by mistake.
        if image.split('@').next().is_some_and(|name| name.matches(':').count() > 1) {
            return Err(Error::Invalid("More than one colon in image name".to_owned()));
        }
        let (repository, reference) = image_name(image).map_err(Error::Invalid)?;
        let mut registries = self.registry_list().await?;
        registries.retain(|registry| !host.is_empty() && registry.host == pull_host(host));
        // Docker Hub is added once for each namespace, maybe with other credentials.
        let its_org = |registry: &&Registry| self.filter_of(registry).is_ok_and(|filter| filter.in_org(&repository));
        let registry = registries.iter().find(its_org).or(registries.first()).ok_or_else(|| {
            Error::NotFound(format!("No registry with the host {host} is registered; an admin can add it"))
        })?;
        let source = self.source_of(registry, &self.impatient_limits()).await?;
        let unknown = || Error::NotFound(format!("There is no image {host}/{image}"));
        let digest = source.digest(&repository, &reference).await?.ok_or_else(unknown)?;
        match source.fetch(&repository, &digest).await? {
            Fetched::Image(configs) => Ok(seed_label(&configs).map(str::to_owned)),
            Fetched::Other(kind) => Err(Error::NotFound(format!("{image} is not a container image but {kind}"))),
        }
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
