//! `/api/v1/scans`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use super::{NumberPagingQuery, PageView, limit};
use crate::app::{App, UserSession};
use crate::catalog::{OutcomeGroup, RegistryId, ScanCounts, ScanId, ScanProblem, ScanRecord, ScanTrigger};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, id};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScanView {
    id: i64,
    registry_id: i64,
    registry: String,
    /// `queued`, `running`, `complete`, `partial`, `held`, `failed`, `cancelled`.
    state: &'static str,
    trigger: &'static str,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    attempts: i64,
    counts: ScanCountsView,
    /// An estimate; null if unknown.
    remaining_seconds: Option<i64>,
    error: Option<String>,
    /// Further notes, in words.
    notes: Vec<String>,
}

impl ScanView {
    pub(super) fn new(scan: ScanRecord, now: DateTime<Utc>) -> Self {
        Self {
            id: scan.id.0,
            registry_id: scan.registry_id.0,
            state: scan.state.as_str(),
            trigger: scan.trigger.as_str(),
            created_at: scan.created_at,
            started_at: scan.started_at,
            finished_at: scan.finished_at,
            attempts: scan.attempts,
            remaining_seconds: scan.remaining(now).map(|remaining| remaining.num_seconds()),
            notes: scan.notes(),
            counts: ScanCountsView::new(&scan),
            error: scan.error,
            registry: scan.registry_name,
        }
    }
}

/// The counts, with tags by outcome: the four kinds add up to `tags`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScanCountsView {
    #[serde(flatten)]
    counts: ScanCounts,
    tags_seed: u64,
    tags_not_seed: u64,
    tags_with_problems: u64,
    tags_passed_over: u64,
}

impl ScanCountsView {
    fn new(scan: &ScanRecord) -> Self {
        let outcomes = scan.outcomes();
        Self {
            counts: ScanCounts { outcomes, ..scan.counts },
            tags_seed: outcomes.of(OutcomeGroup::Seed),
            tags_not_seed: outcomes.of(OutcomeGroup::NotSeed),
            tags_with_problems: outcomes.of(OutcomeGroup::Problem),
            tags_passed_over: outcomes.of(OutcomeGroup::PassedOver),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ScanProblemView {
    code: String,
    repository: String,
    tag: String,
    message: String,
}

impl From<ScanProblem> for ScanProblemView {
    fn from(stored: ScanProblem) -> Self {
        let problem = stored.problem;
        Self { code: problem.code, repository: problem.repository, tag: problem.tag, message: problem.message }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanListQuery {
    registry: Option<i64>,
    limit: Option<u32>,
    cursor: Option<i64>,
}

pub(super) async fn request(
    State(app): State<App>,
    PathParameters(registry): PathParameters<String>,
) -> Result<impl IntoResponse> {
    let scan = app.scan_request(RegistryId(id(&registry)?), ScanTrigger::Manual).await?;
    accepted(&app, scan).await
}

pub(super) async fn confirm(
    State(app): State<App>,
    PathParameters(scan): PathParameters<String>,
) -> Result<impl IntoResponse> {
    let scan = app.scan_confirm(ScanId(id(&scan)?)).await?;
    accepted(&app, scan).await
}

async fn accepted(app: &App, scan: ScanId) -> Result<impl IntoResponse + use<>> {
    let view = ScanView::new(app.scan_get(scan).await?, app.clock().now());
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/api/v1/scans/{scan}"))], Json(view)))
}

pub(super) async fn list(
    State(app): State<App>,
    QueryParameters(asked): QueryParameters<ScanListQuery>,
) -> Result<Json<PageView<ScanView>>> {
    let limit = limit(asked.limit)?;
    let scans = app.scan_list(asked.registry.map(RegistryId), asked.cursor.map(ScanId), limit).await?;
    let next = next_cursor(&scans, limit, |scan| scan.id.0);
    let now = app.clock().now();
    Ok(Json(PageView { items: scans.into_iter().map(|scan| ScanView::new(scan, now)).collect(), next }))
}

pub(super) async fn get(
    State(app): State<App>,
    PathParameters(scan): PathParameters<String>,
) -> Result<Json<ScanView>> {
    Ok(Json(ScanView::new(app.scan_get(ScanId(id(&scan)?)).await?, app.clock().now())))
}

pub(super) async fn cancel(
    State(app): State<App>,
    session: UserSession,
    PathParameters(scan): PathParameters<String>,
) -> Result<Json<ScanView>> {
    Ok(Json(ScanView::new(app.scan_cancel(&session, ScanId(id(&scan)?)).await?, app.clock().now())))
}

pub(super) async fn problems(
    State(app): State<App>,
    PathParameters(scan): PathParameters<String>,
    QueryParameters(asked): QueryParameters<NumberPagingQuery>,
) -> Result<Json<PageView<ScanProblemView>>> {
    let limit = limit(asked.limit)?;
    let found = app.scan_problems(ScanId(id(&scan)?), asked.cursor.unwrap_or(0), limit).await?;
    let next = next_cursor(&found, limit, |problem| problem.seq);
    Ok(Json(PageView { items: found.into_iter().map(ScanProblemView::from).collect(), next }))
}

/// A full page may have a next one.
fn next_cursor<T>(items: &[T], limit: u32, key: impl Fn(&T) -> i64) -> Option<String> {
    items.last().filter(|_| items.len() == limit as usize).map(|last| key(last).to_string())
}
