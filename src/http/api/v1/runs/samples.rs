//! `/api/v1/runs/{id}/samples`: what a run's container used over time.

use axum::Json;
use serde::Deserialize;

use crate::api::samples::{SampleListReply, SampleReply};
use crate::app::UserSession;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SampleQuery {
    /// Attempt number, from 1; the last one by default.
    attempt: Option<u32>,
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(asked): QueryParameters<SampleQuery>,
) -> Result<Json<SampleListReply>> {
    let (attempt, file) = app.run_folder(&session, &id).await?.samples(asked.attempt).await?;
    let totals = file.totals();
    Ok(Json(SampleListReply {
        attempt,
        peak_memory: totals.map(|totals| totals.peak_memory),
        cpu_seconds: totals.map(|totals| totals.cpu_seconds),
        samples: file.samples().iter().copied().map(SampleReply::from).collect(),
    }))
}
