//! Reads jobs and job versions. They are written when images change, in `derive.rs`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{BulkStatement, DatabaseHandle, select, sql};
use super::images::{ImageRow, image_select};
use super::{JobVersionWithImages, Result, Store};
use crate::catalog::{
    CatalogueImage, CatalogueJob, ImageId, ImageOrigin, ImagePlace, JobGroup, JobId, JobOrigin, JobPackageSummary,
    JobSize, JobSummary, JobVersion, JobVersionId, JobVersionSummary, MaintainerContact, OriginId,
};
use crate::seed::version;

row!(CatalogueJob {
    id,
    name,
    latest_job_version,
    latest_package_version,
    title,
    maintainer,
    email,
    maint_org,
    description
});

struct VersionRow {
    id: JobVersionId,
    job_id: JobId,
    job_name: String,
    job_version: String,
}
row!(VersionRow { id, job_id, job_name, job_version });

impl VersionRow {
    fn with_latest(self, latest_package_version: String) -> JobVersion {
        let Self { id, job_id, job_name, job_version } = self;
        JobVersion { id, job_id, job_name, job_version, latest_package_version }
    }
}

/// The images of a job version with one package version.
struct PackageRow {
    job_version_id: i64,
    package_version: String,
    images: u64,
    image_id: ImageId,
    repository: String,
    tag: String,
    digest: String,
    platforms: Vec<String>,
    size: Option<u64>,
    built_at: Option<DateTime<Utc>>,
    first_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    valid: bool,
    origin: ImageOrigin,
}
row!(
    PackageRow {
        job_version_id,
        package_version,
        images = "n",
        image_id,
        repository,
        tag,
        digest,
        platforms,
        size,
        built_at,
        first_seen_at,
        changed_at,
        valid,
    } + { origin }
);

impl From<PackageRow> for JobPackageSummary {
    fn from(row: PackageRow) -> Self {
        JobPackageSummary {
            reference: reference(&row.origin.host, &row.repository, &row.tag),
            package_version: row.package_version,
            images: row.images,
            image_id: row.image_id,
            origin: row.origin,
            digest: row.digest,
            platforms: row.platforms,
            size: row.size,
            built_at: row.built_at,
            first_seen_at: row.first_seen_at,
            changed_at: row.changed_at,
            valid: row.valid,
        }
    }
}

/// Selects the [`PackageRow`]s of a job.
const PACKAGES: &str = "SELECT * FROM (
        SELECT i.job_version_id, i.package_version, i.id AS image_id, i.repository, i.tag, i.digest, c.platforms,
            c.size, c.built_at, i.first_seen_at, i.changed_at, c.valid, o.registry_id, r.name AS registry, r.host,
            o.namespace, o.is_verified, o.represents, COUNT(*) OVER same AS n,
            ROW_NUMBER() OVER (same ORDER BY o.represents DESC, i.id) AS place
        FROM images i
        JOIN job_versions v ON v.id = i.job_version_id
        JOIN job_origins o ON o.id = i.origin_id
        JOIN contents c ON c.digest = i.digest
        JOIN registries r ON r.id = o.registry_id
        WHERE v.job_id = $1
        WINDOW same AS (PARTITION BY i.job_version_id, i.package_version)
    ) packages WHERE place = 1";

struct PlaceRow {
    image_id: ImageId,
    repository: String,
    tag: String,
    digest: String,
    origin: ImageOrigin,
}
row!(PlaceRow { image_id, repository, tag, digest } + { origin });

/// A job with its latest image.
pub(super) struct SummaryRow {
    pub job: CatalogueJob,
    image_id: ImageId,
    repository: String,
    tag: String,
    valid: bool,
    origin_id: OriginId,
    group_id: OriginId,
    origin_count: u64,
    pub group_count: u64,
    origin: ImageOrigin,
}
row!(SummaryRow { image_id, repository, tag, valid, origin_id, group_id, origin_count, group_count } + { job, origin });

/// The reference for `docker pull`.
pub(super) fn reference(host: &str, repository: &str, tag: &str) -> String {
    let slash = if host.is_empty() { "" } else { "/" };
    format!("{host}{slash}{repository}:{tag}")
}

impl SummaryRow {
    /// The group that represents the job; its leader has the texts of the job.
    fn group(&self, reference: &str) -> JobGroup {
        let Self { job, image_id, valid, origin_id, group_id, origin, .. } = self;
        let maintainer = MaintainerContact {
            name: job.maintainer.clone(),
            email: job.email.clone(),
            organization: job.maint_org.clone(),
        };
        let leader = JobOrigin {
            id: *origin_id,
            group_id: *group_id,
            origin: origin.clone(),
            maintainer,
            title: job.title.clone(),
            job_version: job.latest_job_version.clone(),
            package_version: job.latest_package_version.clone(),
            image_id: *image_id,
            reference: reference.to_owned(),
            valid: *valid,
        };
        JobGroup { leader, origin_count: self.origin_count }
    }

    /// The summary with `groups`; if empty, with the group that represents the job.
    fn with_groups(self, groups: Vec<JobGroup>) -> JobSummary {
        let reference = reference(&self.origin.host, &self.repository, &self.tag);
        let groups = if groups.is_empty() { vec![self.group(&reference)] } else { groups };
        let Self { job, image_id, valid, origin, group_count, .. } = self;
        JobSummary { job, image_id, reference, valid, origin, groups, group_count }
    }
}

/// Selects [`SummaryRow`]s.
pub(super) const SUMMARIES: &str = "SELECT j.id, j.name, j.latest_job_version, j.latest_package_version, j.title,
        j.maintainer, j.email, j.maint_org, j.description, j.image_id, i.repository, i.tag, c.valid, i.origin_id,
        o.group_id, o.registry_id, r.name AS registry, r.host, o.namespace, o.is_verified, o.represents,
        (SELECT COUNT(*) FROM job_origins m WHERE m.job_id = j.id AND m.group_id = o.group_id) AS origin_count,
        (SELECT COUNT(*) FROM job_origins m WHERE m.job_id = j.id AND m.leads) AS group_count
    FROM jobs j
    JOIN images i ON i.id = j.image_id
    JOIN job_origins o ON o.id = i.origin_id
    JOIN contents c ON c.digest = i.digest
    JOIN registries r ON r.id = o.registry_id";

/// The most groups of each job in a list of jobs.
const LISTED_GROUPS: u32 = 5;

row!(JobSize { job_id = "id", versions, images });

const SIZES: &str = "SELECT j.id, (SELECT COUNT(*) FROM job_versions v WHERE v.job_id = j.id) AS versions,
        (SELECT COUNT(*) FROM images i JOIN job_versions v ON v.id = i.job_version_id WHERE v.job_id = j.id) AS images
    FROM jobs j";

const VERSIONS: &str = "SELECT v.id, v.job_id, j.name AS job_name, v.job_version
    FROM job_versions v JOIN jobs j ON j.id = v.job_id";

impl Store {
    /// All jobs, by id.
    pub async fn job_list(&self) -> Result<Vec<CatalogueJob>> {
        sql("SELECT * FROM jobs ORDER BY id").all(&self.db).await
    }

    pub async fn job_get(&self, id: JobId) -> Result<Option<CatalogueJob>> {
        sql("SELECT * FROM jobs WHERE id = $1").bind(id).optional(&self.db).await
    }

    /// Jobs in the order of `ids`; missing ids are left out, and duplicates are returned once.
    pub async fn job_list_by_ids(&self, ids: &[JobId]) -> Result<Vec<CatalogueJob>> {
        let jobs: Vec<CatalogueJob> =
            select("SELECT * FROM jobs", Some(("id", ids.iter().copied()))).all(&self.db).await?;
        let mut found: HashMap<JobId, CatalogueJob> = jobs.into_iter().map(|job| (job.id, job)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// As [`Store::job_list_by_ids`], with the fields of a list of results. One query for the jobs, which reads no
    /// manifests.
    pub async fn job_summary_list_by_ids(&self, ids: &[JobId]) -> Result<Vec<JobSummary>> {
        let rows: Vec<SummaryRow> = select(SUMMARIES, Some(("j.id", ids.iter().copied()))).all(&self.db).await?;
        let rows = self.with_groups(rows).await?;
        let mut found: HashMap<JobId, JobSummary> = rows.into_iter().map(|row| (row.job.id, row)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// Number of versions and of images of each of these jobs, unordered.
    pub async fn job_sizes(&self, ids: &[JobId]) -> Result<Vec<JobSize>> {
        select(SIZES, Some(("j.id", ids.iter().copied()))).all(&self.db).await
    }

    /// Adds the groups to jobs that have several.
    pub(super) async fn with_groups(&self, rows: Vec<SummaryRow>) -> Result<Vec<JobSummary>> {
        let several: Vec<JobId> = rows.iter().filter(|row| row.group_count > 1).map(|row| row.job.id).collect();
        let mut groups: HashMap<JobId, Vec<JobGroup>> = HashMap::new();
        for (job, group) in self.job_group_list(&several, LISTED_GROUPS).await? {
            groups.entry(job).or_default().push(group);
        }
        let with = |row: SummaryRow| {
            let groups = groups.remove(&row.job.id).unwrap_or_default();
            row.with_groups(groups)
        };
        Ok(rows.into_iter().map(with).collect())
    }

    /// The versions of a job, highest first.
    pub async fn job_version_summaries(&self, id: JobId) -> Result<Vec<JobVersionSummary>> {
        let mut versions: Vec<VersionRow> =
            sql(format!("{VERSIONS} WHERE v.job_id = $1")).bind(id).all(&self.db).await?;
        versions.sort_by(|a, b| version::compare(&b.job_version, &a.job_version).then(a.id.cmp(&b.id)));
        let mut packages: HashMap<i64, Vec<JobPackageSummary>> = HashMap::new();
        for row in sql(PACKAGES).bind(id).all::<PackageRow>(&self.db).await? {
            packages.entry(row.job_version_id).or_default().push(row.into());
        }
        let summary = |row: VersionRow| {
            let mut packages = packages.remove(&row.id.0).unwrap_or_default();
            packages.sort_by(|a, b| version::compare(&b.package_version, &a.package_version));
            let latest = packages.iter().find(|package| package.origin.represents).or(packages.first());
            JobVersionSummary {
                images: packages.iter().map(|package| package.images).sum(),
                represents: latest.is_some_and(|package| package.origin.represents),
                version: row.with_latest(latest.map_or_else(String::new, |package| package.package_version.clone())),
                packages,
            }
        };
        Ok(versions.into_iter().map(summary).collect())
    }

    /// Id of the job with this name.
    pub async fn job_id_by_name(&self, name: &str) -> Result<Option<JobId>> {
        let row: Option<(i64,)> = sql("SELECT id FROM jobs WHERE name = $1").bind(name).optional(&self.db).await?;
        Ok(row.map(|(id,)| JobId(id)))
    }

    /// Where the images of a job version with this package version are: those that represent the job first, then by
    /// id; at most `limit`.
    pub async fn image_places(&self, version: JobVersionId, package: &str, limit: u32) -> Result<Vec<ImagePlace>> {
        let rows: Vec<PlaceRow> = sql("SELECT i.id AS image_id, i.repository, i.tag, i.digest, o.registry_id,
                r.name AS registry, r.host, o.namespace, o.is_verified, o.represents
             FROM images i JOIN job_origins o ON o.id = i.origin_id JOIN registries r ON r.id = o.registry_id
             WHERE i.job_version_id = $1 AND i.package_version = $2 ORDER BY o.represents DESC, i.id LIMIT $3")
        .bind(version)
        .bind(package)
        .bind(limit)
        .all(&self.db)
        .await?;
        let place = |PlaceRow { image_id, repository, tag, digest, origin }: PlaceRow| ImagePlace {
            reference: reference(&origin.host, &repository, &tag),
            image_id,
            digest,
            origin,
        };
        Ok(rows.into_iter().map(place).collect())
    }

    /// Versions with their images, of the given jobs or of all (`None`). By job id, then highest version first; images
    /// highest package version first, then by id. Two queries, whatever the number of rows (and two more for each
    /// further few hundred `jobs`).
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

async fn with_images(
    db: &DatabaseHandle,
    versions: BulkStatement<'_>,
    images: BulkStatement<'_>,
) -> Result<Vec<JobVersionWithImages>> {
    let mut versions: Vec<VersionRow> = versions.all(db).await?;
    versions.sort_by(|a, b| {
        a.job_id.cmp(&b.job_id).then_with(|| version::compare(&b.job_version, &a.job_version)).then(a.id.cmp(&b.id))
    });
    let mut by_version: HashMap<JobVersionId, Vec<CatalogueImage>> = HashMap::new();
    for row in images.all::<ImageRow>(db).await? {
        let image = CatalogueImage::from(row);
        by_version.entry(image.job_version_id).or_default().push(image);
    }
    let with = |row: VersionRow| {
        let mut images = by_version.remove(&row.id).unwrap_or_default();
        images
            .sort_by(|a, b| version::compare(&b.facts.package_version, &a.facts.package_version).then(a.id.cmp(&b.id)));
        let latest = images.iter().find(|image| image.represents).or(images.first());
        let latest = latest.map_or_else(String::new, |image| image.facts.package_version.clone());
        JobVersionWithImages { job_version: row.with_latest(latest), images }
    };
    Ok(versions.into_iter().map(with).collect())
}
