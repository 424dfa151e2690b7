//! `/api/v1/jobs`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::lists::{AskedPage, SortWords};
use crate::api::PageReply;
use crate::api::jobs::{JobDetailReply, JobGroupReply, JobReply, JobVersionReply};
use crate::app::{App, JobOverview};
use crate::catalog::{
    CatalogueJob, JobFilter, JobGroup, JobId, JobOrigin, JobSummary, JobVersionSummary, NameOrder, OriginId,
    RegistryId, SortKey,
};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, id};

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
    fn from(JobVersionSummary { version, images, represents }: JobVersionSummary) -> Self {
        Self {
            id: version.id.0,
            job_version: version.job_version,
            package_version: version.latest_package_version,
            images,
            representative: represents,
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
    State(app): State<App>,
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
    State(app): State<App>,
    PathParameters(job): PathParameters<String>,
) -> Result<Json<JobDetailReply>> {
    let JobOverview { summary, versions, origins } = app.job_overview(JobId(id(&job)?)).await?;
    let job = JobReply::new(summary, Some(origins));
    Ok(Json(JobDetailReply { job, versions: versions.into_iter().map(JobVersionReply::from).collect() }))
}
