//! `/api/v1/runs/{id}/logs/{log}/lines`: a log by lines, and searches in it.

use axum::Json;
use serde::Deserialize;

use super::logs::log_named;
use crate::api::runs::{LogLineReply, LogLinesReply};
use crate::app::{Error, LogLine, LogSelection, UserSession};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};

/// Most lines of one reply, and how many it has by default.
const MOST: usize = 10_000;
const DEFAULT: usize = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LogLinesQuery {
    /// Attempt number, from 1; the last one by default.
    attempt: Option<u32>,
    from_line: Option<u64>,
    lines: Option<usize>,
    #[serde(default)]
    grep: String,
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, log)): PathParameters<(String, String)>,
    QueryParameters(asked): QueryParameters<LogLinesQuery>,
) -> Result<Json<LogLinesReply>> {
    let most = asked.lines.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&most) {
        return Err(Error::Invalid(format!("lines is a number from 1 to {MOST}")).into());
    }
    let contains = Some(asked.grep).filter(|words| !words.is_empty());
    let selection = LogSelection { first: asked.from_line, most, contains };
    let run = app.run_folder(&session, &id).await?;
    let found = run.log_lines(log_named(&log)?, asked.attempt, &selection).await?;
    let item = |LogLine { number, time, stream, text, cut }| LogLineReply { line: number, time, stream, text, cut };
    Ok(Json(LogLinesReply {
        items: found.lines.into_iter().map(item).collect(),
        total: found.total,
        hits: found.hits,
        next: found.next,
    }))
}
