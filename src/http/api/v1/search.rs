//! `/api/v1/search`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::limit;
use crate::app::{App, Count, Error, Facet, Order, Page, Ranked};
use crate::catalog::{Image, JobSummary};
use crate::http::error::Result;
use crate::http::extract::Query;

/// The most values that results can be narrowed to.
const MAX_FILTERS: usize = 32;

struct SearchQuery {
    text: Option<String>,
    kind: KindWord,
    page: Page,
}

#[derive(Clone, Copy, Debug, Default)]
enum KindWord {
    #[default]
    Job,
    Image,
}

impl SearchQuery {
    /// Each parameter once, but for those of facets.
    fn read(pairs: Vec<(String, String)>) -> Result<Self> {
        let mut asked = Self { text: None, kind: KindWord::default(), page: Page { limit: 0, ..Page::ALL } };
        let mut seen: Vec<&str> = Vec::new();
        let mut limit_asked = None;
        for (name, value) in &pairs {
            if let Some(word) = name.strip_prefix("facet.") {
                asked.page.filters.push((facet(word)?, value.trim().to_owned()));
                continue;
            }
            if seen.contains(&name.as_str()) {
                return Err(invalid(format!("duplicate parameter `{name}`")));
            }
            seen.push(name);
            match name.as_str() {
                "q" => asked.text = Some(value.clone()),
                "kind" => asked.kind = one_of(name, value, &[("job", KindWord::Job), ("image", KindWord::Image)])?,
                "sort" => asked.page.order = one_of(name, value, &ORDERS)?,
                "facets" => asked.page.count = one_of(name, value, &[("true", true), ("false", false)])?,
                "limit" => {
                    let number = value.parse().map_err(|_| invalid("limit must be between 1 and 100".to_owned()))?;
                    limit_asked = Some(number);
                }
                "cursor" => asked.page.cursor = Some(value.clone()),
                _ => return Err(invalid(format!("unknown parameter `{name}`: {KNOWN}"))),
            }
        }
        if asked.page.filters.len() > MAX_FILTERS {
            return Err(invalid(format!("at most {MAX_FILTERS} values of facets can be asked for")));
        }
        if asked.text.is_none() && asked.page.filters.is_empty() {
            return Err(invalid("missing parameter `q`: what to look for (or narrow by a facet.…)".to_owned()));
        }
        asked.page.limit = limit(limit_asked)? as usize;
        Ok(asked)
    }
}

const KNOWN: &str = "there are q, kind, sort, limit, cursor, facets and facet.…";

const ORDERS: [(&str, Order); 4] = [
    ("relevance", Order::Relevance),
    ("name", Order::Name),
    ("newest", Order::Newest),
    ("version", Order::Version),
];

fn facet(word: &str) -> Result<Facet> {
    let words = || Facet::ALL.map(Facet::word).join(", ");
    Facet::of_word(word).ok_or_else(|| invalid(format!("there is no facet `{word}`, only {}", words())))
}

fn one_of<T: Copy>(name: &str, value: &str, words: &[(&str, T)]) -> Result<T> {
    let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| invalid(format!("{name} is `{value}`; it must be one of {}", known())))
}

fn invalid(text: String) -> crate::http::error::Failure {
    Error::Invalid(text).into()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchView {
    /// Of all pages.
    total: u64,
    items: Vec<ResultView>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<BTreeMap<&'static str, Vec<CountView>>>,
}

#[derive(Serialize)]
struct CountView {
    value: String,
    count: u64,
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

pub(super) async fn search(
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<SearchView>> {
    let SearchQuery { text, kind, page } = SearchQuery::read(pairs)?;
    let (text, counted) = (text.as_deref(), page.count);
    Ok(Json(match kind {
        KindWord::Job => view(app.search_jobs(text, &page).await?, counted, job_view),
        KindWord::Image => {
            view(app.search_images(text, &page).await?, counted, |image, score| image_view(&image, score))
        }
    }))
}

fn view<T>(ranked: Ranked<T>, counted: bool, one: impl Fn(T, f32) -> ResultView) -> SearchView {
    let items = ranked.items.into_iter().map(|(item, score)| one(item, score)).collect();
    let counts = |counts: Vec<Count>| counts.into_iter().map(|Count { value, count }| CountView { value, count });
    let facets = ranked.facets.into_iter().map(|(facet, values)| (facet.word(), counts(values).collect()));
    SearchView {
        total: ranked.total,
        items,
        next: ranked.next,
        did_you_mean: ranked.did_you_mean,
        facets: counted.then(|| facets.collect()),
    }
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
