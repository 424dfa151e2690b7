//! `/api/v1/search`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::limit;
use crate::app::{App, Page, Ranked};
use crate::catalog::{Image, JobSummary};
use crate::http::error::Result;
use crate::http::extract::Query;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    q: String,
    #[serde(default)]
    kind: KindWord,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    #[default]
    Job,
    Image,
}

#[derive(Serialize)]
pub(super) struct SearchView {
    /// Of all pages.
    total: u64,
    items: Vec<ResultView>,
    next: Option<String>,
}

/// A job or an image: what a list of results shows, and where to go on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultView {
    kind: &'static str,
    id: i64,
    score: f32,
    name: String,
    title: String,
    description: String,
    job_version: String,
    package_version: String,
    maintainer: String,
    organization: String,
    /// What `docker pull` takes: the image itself, or the job's latest.
    image: String,
    image_id: i64,
    /// Whether that image's manifest has no errors.
    valid: bool,
}

pub(super) async fn search(State(app): State<App>, Query(asked): Query<SearchQuery>) -> Result<Json<SearchView>> {
    let page = Page { limit: limit(asked.limit)? as usize, cursor: asked.cursor };
    Ok(Json(match asked.kind {
        KindWord::Job => view(app.search_jobs(&asked.q, &page).await?, job_view),
        KindWord::Image => view(app.search_images(&asked.q, &page).await?, |image, score| image_view(&image, score)),
    }))
}

fn view<T>(ranked: Ranked<T>, one: impl Fn(T, f32) -> ResultView) -> SearchView {
    let items = ranked.items.into_iter().map(|(item, score)| one(item, score)).collect();
    SearchView { total: ranked.total, items, next: ranked.next }
}

fn job_view(summary: JobSummary, score: f32) -> ResultView {
    let JobSummary { job, image_id, reference, valid } = summary;
    ResultView {
        kind: "job",
        id: job.id.0,
        score,
        image: reference,
        image_id: image_id.0,
        valid,
        name: job.name,
        title: job.title,
        description: job.description,
        job_version: job.latest_job_version,
        package_version: job.latest_package_version,
        maintainer: job.maintainer,
        organization: job.maint_org,
    }
}

fn image_view(image: &Image, score: f32) -> ResultView {
    ResultView {
        kind: "image",
        id: image.id.0,
        score,
        image: image.pull_reference(),
        image_id: image.id.0,
        valid: image.facts.valid,
        name: image.facts.job_name.clone(),
        title: image.facts.title.clone(),
        description: image.facts.description.clone(),
        job_version: image.facts.job_version.clone(),
        package_version: image.facts.package_version.clone(),
        maintainer: image.facts.maintainer.clone(),
        organization: image.facts.maint_org.clone(),
    }
}
