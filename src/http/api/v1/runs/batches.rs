//! `/api/v1/batches`: one job, many rows.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;

use super::SubmitQuery;
use super::forms::BatchForm;
use crate::api::PageReply;
use crate::api::batches::{BatchErrorReply, BatchReply, PlannedBatchReply};
use crate::api::runs::RunSummaryReply;
use crate::app::{App, Error, PlannedBatch, UserSession};
use crate::catalog::{BatchErrorCount, BatchSummary, RunStatus};
use crate::http::api::v1::{NumberPagingQuery, limit};
use crate::http::error::Result;
use crate::http::extract::{self, PathParameters, QueryParameters, RequestApp};

pub(super) async fn submit(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<SubmitQuery>,
    extract::JsonBody(form): extract::JsonBody<BatchForm>,
) -> Result<Response> {
    let (all, rows) = form.read()?;
    if asked.dry_run {
        let PlannedBatch { image, digest, rows, .. } = app.run_plan_batch(&session, &all, rows).await?;
        return Ok(Json(PlannedBatchReply { image, digest, rows }).into_response());
    }
    let id = app.run_submit_batch(&session, &all, rows).await?;
    let location = [(header::LOCATION, format!("/api/v1/batches/{id}"))];
    Ok((StatusCode::CREATED, location, Json(view(&app, &session, id).await?)).into_response())
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Json<BatchReply>> {
    Ok(Json(view(&app, &session, id).await?))
}

/// The rows, in order; the cursor is a row number.
pub(super) async fn runs(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(asked): QueryParameters<NumberPagingQuery>,
) -> Result<Json<PageReply<RunSummaryReply>>> {
    let limit = limit(asked.limit)?;
    view(&app, &session, id.clone()).await?;
    let rows = app.run_list_batch(&session, &id, asked.cursor.unwrap_or(0), limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).and_then(|last| last.batch_row);
    let items = rows.into_iter().map(RunSummaryReply::from).collect();
    Ok(Json(PageReply { items, next: next.map(|row| row.to_string()) }))
}

pub(super) async fn cancel(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Json<BatchReply>> {
    view(&app, &session, id.clone()).await?;
    app.run_cancel_batch(&session, &id).await?;
    Ok(Json(view(&app, &session, id).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchRerunQuery {
    /// Status of the rows to rerun; `failed` by default.
    status: Option<String>,
}

/// Reruns rows, as a new batch.
pub(super) async fn rerun(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(asked): QueryParameters<BatchRerunQuery>,
) -> Result<Response> {
    view(&app, &session, id.clone()).await?;
    let word = asked.status.as_deref().unwrap_or("failed");
    let status = RunStatus::parse(word).filter(|status| status.is_final()).ok_or_else(|| {
        Error::Invalid(format!("Rows with status '{word}' cannot be rerun: give failed, dismissed or successful"))
    })?;
    let new = app.run_rerun_batch(&session, &id, status).await?;
    let location = [(header::LOCATION, format!("/api/v1/batches/{new}"))];
    Ok((StatusCode::CREATED, location, Json(view(&app, &session, new).await?)).into_response())
}

async fn view(app: &App, session: &UserSession, id: String) -> Result<BatchReply> {
    Ok(reply(app.batch_get(session, &id).await?))
}

fn reply(batch: BatchSummary) -> BatchReply {
    let error = |BatchErrorCount { name, category, count, example }: BatchErrorCount| BatchErrorReply {
        name,
        category,
        count,
        example,
    };
    BatchReply {
        id: batch.id,
        total: batch.counts.total(),
        counts: batch.counts,
        owner: batch.owner,
        job: batch.job_name,
        job_version: batch.job_version,
        package_version: batch.package_version,
        image: batch.image,
        label: batch.label,
        created: batch.created_at,
        errors: batch.errors.into_iter().map(error).collect(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Batches, newest first; the cursor is an id.
pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<BatchListQuery>,
) -> Result<Json<PageReply<BatchReply>>> {
    let limit = limit(asked.limit)?;
    let batches = app.batch_list(&session, asked.cursor.as_deref(), limit).await?;
    let next = batches.last().filter(|_| batches.len() == limit as usize).map(|last| last.id.clone());
    Ok(Json(PageReply { items: batches.into_iter().map(reply).collect(), next }))
}
