//! `/jobs` and `/job-versions`.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::images::EVERYTHING;
use super::views::{LegacyJobVersionView, LegacyJobView};
use crate::app::SearchOptions;
use crate::catalog::{JobId, JobVersionId};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, RequestApp, id};

pub(super) async fn list(RequestApp(app): RequestApp) -> Result<Json<Vec<LegacyJobView>>> {
    Ok(Json(app.job_list().await?.into_iter().map(LegacyJobView::from).collect()))
}

/// An object keyed by job id, sorted by the keys as texts. Ranked results are at `/api/v1/search`.
pub(super) async fn search(
    RequestApp(app): RequestApp,
    PathParameters(query): PathParameters<String>,
) -> Result<Response> {
    if query == EVERYTHING {
        return Ok(list(RequestApp(app)).await?.into_response());
    }
    let ranked = app.search_job_details(&query, &SearchOptions::ALL).await?;
    let by_id: BTreeMap<String, LegacyJobView> = ranked
        .items
        .into_iter()
        .map(|found| LegacyJobView::from(found.item))
        .map(|job| (job.id.to_string(), job))
        .collect();
    Ok(Json(by_id).into_response())
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(job): PathParameters<String>,
) -> Result<Json<LegacyJobView>> {
    Ok(Json(app.job_get(JobId(id(&job)?)).await?.into()))
}

pub(super) async fn versions(
    RequestApp(app): RequestApp,
    PathParameters(job): PathParameters<String>,
) -> Result<Json<Vec<LegacyJobVersionView>>> {
    let job = app.job_get(JobId(id(&job)?)).await?;
    Ok(Json(job.versions.into_iter().map(LegacyJobVersionView::from).collect()))
}

pub(super) async fn version_list(RequestApp(app): RequestApp) -> Result<Json<Vec<LegacyJobVersionView>>> {
    Ok(Json(app.job_version_list().await?.into_iter().map(LegacyJobVersionView::from).collect()))
}

pub(super) async fn version_get(
    RequestApp(app): RequestApp,
    PathParameters(version): PathParameters<String>,
) -> Result<Json<LegacyJobVersionView>> {
    Ok(Json(app.job_version_get(JobVersionId(id(&version)?)).await?.into()))
}
