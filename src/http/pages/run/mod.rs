//! `/run/{id}`: the page of a run, its logs, and what can be done with it.

mod log;
mod log_view;
mod outputs;
mod terminal_text;
mod view;

use std::time::Duration;

use axum::response::Response;
use serde::Deserialize;

use self::log_view::LogView;
use self::view::RunPage;
use super::form::PageForm;
use super::frame::PageSection;
use super::plots::plots;
use super::preview::previews;
use super::{PageFrame, reply, see_other};
use crate::app::{AttemptLog, Error, LogLines, LogSelection, RunChange, RunFolder, UserSession};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::routes::{RouteAccess, RouteTable};

/// How long a page waits for the end of a run that it stops. The next page shows what goes on.
const STOP: Duration = Duration::from_secs(3);
/// Lines of standard error beside a failure.
const LAST_WORDS: usize = 20;

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Runner, User};
    routes
        .add_page("/run/{id}", User, show)
        .add_form("/run/{id}/stop", Runner, stop)
        .add_form("/run/{id}/again", Runner, again)
        .add_form("/run/{id}/discard", Runner, discard)
        .add_page("/run/{id}/plots", User, used)
        .add_page("/run/{id}/log/{log}", User, log::show)
        .add_page("/run/{id}/log/{log}/follow", User, log::follow)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunQuery {}

async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(RunQuery {}): QueryParameters<RunQuery>,
) -> Result<Response> {
    let detail = app.run_detail(&session, &id).await?;
    let (mut log, mut last_words) = (None, Vec::new());
    if let Some(files) = detail.files.as_ref().filter(|_| !detail.record.attempts.is_empty()) {
        let selection = LogSelection { most: log_view::MOST_LINES, ..LogSelection::default() };
        let found = lines(files, AttemptLog::Combined, None, &selection).await?;
        log = Some(LogView::new(&frame, &detail.record, AttemptLog::Combined, None, &selection, found));
        if detail.record.error.is_some() {
            let selection = LogSelection { most: LAST_WORDS, ..LogSelection::default() };
            let found = lines(files, AttemptLog::Stderr, None, &selection).await?;
            last_words = found.map(log_view::texts).unwrap_or_default();
        }
    }
    let shown = match &detail.files {
        Some(files) => Some((plots(files).await, previews(files, &frame).await)),
        None => None,
    };
    let token = app.form_token(&session);
    let is_fragment = frame.is_fragment();
    let page = RunPage::new(frame.in_section(PageSection::Runs), token, detail, (log, last_words), shown);
    if is_fragment { reply(&page.as_main()) } else { reply(&page) }
}

/// The plots alone, for a page that is open while they grow.
async fn used(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Response> {
    reply(&plots(&app.run_folder(&session, &id).await?).await)
}

/// Lines of a log; `None` if nothing was printed yet.
async fn lines(
    files: &RunFolder,
    log: AttemptLog,
    attempt: Option<u32>,
    selection: &LogSelection,
) -> Result<Option<LogLines>> {
    match files.log_lines(log, attempt, selection).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

async fn stop(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    _form: PageForm,
) -> Result<Response> {
    app.run_cancel(&session, &id, STOP).await?;
    Ok(see_other(&run_path(&id)))
}

/// Runs it again; leads to the new run.
async fn again(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    _form: PageForm,
) -> Result<Response> {
    let new = app.run_rerun(&session, &id, &RunChange::default()).await?;
    Ok(see_other(&run_path(&new.id)))
}

/// Throws its logs and outputs away.
async fn discard(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    _form: PageForm,
) -> Result<Response> {
    app.run_delete(&session, &id).await?;
    Ok(see_other(&run_path(&id)))
}

/// The path of the page of a run that exists: its id needs no encoding.
pub(super) fn run_path(id: &str) -> String {
    format!("/run/{id}")
}
