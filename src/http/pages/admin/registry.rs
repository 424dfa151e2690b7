//! `/admin/registries/{id}`: one registry, its scans, and what is wrong with it.

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::kinds::kind_title;
use super::registries::{RepositoryRow, place};
use super::scan_history::{ScanHistory, StateSign, duration_text};
use crate::app::{App, RegistryOverview, RegistryStatus, UserSession, ca_fingerprints};
use crate::catalog::{RegistryId, RegistryRecord, ScanId, ScanProblemCount, ScanRecord, ScanState, ScanTrigger};
use crate::http::error::Result;
use crate::http::extract::{PathId, QueryParameters, RequestApp, id};
use crate::http::pages::form::PageForm;
use crate::http::pages::frame::PageSection;
use crate::http::pages::shown_time::ShownTime;
use crate::http::pages::{PageFrame, filters, reply, see_other};

#[derive(Template)]
#[template(path = "admin_registry.html")]
struct RegistryPage {
    frame: PageFrame,
    token: String,
    /// What the last form did.
    done: Option<&'static str>,
    registry: RegistryRecord,
    kind: &'static str,
    place: String,
    /// Fingerprints of its own certificate authorities.
    authorities: Vec<String>,
    images: u64,
    next: Option<ShownTime>,
    active: Option<ActiveScan>,
    last: Option<LastScan>,
    /// Tags whose removal waits for an admin.
    held: u64,
    history: ScanHistory,
    problem_scan: i64,
    problems: Vec<ScanProblemCount>,
    failing: Vec<RepositoryRow>,
    failing_count: u64,
}

/// A scan that is queued or runs.
struct ActiveScan {
    id: i64,
    is_running: bool,
    /// Finished tags, and those found so far; at least 1.
    done: u64,
    all: u64,
    words: String,
}

impl ActiveScan {
    fn new(scan: &ScanRecord, now: DateTime<Utc>) -> Self {
        let counts = &scan.counts;
        let is_running = scan.state == ScanState::Running;
        let words = match scan.remaining(now).filter(|_| is_running) {
            _ if !is_running => "The scan waits for a worker.".to_owned(),
            Some(left) => format!("{} of {} tags, about {} left", counts.tags_done, counts.tags, duration_text(left)),
            None => format!("{} of {} tags", counts.tags_done, counts.tags),
        };
        Self { id: scan.id.0, is_running, done: counts.tags_done, all: counts.tags.max(1), words }
    }
}

/// The newest scan of the whole registry, if it has ended.
struct LastScan {
    state: StateSign,
    ended: Option<ShownTime>,
    error: String,
    notes: Vec<String>,
}

impl RegistryPage {
    fn new(app: &App, frame: PageFrame, session: &UserSession, overview: RegistryOverview) -> Self {
        let RegistryOverview { status, scans, last_ended, problems, failing } = overview;
        let RegistryStatus { registry, last_scan, size, .. } = status;
        let active = scans.first().filter(|scan| scan.state.is_active());
        let ended = last_scan.filter(|scan| !scan.state.is_active());
        let is_held = ended.as_ref().is_some_and(|scan| scan.state == ScanState::Held);
        Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            done: None,
            kind: kind_title(registry.kind),
            place: place(&registry).to_owned(),
            authorities: ca_fingerprints(&registry),
            images: size.images,
            next: registry.next_scan_at.map(ShownTime::of),
            active: active.map(|scan| ActiveScan::new(scan, app.clock().now())),
            held: ended.as_ref().filter(|_| is_held).map_or(0, |scan| scan.counts.held),
            last: ended.map(|scan| LastScan {
                state: StateSign::of(scan.state),
                ended: scan.finished_at.map(ShownTime::of),
                notes: scan.notes(),
                error: scan.error.unwrap_or_default(),
            }),
            history: ScanHistory::new(&scans),
            problem_scan: last_ended.map_or(0, |scan| scan.0),
            problems,
            failing: failing.into_iter().map(RepositoryRow::from).collect(),
            failing_count: size.failing_repositories,
            registry,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistryQuery {
    /// What the form did that led here.
    done: Option<String>,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<RegistryId>,
    QueryParameters(RegistryQuery { done }): QueryParameters<RegistryQuery>,
) -> Result<Response> {
    let overview = app.registry_overview(id).await?;
    let mut page = RegistryPage::new(&app, frame, &session, overview);
    page.done = match done.as_deref() {
        Some("added") => Some("The registry is added. Its first scan has been requested."),
        Some("changed") => Some("The registry is changed."),
        Some("scan") => Some("A scan has been requested."),
        Some("cancelled") => Some("The scan is cancelled. What it had stored stays."),
        Some("confirmed") => Some("Confirmed. Another scan removes what is still missing."),
        Some("unhooked") => Some("The hook is removed. Its address no longer works."),
        _ => None,
    };
    reply(&page)
}

pub(super) async fn scan(
    RequestApp(app): RequestApp,
    PathId(id): PathId<RegistryId>,
    _form: PageForm,
) -> Result<Response> {
    app.scan_request(id, ScanTrigger::Manual).await?;
    Ok(see_other(&format!("/admin/registries/{id}?done=scan")))
}

/// Cancels the scan that the form names.
pub(super) async fn cancel(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathId(registry): PathId<RegistryId>,
    form: PageForm,
) -> Result<Response> {
    app.scan_cancel(&session, ScanId(id(form.text("scan"))?)).await?;
    Ok(see_other(&format!("/admin/registries/{registry}?done=cancelled")))
}
