//! `/api/v1/scans`.

use axum::Json;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use serde::Deserialize;

use super::limit;
use crate::api::PageReply;
use crate::api::scans::{ScanCountsReply, ScanProblemCountReply, ScanProblemCountsReply, ScanProblemReply, ScanReply};
use crate::app::{App, UserSession};
use crate::catalog::{
    NewScanProblem, OutcomeGroup, RegistryId, ScanCounts, ScanId, ScanProblem, ScanProblemCount, ScanRecord,
    ScanTrigger,
};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp, id};

pub(super) fn scan_reply(scan: ScanRecord, now: DateTime<Utc>) -> ScanReply {
    let outcomes = scan.outcomes();
    ScanReply {
        id: scan.id.0,
        registry_id: scan.registry_id.0,
        state: scan.state.as_str().into(),
        trigger: scan.trigger.as_str().into(),
        created_at: scan.created_at,
        started_at: scan.started_at,
        finished_at: scan.finished_at,
        attempts: scan.attempts,
        counts: ScanCountsReply {
            counts: ScanCounts { outcomes, ..scan.counts },
            tags_seed: outcomes.of(OutcomeGroup::Seed),
            tags_not_seed: outcomes.of(OutcomeGroup::NotSeed),
            tags_with_problems: outcomes.of(OutcomeGroup::Problem),
            tags_passed_over: outcomes.of(OutcomeGroup::PassedOver),
        },
        remaining_seconds: scan.remaining(now).map(|remaining| remaining.num_seconds()),
        notes: scan.notes(),
        error: scan.error,
        registry: scan.registry_name,
    }
}

fn problem_reply(ScanProblem { problem, .. }: ScanProblem) -> ScanProblemReply {
    let NewScanProblem { code, repository, tag, message } = problem;
    ScanProblemReply { code, repository, tag, message }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanListQuery {
    registry: Option<i64>,
    limit: Option<u32>,
    cursor: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProblemListQuery {
    /// Empty for all.
    #[serde(default)]
    code: String,
    limit: Option<u32>,
    cursor: Option<i64>,
}

pub(super) async fn request(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
) -> Result<impl IntoResponse> {
    let scan = app.scan_request(RegistryId(id(&registry)?), ScanTrigger::Manual).await?;
    accepted(&app, scan).await
}

pub(super) async fn confirm(
    RequestApp(app): RequestApp,
    PathParameters(scan): PathParameters<String>,
) -> Result<impl IntoResponse> {
    let scan = app.scan_confirm(ScanId(id(&scan)?)).await?;
    accepted(&app, scan).await
}

/// Adds the registry of the demo, and requests a scan of it.
pub(super) async fn load_demo(RequestApp(app): RequestApp) -> Result<impl IntoResponse> {
    let scan = app.demo_start().await?;
    accepted(&app, scan).await
}

async fn accepted(app: &App, scan: ScanId) -> Result<impl IntoResponse + use<>> {
    let view = scan_reply(app.scan_get(scan).await?, app.clock().now());
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/api/v1/scans/{scan}"))], Json(view)))
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    QueryParameters(asked): QueryParameters<ScanListQuery>,
) -> Result<Json<PageReply<ScanReply>>> {
    let limit = limit(asked.limit)?;
    let scans = app.scan_list(asked.registry.map(RegistryId), asked.cursor.map(ScanId), limit).await?;
    let next = next_cursor(&scans, limit, |scan| scan.id.0);
    let now = app.clock().now();
    Ok(Json(PageReply { items: scans.into_iter().map(|scan| scan_reply(scan, now)).collect(), next }))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(scan): PathParameters<String>,
) -> Result<Json<ScanReply>> {
    Ok(Json(scan_reply(app.scan_get(ScanId(id(&scan)?)).await?, app.clock().now())))
}

pub(super) async fn cancel(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(scan): PathParameters<String>,
) -> Result<Json<ScanReply>> {
    Ok(Json(scan_reply(app.scan_cancel(&session, ScanId(id(&scan)?)).await?, app.clock().now())))
}

pub(super) async fn problems(
    RequestApp(app): RequestApp,
    PathParameters(scan): PathParameters<String>,
    QueryParameters(asked): QueryParameters<ProblemListQuery>,
) -> Result<Json<PageReply<ScanProblemReply>>> {
    let limit = limit(asked.limit)?;
    let found = app.scan_problems(ScanId(id(&scan)?), &asked.code, asked.cursor.unwrap_or(0), limit).await?;
    let next = next_cursor(&found, limit, |problem| problem.seq);
    Ok(Json(PageReply { items: found.into_iter().map(problem_reply).collect(), next }))
}

pub(super) async fn problem_counts(
    RequestApp(app): RequestApp,
    PathParameters(scan): PathParameters<String>,
) -> Result<Json<ScanProblemCountsReply>> {
    let counts = app.scan_problem_counts(ScanId(id(&scan)?)).await?;
    let view = |ScanProblemCount { code, count }| ScanProblemCountReply { code, count };
    Ok(Json(ScanProblemCountsReply { items: counts.into_iter().map(view).collect() }))
}

/// A full page may have a next one.
fn next_cursor<T>(items: &[T], limit: u32, key: impl Fn(&T) -> i64) -> Option<String> {
    items.last().filter(|_| items.len() == limit as usize).map(|last| key(last).to_string())
}
