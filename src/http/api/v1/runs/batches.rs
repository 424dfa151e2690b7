//! `/api/v1/batches`: one job, many rows.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;

use super::forms::BatchForm;
use crate::api::PageReply;
use crate::api::runs::{BatchReply, RunSummaryReply};
use crate::app::{App, Error, UserSession};
use crate::catalog::{RunFilter, RunStatus};
use crate::http::api::v1::{NumberPagingQuery, limit};
use crate::http::error::Result;
use crate::http::extract::{self, PathParameters, QueryParameters};

pub(super) async fn submit(
    State(app): State<App>,
    session: UserSession,
    extract::JsonBody(form): extract::JsonBody<BatchForm>,
) -> Result<Response> {
    let (all, rows) = form.read()?;
    let id = app.run_submit_batch(&session, &all, rows).await?;
    let location = [(header::LOCATION, format!("/api/v1/batches/{id}"))];
    Ok((StatusCode::CREATED, location, Json(view(&app, &session, id).await?)).into_response())
}

pub(super) async fn get(
    State(app): State<App>,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Json<BatchReply>> {
    Ok(Json(view(&app, &session, id).await?))
}

/// The rows, in order; the cursor is a row number.
pub(super) async fn runs(
    State(app): State<App>,
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
    State(app): State<App>,
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
    State(app): State<App>,
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
    let counts = app.run_counts(session, RunFilter { batch: Some(id.clone()), ..RunFilter::default() }).await?;
    match counts.total() {
        0 => Err(Error::NotFound("No batch found with that ID".to_owned()).into()),
        total => Ok(BatchReply { id, total, counts }),
    }
}
