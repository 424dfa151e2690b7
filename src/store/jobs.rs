//! Jobs and job versions, for views. They are written where images change, in `derive.rs`.

use std::collections::HashMap;

use super::db::{Bulk, Db, select, sql};
use super::images::{ImageRow, image_select};
use super::value::row;
use super::{JobVersionWithImages, Result, Store};
use crate::catalog::{Image, ImageId, Job, JobId, JobSummary, JobVersion, JobVersionId};
use crate::seed::version;

row!(Job { id, name, latest_job_version, latest_package_version, title, maintainer, email, maint_org, description });
row!(JobVersion { id, job_id, job_name, job_version, latest_package_version });

/// A job with its latest image.
pub(super) struct SummaryRow {
    job: Job,
    image_id: ImageId,
    host: String,
    repository: String,
    tag: String,
    valid: bool,
}
row!(SummaryRow { image_id, host, repository, tag, valid } + { job });

impl From<SummaryRow> for JobSummary {
    fn from(row: SummaryRow) -> Self {
        let SummaryRow { job, image_id, host, repository, tag, valid } = row;
        let slash = if host.is_empty() { "" } else { "/" };
        JobSummary { job, image_id, reference: format!("{host}{slash}{repository}:{tag}"), valid }
    }
}

/// Selects [`SummaryRow`]s.
pub(super) const SUMMARIES: &str = "SELECT j.*, i.id AS image_id, r.host, i.repository, i.tag, c.valid
    FROM jobs j
    JOIN job_versions v ON v.job_id = j.id AND v.job_version = j.latest_job_version
    JOIN images i ON i.id = (SELECT MIN(f.id) FROM images f
                             WHERE f.job_version_id = v.id AND f.package_version = j.latest_package_version)
    JOIN contents c ON c.digest = i.digest
    JOIN registries r ON r.id = i.registry_id";

const VERSIONS: &str = "SELECT v.id, v.job_id, j.name AS job_name, v.job_version, v.latest_package_version
    FROM job_versions v JOIN jobs j ON j.id = v.job_id";

impl Store {
    /// By id.
    pub async fn job_list(&self) -> Result<Vec<Job>> {
        sql("SELECT * FROM jobs ORDER BY id").all(&self.db).await
    }

    pub async fn job_get(&self, id: JobId) -> Result<Option<Job>> {
        sql("SELECT * FROM jobs WHERE id = $1").bind(id).optional(&self.db).await
    }

    /// In the order of `ids`; ids that are gone are left out, and one given twice comes once.
    pub async fn job_list_by_ids(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let jobs: Vec<Job> = select("SELECT * FROM jobs", Some(("id", ids.iter().copied()))).all(&self.db).await?;
        let mut found: HashMap<JobId, Job> = jobs.into_iter().map(|job| (job.id, job)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// As [`Store::job_list_by_ids`], with what a list of results shows of each. One query, which reads no manifests.
    pub async fn job_summary_list_by_ids(&self, ids: &[JobId]) -> Result<Vec<JobSummary>> {
        let rows: Vec<SummaryRow> = select(SUMMARIES, Some(("j.id", ids.iter().copied()))).all(&self.db).await?;
        let mut found: HashMap<JobId, SummaryRow> = rows.into_iter().map(|row| (row.job.id, row)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).map(JobSummary::from).collect())
    }

    /// How many images each version of a job has.
    pub async fn job_image_counts(&self, id: JobId) -> Result<Vec<(JobVersion, u64)>> {
        let mut versions: Vec<JobVersion> =
            sql(format!("{VERSIONS} WHERE v.job_id = $1")).bind(id).all(&self.db).await?;
        versions.sort_by(|a, b| version::compare(&b.job_version, &a.job_version).then(a.id.cmp(&b.id)));
        let counts: Vec<(i64, i64)> = sql("SELECT i.job_version_id, COUNT(*) FROM images i
             JOIN job_versions v ON v.id = i.job_version_id WHERE v.job_id = $1 GROUP BY i.job_version_id")
        .bind(id)
        .all(&self.db)
        .await?;
        let counts: HashMap<i64, i64> = counts.into_iter().collect();
        let count = |version: &JobVersion| counts.get(&version.id.0).copied().unwrap_or_default().unsigned_abs();
        Ok(versions
            .into_iter()
            .map(|version| (count(&version), version))
            .map(|(count, version)| (version, count))
            .collect())
    }

    /// Versions with their images. Of the given jobs, or of all (`None`). By job id, then highest version first;
    /// images highest package version first, then by id. Two queries, however many rows (and two more for
    /// each further few hundred `jobs`).
    pub async fn job_version_list(&self, jobs: Option<&[JobId]>) -> Result<Vec<JobVersionWithImages>> {
        let among = || jobs.map(|jobs| ("v.job_id", jobs.iter().copied()));
        with_images(&self.db, select(VERSIONS, among()), select(image_select!(""), among())).await
    }

    /// One version with its images, in the order of [`Store::job_version_list`].
    pub async fn job_version_get(&self, id: JobVersionId) -> Result<Option<JobVersionWithImages>> {
        let among = || Some(("v.id", [id]));
        Ok(with_images(&self.db, select(VERSIONS, among()), select(image_select!(""), among())).await?.pop())
    }
}

async fn with_images(db: &Db, versions: Bulk<'_>, images: Bulk<'_>) -> Result<Vec<JobVersionWithImages>> {
    let mut versions: Vec<JobVersion> = versions.all(db).await?;
    versions.sort_by(|a, b| {
        a.job_id.cmp(&b.job_id).then_with(|| version::compare(&b.job_version, &a.job_version)).then(a.id.cmp(&b.id))
    });
    let mut by_version: HashMap<JobVersionId, Vec<Image>> = HashMap::new();
    for row in images.all::<ImageRow>(db).await? {
        let image = Image::from(row);
        by_version.entry(image.job_version_id).or_default().push(image);
    }
    let with = |job_version: JobVersion| {
        let mut images = by_version.remove(&job_version.id).unwrap_or_default();
        images
            .sort_by(|a, b| version::compare(&b.facts.package_version, &a.facts.package_version).then(a.id.cmp(&b.id)));
        JobVersionWithImages { job_version, images }
    };
    Ok(versions.into_iter().map(with).collect())
}
