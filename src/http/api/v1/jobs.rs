//! `/api/v1/jobs`.

use std::collections::HashMap;

use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderName, header};
use serde::Deserialize;

use super::badge;
use super::lists::{AskedPage, SortWords};
use crate::api::PageReply;
use crate::api::jobs::{
    ComparedImageReply, JobComparisonReply, JobDetailReply, JobGroupReply, JobPackageReply, JobReply, JobVersionReply,
};
use crate::app::{Error, JobComparison, JobOverview};
use crate::catalog::{
    CatalogueImage, CatalogueJob, JobFilter, JobGroup, JobOrigin, JobPackageSummary, JobSummary, JobVersionSummary,
    NameOrder, OriginId, RegistryId, SortKey,
};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::path_part::{job_key, version_range};

impl From<JobSummary> for JobReply {
    fn from(summary: JobSummary) -> Self {
        Self::new(summary, None)
    }
}

impl JobReply {
    /// With the first origins of each group, if given.
    fn new(summary: JobSummary, mut origins: Option<HashMap<OriginId, Vec<JobOrigin>>>) -> Self {
        let JobSummary { job, image_id, reference, valid, origin, groups, group_count } = summary;
        let CatalogueJob {
            id,
            name,
            latest_job_version,
            latest_package_version,
            title,
            maintainer,
            email,
            maint_org,
            description,
        } = job;
        let group = |group: JobGroup| {
            let origins = origins.as_mut().map(|all| all.remove(&group.leader.group_id).unwrap_or_default());
            JobGroupReply::new(group, origins)
        };
        Self {
            id: id.0,
            name,
            title,
            description,
            job_version: latest_job_version,
            package_version: latest_package_version,
            maintainer,
            email,
            organization: maint_org,
            image: reference,
            image_id: image_id.0,
            valid,
            origin: origin.into(),
            groups: groups.into_iter().map(group).collect(),
            group_count,
        }
    }
}

impl From<JobVersionSummary> for JobVersionReply {
    fn from(JobVersionSummary { version, images, represents, packages }: JobVersionSummary) -> Self {
        Self {
            id: version.id.0,
            job_version: version.job_version,
            package_version: version.latest_package_version,
            images,
            representative: represents,
            packages: packages.into_iter().map(JobPackageReply::from).collect(),
        }
    }
}

impl From<JobPackageSummary> for JobPackageReply {
    fn from(package: JobPackageSummary) -> Self {
        Self {
            package_version: package.package_version,
            images: package.images,
            image: package.reference,
            image_id: package.image_id.0,
            digest: package.digest,
            platforms: package.platforms,
            size: package.size,
            built_at: package.built_at,
            first_seen_at: package.first_seen_at,
            changed_at: package.changed_at,
            valid: package.valid,
            origin: package.origin.into(),
        }
    }
}

const SORTS: &SortWords<NameOrder> = &[("name", NameOrder::Name), ("id", NameOrder::Id)];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobListQuery {
    name: Option<String>,
    maintainer: Option<String>,
    organization: Option<String>,
    registry: Option<i64>,
    verified: Option<bool>,
    sort: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    QueryParameters(asked): QueryParameters<JobListQuery>,
) -> Result<Json<PageReply<JobReply>>> {
    let JobListQuery { name, maintainer, organization, registry, verified, sort, limit, cursor } = asked;
    let asked = AskedPage::read(SORTS, sort.as_deref(), limit, cursor.as_deref())?;
    let filter = JobFilter { name, maintainer, organization, registry: registry.map(RegistryId), verified };
    let jobs = app.job_page(&filter, &asked.page).await?;
    let place = |JobSummary { job, .. }: &JobSummary| match asked.page.order {
        NameOrder::Name => (SortKey::Text(job.name.clone()), job.id.0),
        NameOrder::Id => (SortKey::Number(job.id.0), job.id.0),
    };
    Ok(Json(asked.view(jobs, place, JobReply::from)))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(job): PathParameters<String>,
) -> Result<Json<JobDetailReply>> {
    let JobOverview { summary, versions, origins } = app.job_overview(&job_key(&job)).await?;
    let job = JobReply::new(summary, Some(origins));
    Ok(Json(JobDetailReply { job, versions: versions.into_iter().map(JobVersionReply::from).collect() }))
}

impl From<CatalogueImage> for ComparedImageReply {
    fn from(image: CatalogueImage) -> Self {
        Self {
            image: image.pull_reference(),
            image_id: image.id.0,
            digest: image.digest,
            job_version: image.facts.job_version,
            package_version: image.facts.package_version,
        }
    }
}

pub(super) async fn compare(
    RequestApp(app): RequestApp,
    PathParameters((job, versions)): PathParameters<(String, String)>,
) -> Result<Json<JobComparisonReply>> {
    let range = version_range(&versions);
    let (old, new) = range.ok_or_else(|| Error::Invalid("Name two versions as OLD..NEW".to_owned()))?;
    let JobComparison { old, new, changes } = app.job_compare(&job_key(&job), &old, &new).await?;
    Ok(Json(JobComparisonReply { old: old.into(), new: new.into(), changes }))
}

/// How long others may show a badge that they fetched.
const BADGE_CACHE: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=300");

/// A badge may be shown by pages of others, and does nothing if it is opened by itself.
const BADGE_POLICY: [(HeaderName, &str); 2] = [
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
];

pub(super) async fn badge(
    RequestApp(app): RequestApp,
    PathParameters(job): PathParameters<String>,
) -> Result<impl IntoResponse> {
    let JobSummary { job, valid, .. } = app.job_summary(&job_key(&job)).await?;
    let svg = badge::badge(&job.latest_job_version, valid);
    Ok(([BADGE_CACHE, (header::CONTENT_TYPE, "image/svg+xml")], BADGE_POLICY, svg))
}
