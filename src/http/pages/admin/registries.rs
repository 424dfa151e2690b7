//! `/admin/registries`: all registries; and the repositories of one.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::kinds::kind_title;
use super::scan_history::StateSign;
use crate::app::RegistryStatus;
use crate::catalog::{RegistryId, RegistryRecord, ScannedRepository};
use crate::http::error::Result;
use crate::http::extract::{PathId, QueryParameters, RequestApp};
use crate::http::pages::frame::PageSection;
use crate::http::pages::shown_time::ShownTime;
use crate::http::pages::{PageFrame, filters, reply};

#[derive(Template)]
#[template(path = "admin_registries.html")]
struct RegistriesPage {
    frame: PageFrame,
    registries: Vec<RegistryRow>,
    /// Whether one was deleted just now.
    is_deleted: bool,
}

/// A registry in the list.
struct RegistryRow {
    id: i64,
    name: String,
    kind: &'static str,
    place: String,
    org: String,
    images: u64,
    last: Option<LastScanSign>,
    /// `None` if none is planned.
    next: Option<ShownTime>,
    held: u64,
    failing: u64,
}

/// The last scan of a registry.
struct LastScanSign {
    state: StateSign,
    /// `None` if it has not ended.
    ended: Option<ShownTime>,
}

/// Where a registry is: its host, or its path on disk.
pub(super) fn place(registry: &RegistryRecord) -> &str {
    if registry.host.is_empty() { &registry.url } else { &registry.host }
}

impl RegistryRow {
    fn new(status: RegistryStatus) -> Self {
        let RegistryStatus { registry, last_scan, size, .. } = status;
        Self {
            id: registry.id.0,
            kind: kind_title(registry.kind),
            place: place(&registry).to_owned(),
            images: size.images,
            held: last_scan.as_ref().map_or(0, |scan| scan.counts.held),
            last: last_scan.map(|scan| LastScanSign {
                state: StateSign::of(scan.state),
                ended: scan.finished_at.map(ShownTime::of),
            }),
            next: registry.next_scan_at.map(ShownTime::of),
            failing: size.failing_repositories,
            name: registry.name,
            org: registry.org,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistriesQuery {
    /// What the form did that led here: `deleted`.
    done: Option<String>,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    QueryParameters(RegistriesQuery { done }): QueryParameters<RegistriesQuery>,
) -> Result<Response> {
    let registries = app.registry_status_list().await?;
    reply(&RegistriesPage {
        registries: registries.into_iter().map(RegistryRow::new).collect(),
        is_deleted: done.as_deref() == Some("deleted"),
        frame: frame.in_section(PageSection::Admin),
    })
}

#[derive(Template)]
#[template(path = "admin_repositories.html")]
struct RepositoriesPage {
    frame: PageFrame,
    id: i64,
    name: String,
    is_failing: bool,
    rows: Vec<RepositoryRow>,
    /// Name after which the next page begins.
    next: Option<String>,
}

/// A repository of a registry.
pub(super) struct RepositoryRow {
    pub name: String,
    pub tags: i64,
    pub listed: Option<ShownTime>,
    pub failures: i64,
    pub failing_since: Option<ShownTime>,
    pub failure: String,
}

impl From<ScannedRepository> for RepositoryRow {
    fn from(repository: ScannedRepository) -> Self {
        let ScannedRepository { name, listed_at, tags, failures, failing_since, failure } = repository;
        let [listed, failing_since] = [listed_at, failing_since].map(|time| time.map(ShownTime::of));
        Self { name, tags, listed, failures, failing_since, failure }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepositoriesQuery {
    #[serde(default)]
    failing: bool,
    #[serde(default)]
    after: String,
}

pub(super) async fn repositories(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    PathId(id): PathId<RegistryId>,
    QueryParameters(RepositoriesQuery { failing, after }): QueryParameters<RepositoriesQuery>,
) -> Result<Response> {
    const LIMIT: u32 = 50;
    let registry = app.registry_get(id).await?;
    let found = app.registry_repositories(registry.id, failing, &after, LIMIT).await?;
    reply(&RepositoriesPage {
        id: registry.id.0,
        name: registry.name,
        is_failing: failing,
        next: found.last().filter(|_| found.len() == LIMIT as usize).map(|last| last.name.clone()),
        rows: found.into_iter().map(RepositoryRow::from).collect(),
        frame: frame.in_section(PageSection::Admin),
    })
}
