//! One job: by id or by name, in one of its versions, compared with another one, and exported.

use std::collections::HashMap;

use super::{App, Error, Result};
use crate::catalog::{
    CatalogueImage, ImageId, ImagePlace, JobId, JobOrigin, JobPackageSummary, JobSummary, JobVersionSummary, OriginId,
    PastDigest, RegistryRecord,
};
use crate::engine::export::{ExportSource, ExportedJob, cwl, script};
use crate::seed::comparison::{ManifestChange, compare};
use crate::seed::manifest;
use crate::seed::model::SeedManifest;

/// Names a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobKey {
    Id(JobId),
    Name(String),
}

/// Names a version of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobVersionChoice {
    pub job_version: String,
    /// `None`: the highest among the images that represent the job; if none of these has the job version, among all.
    pub package_version: Option<String>,
}

/// A job with its versions, and where its images come from.
#[derive(Clone, Debug, PartialEq)]
pub struct JobOverview {
    pub summary: JobSummary,
    /// Highest first.
    pub versions: Vec<JobVersionSummary>,
    /// The first origins of each group in the summary, by group.
    pub origins: HashMap<OriginId, Vec<JobOrigin>>,
}

/// A job, and one of its images.
#[derive(Debug)]
pub struct JobImageDetail {
    pub job: JobOverview,
    pub image: CatalogueImage,
    /// Earlier digests of the image's tag, newest first.
    pub history: Vec<PastDigest>,
    /// The first places of images with the same versions, including this one.
    pub places: Vec<ImagePlace>,
    /// The registry of the image.
    pub registry: Option<RegistryRecord>,
    /// The job for other runners, or why it cannot be exported.
    pub cwl: Result<ExportedJob>,
    pub script: Result<ExportedJob>,
}

/// The difference of two versions of a job.
#[derive(Clone, Debug)]
pub struct JobComparison {
    pub old: CatalogueImage,
    pub new: CatalogueImage,
    /// Changes of the manifest with the standard's defaults, in its order.
    pub changes: Vec<ManifestChange>,
}

/// The form of an exported job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A CommandLineTool of the Common Workflow Language v1.2, in JSON.
    Cwl,
    /// A Bash script for docker.
    Script,
}

impl App {
    /// The job with its latest image.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub async fn job_summary(&self, job: &JobKey) -> Result<JobSummary> {
        let store = self.store();
        let (id, missing) = match job {
            JobKey::Id(id) => (Some(*id), "No job found with that ID"),
            JobKey::Name(name) => (store.job_id_by_name(name).await?, "No job found with that name"),
        };
        let found = match id {
            Some(id) => store.job_summary_list_by_ids(&[id]).await?.pop(),
            None => None,
        };
        found.ok_or_else(|| Error::NotFound(missing.to_owned()))
    }

    /// The job with its latest image, its versions, highest first, and where its images come from.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub async fn job_overview(&self, job: &JobKey) -> Result<JobOverview> {
        /// Most groups of a job, and most origins of a group; the paged list of origins has all of them.
        const MOST_GROUPS: u32 = 50;
        const MOST_ORIGINS: u32 = 20;
        let store = self.store();
        let mut summary = self.job_summary(job).await?;
        let id = summary.job.id;
        if summary.group_count > 1 {
            let groups = store.job_group_list(&[id], MOST_GROUPS).await?;
            summary.groups = groups.into_iter().map(|(_, group)| group).collect();
        }
        let ids: Vec<OriginId> = summary.groups.iter().map(|group| group.leader.group_id).collect();
        let mut origins: HashMap<OriginId, Vec<JobOrigin>> = HashMap::new();
        for origin in store.job_group_origins(&ids, MOST_ORIGINS).await? {
            origins.entry(origin.group_id).or_default().push(origin);
        }
        Ok(JobOverview { summary, versions: store.job_version_summaries(id).await?, origins })
    }

    /// The job with one of its images: the one named, else the one that stands for the version, else the job's latest.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown job, version, or image of this version.
    pub async fn job_image(
        &self,
        job: &JobKey,
        version: Option<&JobVersionChoice>,
        image: Option<ImageId>,
    ) -> Result<JobImageDetail> {
        /// Most places that are returned; the list of images has all of them.
        const MOST_PLACES: u32 = 20;
        let job = self.job_overview(job).await?;
        let latest = job.summary.image_id;
        let id = match (image, version) {
            (Some(image), _) => image,
            (None, Some(version)) => job.package(version)?.image_id,
            (None, None) => latest,
        };
        let image = self.image_get(id).await?;
        let has_version = version.is_none_or(|version| version.names(&image));
        if image.job_id != job.summary.job.id || !has_version {
            return Err(Error::NotFound("This version of the job has no image with that ID".to_owned()));
        }
        let package = &image.facts.package_version;
        let places = self.store().image_places(image.job_version_id, package, MOST_PLACES).await?;
        let history = self.image_history(id).await?;
        let [cwl, script] = [ExportFormat::Cwl, ExportFormat::Script].map(|format| export(&image, format));
        let registry = self.store().registry_get(image.registry_id).await?;
        Ok(JobImageDetail { job, image, history, places, registry, cwl, script })
    }

    /// An image, and whether it is the one that stands for its versions.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub async fn image_and_rank(&self, id: ImageId) -> Result<(CatalogueImage, bool)> {
        let image = self.image_get(id).await?;
        let first = self.store().image_places(image.job_version_id, &image.facts.package_version, 1).await?;
        Ok((image, first.first().is_some_and(|first| first.image_id == id)))
    }

    /// Compares two versions of a job.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown job or version.
    pub async fn job_compare(
        &self,
        job: &JobKey,
        old: &JobVersionChoice,
        new: &JobVersionChoice,
    ) -> Result<JobComparison> {
        let job = self.job_overview(job).await?;
        let old = self.image_get(job.package(old)?.image_id).await?;
        let new = self.image_get(job.package(new)?.image_id).await?;
        let [before, after] = [&old, &new].map(|image| manifest::with_defaults(&image.facts.manifest));
        Ok(JobComparison { changes: compare(&before, &after), old, new })
    }

    /// The image's job for another runner. An image of a registry is pinned to its digest.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for a job that cannot be exported, with the reason.
    pub async fn image_export(&self, id: ImageId, format: ExportFormat) -> Result<(CatalogueImage, ExportedJob)> {
        let image = self.image_get(id).await?;
        let exported = export(&image, format)?;
        Ok((image, exported))
    }
}

fn export(image: &CatalogueImage, format: ExportFormat) -> Result<ExportedJob> {
    let name = image.pinned_reference();
    let invalid = || Error::Invalid(format!("The manifest of {name} is not valid, so it cannot be exported"));
    if !image.facts.valid {
        return Err(invalid());
    }
    let manifest = SeedManifest::parse(&image.facts.manifest).map_err(|_| invalid())?;
    let source = ExportSource { manifest: &manifest, image: &name, config: None };
    let exported = match format {
        ExportFormat::Cwl => cwl::tool(source),
        ExportFormat::Script => script::script(source),
    };
    exported.map_err(|why| Error::Invalid(format!("{name} cannot be exported: {why}")))
}

impl JobOverview {
    /// The images of a version.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    fn package(&self, choice: &JobVersionChoice) -> Result<&JobPackageSummary> {
        let JobVersionChoice { job_version, package_version } = choice;
        let known = self.versions.iter().find(|known| known.version.job_version == *job_version);
        let package = known.and_then(|known| {
            let wanted = package_version.as_ref().unwrap_or(&known.version.latest_package_version);
            known.packages.iter().find(|package| package.package_version == *wanted)
        });
        package.ok_or_else(|| Error::NotFound("The job has no such version".to_owned()))
    }
}

impl JobVersionChoice {
    /// Whether the image has this version.
    fn names(&self, image: &CatalogueImage) -> bool {
        let package = self.package_version.as_ref();
        image.facts.job_version == self.job_version
            && package.is_none_or(|package| image.facts.package_version == *package)
    }
}
