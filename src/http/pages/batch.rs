//! `/batches` and `/batch/{id}`: batches, and one with its runs, errors and outputs.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::batch_form;
use super::filters;
use super::form::PageForm;
use super::frame::PageSection;
use super::run::run_path;
use super::run_state::{fault, status_word};
use super::shown_time::ShownTime;
use super::{PageFrame, reply, see_other};
use crate::app::{BatchOutputPage, UserSession};
use crate::catalog::{BatchErrorCount, BatchSummary, RunCounts, RunStatus, RunSummary};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::routes::{RouteAccess, RouteTable};

/// Batches on a page.
const PAGE_SIZE: u32 = 50;
/// Runs in the grid of a page.
const GRID_SIZE: u32 = 1000;
/// Rows of outputs on a page; all of them are in the table to download.
const SHOWN_OUTPUTS: u32 = 50;
/// Longest value of an output on a page, in characters.
const LONGEST_VALUE: usize = 200;

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Runner, User};
    routes
        .add_page("/batches", User, list)
        .add_page("/batches/new", Runner, batch_form::show)
        .add_form_capped("/batches/new", Runner, batch_form::send, batch_form::LONGEST_FORM)
        .add_page("/batch/{id}", User, show)
        .add_form("/batch/{id}/cancel", Runner, cancel)
        .add_form("/batch/{id}/rerun", Runner, rerun)
}

#[derive(Template)]
#[template(path = "batches.html")]
struct BatchListPage {
    frame: PageFrame,
    batches: Vec<ListedBatch>,
    first_url: Option<String>,
    next_url: Option<String>,
}

/// A batch in the list.
struct ListedBatch {
    url: String,
    label: String,
    job: String,
    owner: String,
    created: ShownTime,
    total: u64,
    counts: Vec<StatusCount>,
}

/// The number of runs with one status.
struct StatusCount {
    word: &'static str,
    /// CSS class of the sign.
    sign: &'static str,
    count: u64,
}

#[derive(Template)]
#[template(path = "batch.html", blocks = ["main"])]
struct BatchPage {
    frame: PageFrame,
    batch: ListedBatch,
    image: String,
    id: String,
    cells: Vec<RunCell>,
    /// The rows in the grid, such as `1 to 1000`.
    extent: String,
    first_url: Option<String>,
    next_url: Option<String>,
    errors: Vec<ErrorRow>,
    is_active: bool,
    has_failed: bool,
    /// Names of the JSON outputs; empty if the job has none.
    outputs: Vec<String>,
    rows: Vec<OutputRow>,
    token: String,
}

/// A run in the grid.
struct RunCell {
    url: String,
    sign: &'static str,
    /// Such as `Row 7: failed, bad-input`.
    title: String,
}

/// Failed runs with the same error.
struct ErrorRow {
    name: String,
    fault: &'static str,
    count: u64,
    example_url: String,
}

/// The values that a run gave.
struct OutputRow {
    number: i64,
    url: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchPageQuery {
    cursor: Option<String>,
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    QueryParameters(BatchPageQuery { cursor }): QueryParameters<BatchPageQuery>,
) -> Result<Response> {
    let batches = app.batch_list(&session, cursor.as_deref(), PAGE_SIZE).await?;
    let last = batches.last().filter(|_| batches.len() == PAGE_SIZE as usize);
    reply(&BatchListPage {
        first_url: cursor.map(|_| frame.url("/batches")),
        next_url: last.map(|last| frame.url(&format!("/batches?cursor={}", last.id))),
        batches: batches.into_iter().map(|batch| batch_row(&frame, batch)).collect(),
        frame: frame.in_section(PageSection::Runs),
    })
}

fn batch_row(frame: &PageFrame, batch: BatchSummary) -> ListedBatch {
    ListedBatch {
        url: frame.url(&format!("/batch/{}", batch.id)),
        job: format!("{} {}", batch.job_name, batch.job_version),
        label: batch.label,
        owner: batch.owner,
        created: ShownTime::of(batch.created_at),
        total: batch.counts.total(),
        counts: status_counts(batch.counts),
    }
}

/// The statuses that runs have, with their numbers.
fn status_counts(mut counts: RunCounts) -> Vec<StatusCount> {
    use RunStatus::{Accepted, Dismissed, Failed, Running, Successful};
    let all = [Failed, Running, Accepted, Successful, Dismissed];
    let counted = all.map(|status| (status, *counts.of(status)));
    let there = counted.into_iter().filter(|(_, count)| *count > 0);
    there.map(|(status, count)| StatusCount { word: status_word(status), sign: sign(status), count }).collect()
}

/// CSS class of the square: colour and shape.
fn sign(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Accepted => "waits",
        RunStatus::Running => "runs",
        RunStatus::Successful => "good",
        RunStatus::Failed => "bad",
        RunStatus::Dismissed => "ended",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchGridQuery {
    /// The row after which the grid begins.
    #[serde(default)]
    after: i64,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(BatchGridQuery { after }): QueryParameters<BatchGridQuery>,
) -> Result<Response> {
    let batch = app.batch_get(&session, &id).await?;
    let runs = app.run_list_batch(&session, &batch.id, after, GRID_SIZE).await?;
    let outputs = app.batch_outputs(&session, &batch.id, after, SHOWN_OUTPUTS).await?;
    let path = format!("/batch/{}", batch.id);
    let row_of = |run: Option<&RunSummary>| run.and_then(|run| run.batch_row).unwrap_or_default();
    let next = runs.last().filter(|_| runs.len() == GRID_SIZE as usize).and_then(|last| last.batch_row);
    let is_fragment = frame.is_fragment();
    let page = BatchPage {
        extent: format!("{} to {}", row_of(runs.first()), row_of(runs.last())),
        first_url: (after > 0).then(|| frame.url(&path)),
        next_url: next.map(|row| frame.url(&format!("{path}?after={row}"))),
        cells: runs.into_iter().map(|run| cell(&frame, run)).collect(),
        errors: batch.errors.iter().map(|error| error_row(&frame, error)).collect(),
        is_active: batch.counts.accepted + batch.counts.running > 0,
        has_failed: batch.counts.failed > 0,
        image: batch.image.clone(),
        id: batch.id.clone(),
        rows: output_rows(&frame, &outputs),
        outputs: outputs.names,
        batch: batch_row(&frame, batch),
        token: app.form_token(&session),
        frame: frame.in_section(PageSection::Runs),
    };
    if is_fragment { reply(&page.as_main()) } else { reply(&page) }
}

fn cell(frame: &PageFrame, run: RunSummary) -> RunCell {
    let error = run.error_name.map(|name| format!(", {name}")).unwrap_or_default();
    RunCell {
        url: frame.url(&run_path(&run.id)),
        sign: sign(run.status),
        title: format!("Row {}: {}{error}", run.batch_row.unwrap_or_default(), status_word(run.status)),
    }
}

fn error_row(frame: &PageFrame, error: &BatchErrorCount) -> ErrorRow {
    ErrorRow {
        name: error.name.clone(),
        fault: error.category.as_deref().map_or("", fault),
        count: error.count,
        example_url: frame.url(&run_path(&error.example)),
    }
}

fn output_rows(frame: &PageFrame, outputs: &BatchOutputPage) -> Vec<OutputRow> {
    let value = |value: Option<&Value>| {
        let text = match value {
            None | Some(Value::Null) => return String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        super::ports::cut(&text, LONGEST_VALUE)
    };
    let given = outputs.rows.iter().filter(|row| !row.json.is_empty());
    let row = given.map(|row| OutputRow {
        number: row.row,
        url: frame.url(&run_path(&row.run)),
        values: outputs.names.iter().map(|name| value(row.json.get(name))).collect(),
    });
    row.collect()
}

/// Stops the runs that have not ended.
pub(super) async fn cancel(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    _form: PageForm,
) -> Result<Response> {
    let batch = app.batch_get(&session, &id).await?;
    app.run_cancel_batch(&session, &batch.id).await?;
    Ok(see_other(&format!("/batch/{}", batch.id)))
}

/// Runs the failed rows again, as a new batch.
pub(super) async fn rerun(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    _form: PageForm,
) -> Result<Response> {
    let batch = app.batch_get(&session, &id).await?;
    let new = app.run_rerun_batch(&session, &batch.id, RunStatus::Failed).await?;
    Ok(see_other(&format!("/batch/{new}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statuses_that_runs_have_are_counted_the_failed_ones_first() {
        let counts = RunCounts { accepted: 1, successful: 7, failed: 2, ..RunCounts::default() };
        let told: Vec<_> = status_counts(counts).iter().map(|one| (one.word, one.count)).collect();
        assert_eq!(told, [("failed", 2), ("waiting", 1), ("successful", 7)]);
        assert!(status_counts(RunCounts::default()).is_empty());
    }
}
