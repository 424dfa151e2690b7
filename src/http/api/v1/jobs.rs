//! `/api/v1/jobs`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::PageView;
use super::lists::{AskedPage, SortWords};
use crate::app::App;
use crate::catalog::{Job, JobFilter, JobId, JobSummary, JobVersion, NameOrder, RegistryId, SortKey};
use crate::http::error::Result;
use crate::http::extract::{Path, Query, id};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobItemView {
    id: i64,
    name: String,
    title: String,
    description: String,
    job_version: String,
    package_version: String,
    maintainer: String,
    email: String,
    organization: String,
    /// What `docker pull` takes for the latest image.
    image: String,
    image_id: i64,
    /// Whether that image's manifest has no errors.
    valid: bool,
}

impl From<JobSummary> for JobItemView {
    fn from(JobSummary { job, image_id, reference, valid }: JobSummary) -> Self {
        let Job {
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
        }
    }
}

#[derive(Serialize)]
pub(super) struct JobDetailView {
    #[serde(flatten)]
    job: JobItemView,
    versions: Vec<VersionView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionView {
    id: i64,
    job_version: String,
    package_version: String,
    /// How many; `/api/v1/images?job=…&jobVersion=…` lists them.
    images: u64,
}

impl From<(JobVersion, u64)> for VersionView {
    fn from((version, images): (JobVersion, u64)) -> Self {
        Self {
            id: version.id.0,
            job_version: version.job_version,
            package_version: version.latest_package_version,
            images,
        }
    }
}

const SORTS: &SortWords<NameOrder> = &[("name", NameOrder::Name), ("id", NameOrder::Id)];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    name: Option<String>,
    maintainer: Option<String>,
    organization: Option<String>,
    registry: Option<i64>,
    sort: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Query(asked): Query<ListQuery>,
) -> Result<Json<PageView<JobItemView>>> {
    let ListQuery { name, maintainer, organization, registry, sort, limit, cursor } = asked;
    let asked = AskedPage::read(SORTS, sort.as_deref(), limit, cursor.as_deref())?;
    let filter = JobFilter { name, maintainer, organization, registry: registry.map(RegistryId) };
    let jobs = app.job_page(&filter, &asked.page).await?;
    let place = |JobSummary { job, .. }: &JobSummary| match asked.page.order {
        NameOrder::Name => (SortKey::Text(job.name.clone()), job.id.0),
        NameOrder::Id => (SortKey::Number(job.id.0), job.id.0),
    };
    Ok(Json(asked.view(jobs, place, JobItemView::from)))
}

pub(super) async fn get(State(app): State<App>, Path(job): Path<String>) -> Result<Json<JobDetailView>> {
    let (summary, versions) = app.job_summary_get(JobId(id(&job)?)).await?;
    Ok(Json(JobDetailView { job: summary.into(), versions: versions.into_iter().map(VersionView::from).collect() }))
}
