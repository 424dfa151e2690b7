//! `/admin/registries/{id}/problems`: the problems of one scan, by code.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use crate::app::Error;
use crate::catalog::{NewScanProblem, RegistryId, ScanId, ScanProblem, ScanProblemCount};
use crate::http::error::Result;
use crate::http::extract::{PathId, QueryParameters, RequestApp};
use crate::http::pages::frame::PageSection;
use crate::http::pages::{PageFrame, filters, reply};

#[derive(Template)]
#[template(path = "admin_problems.html")]
struct ScanProblemsPage {
    frame: PageFrame,
    id: i64,
    name: String,
    scan: i64,
    /// The code that is shown; empty for all.
    code: String,
    counts: Vec<ScanProblemCount>,
    rows: Vec<ScanProblemRow>,
    /// Number after which the next page begins.
    next: Option<i64>,
}

/// A problem in the list.
pub(super) struct ScanProblemRow {
    pub code: String,
    /// Repository and tag; empty for the whole registry.
    pub place: String,
    pub message: String,
}

impl From<ScanProblem> for ScanProblemRow {
    fn from(ScanProblem { problem, .. }: ScanProblem) -> Self {
        let NewScanProblem { code, repository, tag, message } = problem;
        let place = if tag.is_empty() { repository } else { format!("{repository}:{tag}") };
        Self { code, place, message }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanProblemsQuery {
    scan: i64,
    #[serde(default)]
    code: String,
    #[serde(default)]
    after: i64,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    PathId(id): PathId<RegistryId>,
    QueryParameters(ScanProblemsQuery { scan, code, after }): QueryParameters<ScanProblemsQuery>,
) -> Result<Response> {
    const LIMIT: u32 = 50;
    let registry = app.registry_get(id).await?;
    let scan = app.scan_get(ScanId(scan)).await?;
    if scan.registry_id != registry.id {
        return Err(Error::NotFound("This registry has no scan with that id".to_owned()).into());
    }
    let counts = app.scan_problem_counts(scan.id).await?;
    let found = app.scan_problems(scan.id, &code, after, LIMIT).await?;
    reply(&ScanProblemsPage {
        id: registry.id.0,
        name: registry.name,
        scan: scan.id.0,
        code,
        counts,
        next: found.last().filter(|_| found.len() == LIMIT as usize).map(|last| last.seq),
        rows: found.into_iter().map(ScanProblemRow::from).collect(),
        frame: frame.in_section(PageSection::Admin),
    })
}
