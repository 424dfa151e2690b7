//! Origins of jobs' images: in other replies, and at `/api/v1/jobs/{id}/origins`.

use axum::Json;
use serde::Deserialize;

use super::limit;
use crate::api::PageReply;
use crate::api::jobs::{JobGroupReply, JobOriginReply, LatestImageReply, OriginReply};
use crate::catalog::{ImageOrigin, JobGroup, JobOrigin, MaintainerContact, OriginId, RegistryId};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::path_part::job_key;

impl From<ImageOrigin> for OriginReply {
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

impl From<JobOrigin> for JobOriginReply {
    fn from(origin: JobOrigin) -> Self {
        let MaintainerContact { name, email, organization } = origin.maintainer;
        Self {
            id: origin.id.0,
            group_id: origin.group_id.0,
            origin: origin.origin.into(),
            latest: LatestImageReply {
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

impl JobGroupReply {
    /// With its first origins, if given.
    pub(in crate::http) fn new(JobGroup { leader, origin_count }: JobGroup, origins: Option<Vec<JobOrigin>>) -> Self {
        let JobOriginReply { group_id, origin, latest, .. } = leader.into();
        Self {
            id: group_id,
            representative: origin.representative,
            verified: origin.verified,
            latest,
            origin,
            origin_count,
            origins: origins.map(|origins| origins.into_iter().map(JobOriginReply::from).collect()),
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
    RequestApp(app): RequestApp,
    PathParameters(job): PathParameters<String>,
    QueryParameters(asked): QueryParameters<OriginQuery>,
) -> Result<Json<PageReply<JobOriginReply>>> {
    let limit = limit(asked.limit)?;
    let after = OriginId(asked.cursor.unwrap_or_default());
    let origins = app.job_origin_page(&job_key(&job), asked.group.map(OriginId), after, limit).await?;
    let next = origins.last().filter(|_| origins.len() == limit as usize).map(|last| last.id.to_string());
    Ok(Json(PageReply { items: origins.into_iter().map(JobOriginReply::from).collect(), next }))
}
