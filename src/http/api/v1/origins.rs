//! Origins of jobs' images: in other replies, and at `/api/v1/jobs/{id}/origins`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{PageView, limit};
use crate::app::App;
use crate::catalog::{ImageOrigin, JobGroup, JobId, JobOrigin, MaintainerContact, OriginId, RegistryId};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, id};

/// One namespace of one registry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OriginView {
    /// Null while the database is unreachable.
    registry_id: Option<i64>,
    /// The registry's name, as its admin chose it.
    registry: String,
    /// Host and port for `docker pull`.
    host: String,
    /// The path of repositories before the last slash; may be empty.
    namespace: String,
    /// Whether an admin has marked it as verified.
    verified: bool,
    /// Whether it represents the job: the job shows the latest image of such origins.
    representative: bool,
}

impl From<ImageOrigin> for OriginView {
    fn from(origin: ImageOrigin) -> Self {
        let ImageOrigin { registry_id, registry, host, namespace, is_verified, represents } = origin;
        Self {
            registry_id: Some(registry_id).filter(|id| *id != RegistryId::default()).map(|id| id.0),
            registry,
            host,
            namespace,
            verified: is_verified,
            representative: represents,
        }
    }
}

/// The images of a job from one origin, with fields of the latest one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobOriginView {
    id: i64,
    group_id: i64,
    #[serde(flatten)]
    origin: OriginView,
    #[serde(flatten)]
    latest: LatestView,
}

/// Fields of the latest image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LatestView {
    title: String,
    maintainer: String,
    email: String,
    organization: String,
    job_version: String,
    package_version: String,
    /// What `docker pull` takes.
    image: String,
    image_id: i64,
    /// Whether its manifest has no errors.
    valid: bool,
}

impl From<JobOrigin> for JobOriginView {
    fn from(origin: JobOrigin) -> Self {
        let MaintainerContact { name, email, organization } = origin.maintainer;
        Self {
            id: origin.id.0,
            group_id: origin.group_id.0,
            origin: origin.origin.into(),
            latest: LatestView {
                title: origin.title,
                maintainer: name,
                email,
                organization,
                job_version: origin.job_version,
                package_version: origin.package_version,
                image: origin.reference,
                image_id: origin.image_id.0,
                valid: origin.valid,
            },
        }
    }
}

/// The origins of a job with the same maintainer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobGroupView {
    id: i64,
    /// Whether it represents the job.
    representative: bool,
    /// Whether one of its origins is verified.
    verified: bool,
    #[serde(flatten)]
    latest: LatestView,
    /// Origin of the latest image.
    origin: OriginView,
    origin_count: u64,
    /// The first origins; only in the detail view of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    origins: Option<Vec<JobOriginView>>,
}

impl JobGroupView {
    pub fn new(JobGroup { leader, origin_count }: JobGroup, origins: Option<Vec<JobOrigin>>) -> Self {
        let JobOriginView { group_id, origin, latest, .. } = leader.into();
        Self {
            id: group_id,
            representative: origin.representative,
            verified: origin.verified,
            latest,
            origin,
            origin_count,
            origins: origins.map(|origins| origins.into_iter().map(JobOriginView::from).collect()),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginQuery {
    group: Option<i64>,
    limit: Option<u32>,
    cursor: Option<i64>,
}

pub(super) async fn list(
    State(app): State<App>,
    PathParameters(job): PathParameters<String>,
    QueryParameters(asked): QueryParameters<OriginQuery>,
) -> Result<Json<PageView<JobOriginView>>> {
    let limit = limit(asked.limit)?;
    let after = OriginId(asked.cursor.unwrap_or_default());
    let origins = app.job_origin_page(JobId(id(&job)?), asked.group.map(OriginId), after, limit).await?;
    let next = origins.last().filter(|_| origins.len() == limit as usize).map(|last| last.id.to_string());
    Ok(Json(PageView { items: origins.into_iter().map(JobOriginView::from).collect(), next }))
}
