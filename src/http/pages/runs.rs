//! `/runs`: the list of runs, and what is done with several of them.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use http::Uri;

use super::filters;
use super::form::PageForm;
use super::frame::PageSection;
use super::job::TimeView;
use super::next_page::own_path;
use super::run::run_path;
use super::run_state::{duration, status_sign, status_word};
use super::{PageFrame, reply, reply_to_form, see_other};
use crate::app::{Error, RunChange, UserSession};
use crate::catalog::{RunCounts, RunFilter, RunPhase, RunStatus, RunSummary};
use crate::http::api::v1::runs::RunListQuery;
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};
use crate::http::routes::{RouteAccess, RouteTable};

/// Runs on a page. The form of a page has so many boxes at most.
const MOST_ROWS: u32 = 50;

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Runner, User};
    routes.add_page("/runs", User, show).add_form("/runs/stop", Runner, stop).add_form("/runs/again", Runner, again)
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunListPage {
    frame: PageFrame,
    token: String,
    /// Path and query of this page, to come back to.
    here: String,
    tabs: Vec<StatusTab>,
    fields: Vec<FilterField>,
    /// The chosen status, kept by the form of the filters.
    status: String,
    /// The list without filters; `None` if there are none.
    clear_url: Option<String>,
    rows: Vec<RunRow>,
    first_url: Option<String>,
    next_url: Option<String>,
    /// Whether runs of others are listed.
    is_of_all: bool,
}

/// Runs of one status, or all.
struct StatusTab {
    url: String,
    label: &'static str,
    count: u64,
    is_shown: bool,
}

/// A field of the form of the filters.
struct FilterField {
    name: &'static str,
    label: &'static str,
    /// `text` or `date`.
    kind: &'static str,
    value: String,
}

struct RunRow {
    id: String,
    url: String,
    sign: &'static str,
    status: &'static str,
    /// In percent; `None` for a run that waits or has ended.
    progress: Option<i64>,
    will_retry: bool,
    job: String,
    version: String,
    label: String,
    tags: Vec<String>,
    owner: String,
    created: TimeView,
    took: String,
    error: String,
}

async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    uri: Uri,
    QueryParameters(asked): QueryParameters<RunListQuery>,
) -> Result<Response> {
    let filter = asked.filter()?;
    let any = RunFilter { status: Vec::new(), ..filter.clone() };
    let counts = app.run_counts(&session, any).await?;
    let runs = app.run_list(&session, filter, asked.cursor.as_deref(), MOST_ROWS).await?;
    let query = uri.query().unwrap_or_default();
    let address = |changes: &[(&str, &str)]| frame.url(&with(query, changes));
    let next = runs.last().filter(|_| runs.len() == MOST_ROWS as usize);
    let is_filtered = with(query, &[("status", ""), ("cursor", "")]) != "/runs";
    let is_of_all = frame.is_admin();
    reply(&RunListPage {
        token: app.form_token(&session),
        here: with(query, &[]),
        tabs: tabs(&frame, query, &asked.status, counts),
        fields: fields(&asked, is_of_all),
        clear_url: is_filtered.then(|| frame.url("/runs")),
        first_url: asked.cursor.as_ref().map(|_| address(&[("cursor", "")])),
        next_url: next.map(|last| address(&[("cursor", &last.id)])),
        rows: runs.into_iter().map(|run| row(&frame, run)).collect(),
        status: asked.status,
        is_of_all,
        frame: frame.in_section(PageSection::Runs),
    })
}

/// The path of the list with changed parameters; those that are empty are left out.
fn with(query: &str, changes: &[(&str, &str)]) -> String {
    let is_kept = |name: &str| !changes.iter().any(|(changed, _)| *changed == name);
    let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
    let changes = changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let pairs = pairs.filter(|(name, _)| is_kept(name)).chain(changes).filter(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { "/runs".to_owned() } else { format!("/runs?{query}") }
}

fn tabs(frame: &PageFrame, query: &str, shown: &str, mut counts: RunCounts) -> Vec<StatusTab> {
    let address = |status: &str| frame.url(&with(query, &[("status", status), ("cursor", "")]));
    let all = StatusTab { url: address(""), label: "all", count: counts.total(), is_shown: shown.is_empty() };
    let one = |status: RunStatus| StatusTab {
        url: address(status.as_str()),
        label: status_word(status),
        count: *counts.of(status),
        is_shown: shown == status.as_str(),
    };
    std::iter::once(all).chain(RunStatus::ALL.map(one)).collect()
}

fn fields(asked: &RunListQuery, is_of_all: bool) -> Vec<FilterField> {
    let text = |name, label, value: &String| FilterField { name, label, kind: "text", value: value.clone() };
    let day = |name, label, time: Option<chrono::DateTime<chrono::Utc>>| FilterField {
        name,
        label,
        kind: "date",
        value: time.map(|time| time.format("%Y-%m-%d").to_string()).unwrap_or_default(),
    };
    let mut fields = vec![
        text("job", "Job", &asked.job),
        text("tag", "Tags", &asked.tag),
        text("error", "Error", &asked.error),
        text("batch", "Batch", &asked.batch),
        day("createdAfter", "From (UTC)", asked.created_after),
        day("createdBefore", "Before (UTC)", asked.created_before),
    ];
    if is_of_all {
        fields.push(text("owner", "User", &asked.owner));
    }
    // Without a field of its own, but not lost.
    for (name, label, value) in [("jobVersion", "Version", &asked.job_version), ("image", "Image", &asked.image)] {
        if !value.is_empty() {
            fields.push(text(name, label, value));
        }
    }
    fields
}

fn row(frame: &PageFrame, run: RunSummary) -> RunRow {
    let took = run.started_at.zip(run.finished_at).map(|(started, finished)| duration(finished - started));
    RunRow {
        url: frame.url(&run_path(&run.id)),
        id: run.id,
        sign: status_sign(run.status),
        status: status_word(run.status),
        progress: (run.status == RunStatus::Running).then_some(run.progress),
        will_retry: run.phase == RunPhase::RetryWait,
        job: run.job_name,
        version: run.job_version,
        label: run.label,
        tags: run.tags,
        owner: run.owner,
        created: TimeView::of(run.created_at),
        took: took.unwrap_or_default(),
        error: run.error_name.unwrap_or_default(),
    }
}

/// What could not be done with some of the chosen runs.
#[derive(Template)]
#[template(path = "runs_refused.html")]
struct RefusedRunsPage {
    frame: PageFrame,
    /// Such as `2 of 5 runs were not stopped`.
    heading: String,
    /// Runs and why.
    refused: Vec<(String, String, String)>,
    back_url: String,
}

/// The chosen runs, without repetitions.
///
/// # Errors
/// [`Error::Invalid`] for more than a page has.
fn chosen(form: &PageForm) -> Result<Vec<&str>> {
    let mut ids = form.texts("run");
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MOST_ROWS as usize {
        return Err(Error::Invalid(format!("At most {MOST_ROWS} runs are taken at once")).into());
    }
    Ok(ids)
}

/// Leads back to the list, or tells what could not be done.
fn done(frame: PageFrame, form: &PageForm, many: usize, what: &str, refused: Vec<(&str, Error)>) -> Result<Response> {
    let back = own_path(form.text("here")).filter(|path| path.starts_with("/runs"));
    let back = back.unwrap_or("/runs");
    if refused.is_empty() {
        return Ok(see_other(back));
    }
    let heading = format!("{} of {many} runs were not {what}", refused.len());
    let row = |(id, why): (&str, Error)| (frame.url(&run_path(id)), id.to_owned(), why.to_string());
    let page = RefusedRunsPage {
        refused: refused.into_iter().map(row).collect(),
        back_url: frame.url(back),
        frame: frame.in_section(PageSection::Runs),
        heading: heading.clone(),
    };
    reply_to_form(Error::Conflict(heading), &page)
}

/// Whether an error is about one run, so that the others can go on.
fn is_of_one(why: &Error) -> bool {
    matches!(why, Error::Conflict(_) | Error::NotFound(_) | Error::Invalid(_) | Error::Unrunnable(_))
}

/// Stops the chosen runs, without waiting for their ends.
async fn stop(RequestApp(app): RequestApp, frame: PageFrame, session: UserSession, form: PageForm) -> Result<Response> {
    let ids = chosen(&form)?;
    let mut refused = Vec::new();
    for id in &ids {
        match app.run_cancel(&session, id, Duration::ZERO).await {
            Ok(_) => {}
            Err(why) if is_of_one(&why) => refused.push((*id, why)),
            Err(why) => return Err(why.into()),
        }
    }
    done(frame, &form, ids.len(), "stopped", refused)
}

/// Runs the chosen runs again.
async fn again(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    form: PageForm,
) -> Result<Response> {
    let ids = chosen(&form)?;
    let mut refused = Vec::new();
    for id in &ids {
        match app.run_rerun(&session, id, &RunChange::default()).await {
            Ok(_) => {}
            Err(why) if is_of_one(&why) => refused.push((*id, why)),
            Err(why) => return Err(why.into()),
        }
    }
    done(frame, &form, ids.len(), "run again", refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_what_is_not_changed() {
        let query = "job=a%26b&status=failed&cursor=7&tag=";
        assert_eq!(with(query, &[]), "/runs?job=a%26b&status=failed&cursor=7");
        assert_eq!(with(query, &[("status", "running"), ("cursor", "")]), "/runs?job=a%26b&status=running");
        assert_eq!(with("", &[("status", "")]), "/runs");
    }
}
