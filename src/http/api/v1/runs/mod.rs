//! `/api/v1/runs`: runs of jobs.

mod archive;
mod batch_outputs;
mod batches;
mod forms;
mod limits;
mod list_query;
mod log_lines;
pub(in crate::http) mod logs;
mod outputs;
mod samples;
mod uploads;
mod views;

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response, sse};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use self::forms::RerunForm;
pub(in crate::http) use self::list_query::RunListQuery;
use super::limit;
use crate::api::runs::{PlannedRunReply, RunPageReply, RunReply, RunSummaryReply};
use crate::app::{Error, PlannedRun, RunChange, RunForm, SubmitOutcome, UserSession};
use crate::engine::run::record::RunRecord;
use crate::http::error::Result;
use crate::http::extract::{self, PathParameters, QueryParameters, RequestApp};
use crate::http::form_parts::LONGEST_FORM;
use crate::http::routes::{RouteAccess, RouteTable};
use crate::http::stream::{StreamOpener, is_wanted};

/// How long a cancel request waits for the job's end: by default the job has ten seconds after TERM.
const CANCEL: Duration = Duration::from_secs(15);
/// Longest form of a batch, in bytes.
const LONGEST_BATCH: usize = 16 * 1024 * 1024;

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Runner, User};
    const DELETE: Method = Method::DELETE;
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    routes
        .add_streamed(POST, "/api/v1/runs", Runner, submit)
        .add(GET, "/api/v1/runs", User, list)
        .add(GET, "/api/v1/runs/limits", Runner, limits::get)
        .add(GET, "/api/v1/runs/{id}", User, get)
        .add(DELETE, "/api/v1/runs/{id}", Runner, delete)
        .add(GET, "/api/v1/runs/{id}/events", User, events)
        .add(POST, "/api/v1/runs/{id}/cancel", Runner, cancel)
        .add_capped(POST, "/api/v1/runs/{id}/rerun", Runner, rerun, LONGEST_FORM)
        .add(GET, "/api/v1/runs/{id}/logs/{log}", User, logs::get)
        .add(GET, "/api/v1/runs/{id}/logs/{log}/lines", User, log_lines::get)
        .add(GET, "/api/v1/runs/{id}/outputs", User, outputs::list)
        .add(GET, "/api/v1/runs/{id}/outputs/{name}", User, outputs::only)
        .add(GET, "/api/v1/runs/{id}/outputs/{name}/{index}", User, outputs::one)
        .add(GET, "/api/v1/runs/{id}/files/{*path}", User, outputs::file)
        .add(GET, "/api/v1/runs/{id}/archive", User, archive::get)
        .add(GET, "/api/v1/runs/{id}/samples", User, samples::list)
        .add(GET, "/api/v1/outputs", User, outputs::earlier)
        .add_streamed(POST, "/api/v1/uploads", Runner, uploads::upload)
        .add(GET, "/api/v1/uploads", User, uploads::list)
        .add(GET, "/api/v1/uploads/{sha256}", User, uploads::file)
        .add_capped(POST, "/api/v1/batches", Runner, batches::submit, LONGEST_BATCH)
        .add(GET, "/api/v1/batches", User, batches::list)
        .add(GET, "/api/v1/batches/{id}", User, batches::get)
        .add(GET, "/api/v1/batches/{id}/outputs", User, batch_outputs::list)
        .add(GET, "/api/v1/batches/{id}/outputs.csv", User, batch_outputs::csv)
        .add(GET, "/api/v1/batches/{id}/runs", User, batches::runs)
        .add(POST, "/api/v1/batches/{id}/cancel", Runner, batches::cancel)
        .add(POST, "/api/v1/batches/{id}/rerun", Runner, batches::rerun)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmitQuery {
    #[serde(default)]
    dry_run: bool,
}

async fn submit(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<SubmitQuery>,
    request: Request,
) -> Result<Response> {
    let form: RunForm = uploads::submitted(&app, &session, request).await?.read()?;
    if asked.dry_run {
        return Ok(Json(planned(app.run_plan(&session, &form).await?)).into_response());
    }
    match app.run_submit(&session, &form).await? {
        SubmitOutcome::Queued(record) => Ok(created(*record)),
        SubmitOutcome::Alike(run) => {
            let known = (HeaderName::from_static("silo-deduplicated"), HeaderValue::from_static("true"));
            Ok(([known], Json(RunReply::from(app.run_get(&session, &run.id).await?))).into_response())
        }
    }
}

fn planned(run: PlannedRun) -> PlannedRunReply {
    let PlannedRun { image, digest, plan, docker_run } = run;
    let plan = serde_json::to_value(plan).expect("a plan is JSON");
    PlannedRunReply { image, digest, plan, docker_run }
}

fn created(record: RunRecord) -> Response {
    let location = [(header::LOCATION, format!("/api/v1/runs/{}", record.id))];
    (StatusCode::CREATED, location, Json(RunReply::from(record))).into_response()
}

async fn list(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<RunListQuery>,
) -> Result<Json<RunPageReply>> {
    let (filter, limit) = (asked.filter()?, limit(asked.limit)?);
    let counts = app.run_counts(&session, filter.clone()).await?;
    let runs = app.run_list(&session, filter, asked.cursor.as_deref(), limit).await?;
    let next = runs.last().filter(|_| runs.len() == limit as usize).map(|last| last.id.clone());
    let items = runs.into_iter().map(RunSummaryReply::from).collect();
    Ok(Json(RunPageReply { items, next, total: counts.total(), counts }))
}

async fn get(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Json<RunReply>> {
    Ok(Json(app.run_get(&session, &id).await?.into()))
}

async fn delete(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<StatusCode> {
    app.run_delete(&session, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cancel(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Response> {
    let run = app.run_cancel(&session, &id, CANCEL).await?;
    let status = if run.status.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(RunSummaryReply::from(run))).into_response())
}

async fn rerun(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    form: Option<extract::JsonBody<RerunForm>>,
) -> Result<Response> {
    let change: RunChange = form.map(|extract::JsonBody(form)| form.read()).transpose()?.unwrap_or_default();
    Ok(created(app.run_rerun(&session, &id, &change).await?))
}

/// What was sent last.
enum RunStreamState {
    Nothing,
    Run(Box<RunRecord>),
    End,
}

async fn events(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    headers: HeaderMap,
    opening: StreamOpener,
) -> Result<Response> {
    let run = app.run_summary(&session, &id).await?;
    if !is_wanted(&headers) {
        return Ok(Json(RunSummaryReply::from(run)).into_response());
    }
    opening.reply(stream::unfold((app, session, RunStreamState::Nothing), move |(app, session, sent)| {
        let id = id.clone();
        async move {
            let seen = match sent {
                RunStreamState::Nothing => app.run_get(&session, &id).await,
                RunStreamState::Run(seen) => app.run_next(&session, &seen).await,
                RunStreamState::End => return None,
            };
            let (record, run) = match seen {
                Ok(record) => (record, app.run_summary(&session, &id).await.ok()?),
                Err(Error::NotFound(_)) => return None,
                Err(why) => {
                    tracing::warn!(%why, run = id, "a run's status cannot be read; closing its stream");
                    return None;
                }
            };
            let is_over = run.status.is_final();
            let data = serde_json::to_string(&RunSummaryReply::from(run)).expect("texts and numbers have a JSON form");
            let event = sse::Event::default().event("run").data(data);
            Some((
                event,
                (app, session, if is_over { RunStreamState::End } else { RunStreamState::Run(Box::new(record)) }),
            ))
        }
    }))
}
