//! `/api/v1/search`, and `/api/v1/suggest` for queries that are being typed.

use axum::Json;
use serde::Deserialize;

use super::limit;
use crate::api::WireWord;
use crate::api::jobs::JobGroupReply;
use crate::api::search::{
    FacetCountReply, HighlightReply, JobPortReply, MatchedImageReply, ResourceReply, SearchDetailsReply,
    SearchItemReply, SearchReply, SuggestReply, SuggestedJobReply,
};
use crate::app::{
    Error, FacetCount, MatchDetails, SearchFacet, SearchMatch, SearchOptions, SearchOrder, SearchPage, TextHighlight,
};
use crate::catalog::{CatalogueImage, JobSummary};
use crate::http::error::Result;
use crate::http::extract::{MOST_WORDS, QueryParameters, RequestApp};
use crate::http::path_part::job_path;
use crate::seed::outline::{JobOutline, JobPort, JobPortKind, ResourceOutline};

/// The parameters of a search, which pages take, too.
pub(in crate::http) struct SearchQuery {
    pub text: Option<String>,
    pub kind: KindWord,
    pub page: SearchOptions,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http) enum KindWord {
    #[default]
    Job,
    Image,
}

impl SearchQuery {
    /// Parses the parameters; only facets may be repeated.
    pub(crate) fn read(pairs: Vec<(String, String)>) -> Result<Self> {
        let mut asked =
            Self { text: None, kind: KindWord::default(), page: SearchOptions { limit: 0, ..SearchOptions::ALL } };
        let mut seen: Vec<&str> = Vec::new();
        let (mut limit_asked, mut order_asked) = (None, None);
        for (name, value) in &pairs {
            if let Some((word, value)) = asked_facet(name, value)? {
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
                "sort" => order_asked = Some(one_of(name, value, &ORDERS)?),
                "facets" => asked.page.count = one_of(name, value, &FLAG)?,
                "highlight" => asked.page.highlight = one_of(name, value, &FLAG)?,
                "details" => asked.page.details = one_of(name, value, &FLAG)?,
                "limit" => {
                    let number = value.parse().map_err(|_| invalid("limit must be between 1 and 100".to_owned()))?;
                    limit_asked = Some(number);
                }
                "cursor" => asked.page.cursor = Some(value.clone()),
                _ => return Err(invalid(format!("unknown parameter `{name}`: {KNOWN}"))),
            }
        }
        if asked.page.filters.len() > MOST_WORDS {
            return Err(invalid(format!("at most {MOST_WORDS} values of facets can be asked for")));
        }
        asked.page.order = order_asked.unwrap_or(match asked.text {
            Some(_) => SearchOrder::Relevance,
            // Everything matches equally well.
            None => SearchOrder::Newest,
        });
        asked.page.limit = limit(limit_asked)? as usize;
        Ok(asked)
    }
}

const KNOWN: &str = "there are q, kind, sort, limit, cursor, facets, highlight, details and facet";

const FLAG: [(&str, bool); 2] = [("true", true), ("false", false)];

const ORDERS: [(&str, SearchOrder); 4] = [
    ("relevance", SearchOrder::Relevance),
    ("name", SearchOrder::Name),
    ("newest", SearchOrder::Newest),
    ("version", SearchOrder::Version),
];

/// Name and value of a facet parameter: `facet=NAME:VALUE`, or `facet.NAME=VALUE`. `None` for others.
fn asked_facet<'a>(name: &'a str, value: &'a str) -> Result<Option<(&'a str, &'a str)>> {
    if name != "facet" {
        return Ok(name.strip_prefix("facet.").map(|word| (word, value)));
    }
    let pair = value.split_once(':');
    let none = || invalid(format!("facet is `{value}`; it must be a name and a value, as in valid:true"));
    pair.map(Some).ok_or_else(none)
}

fn facet(word: &str) -> Result<SearchFacet> {
    let words = || SearchFacet::ALL.map(SearchFacet::word).join(", ");
    SearchFacet::of_word(word).ok_or_else(|| invalid(format!("there is no facet `{word}`, only {}", words())))
}

fn one_of<T: Copy>(name: &str, value: &str, words: &[(&str, T)]) -> Result<T> {
    let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| invalid(format!("{name} is `{value}`; it must be one of {}", known())))
}

fn invalid(text: String) -> crate::http::error::HttpFailure {
    Error::Invalid(text).into()
}

impl From<CatalogueImage> for MatchedImageReply {
    fn from(image: CatalogueImage) -> Self {
        Self {
            image: image.pull_reference(),
            image_id: image.id.0,
            origin: image.origin().into(),
            title: image.facts.title,
            maintainer: image.facts.maintainer,
            organization: image.facts.maint_org,
            job_version: image.facts.job_version,
            package_version: image.facts.package_version,
        }
    }
}

impl From<TextHighlight> for HighlightReply {
    fn from(TextHighlight { field, text, ranges }: TextHighlight) -> Self {
        Self { field: field.into(), text, ranges: ranges.into_iter().map(|range| [range.start, range.end]).collect() }
    }
}

impl From<MatchDetails> for SearchDetailsReply {
    fn from(MatchDetails { outline, changed_at, size }: MatchDetails) -> Self {
        let JobOutline { tags, inputs, outputs, resources } = outline;
        let resource =
            |ResourceOutline { name, value, input_multiplier }| ResourceReply { name, value, input_multiplier };
        Self {
            tags,
            inputs: inputs.into_iter().map(JobPortReply::from).collect(),
            outputs: outputs.into_iter().map(JobPortReply::from).collect(),
            resources: resources.into_iter().map(resource).collect(),
            changed_at,
            versions: size.versions,
            images: size.images,
        }
    }
}

impl From<JobPort> for JobPortReply {
    fn from(JobPort { name, kind, is_required, is_multiple }: JobPort) -> Self {
        let (kind, media_types, json_type) = match kind {
            JobPortKind::File(media_types) => ("file", Some(media_types), None),
            JobPortKind::Json(json_type) => ("json", None, Some(json_type)),
        };
        Self { name, kind: kind.into(), media_types, json_type, required: is_required, multiple: is_multiple }
    }
}

pub(super) async fn search(
    RequestApp(app): RequestApp,
    QueryParameters(pairs): QueryParameters<Vec<(String, String)>>,
) -> Result<Json<SearchReply>> {
    let SearchQuery { text, kind, page } = SearchQuery::read(pairs)?;
    let text = text.as_deref();
    Ok(Json(match kind {
        KindWord::Job => view(app.search_jobs(text, &page).await?, &page, job_view),
        KindWord::Image => view(app.search_images(text, &page).await?, &page, image_view),
    }))
}

fn view<T>(ranked: SearchPage<T>, page: &SearchOptions, one: impl Fn(T) -> SearchItemReply) -> SearchReply {
    let items = ranked.items.into_iter().map(|SearchMatch { item, score, highlights, details, matched }| {
        let highlights = page.highlight.then(|| highlights.into_iter().map(HighlightReply::from).collect());
        let (matched, details) = (matched.map(MatchedImageReply::from), details.map(SearchDetailsReply::from));
        SearchItemReply { score, highlights, matched, details, ..one(item) }
    });
    let counts = |counts: Vec<FacetCount>| {
        counts.into_iter().map(|FacetCount { value, count }| FacetCountReply { value, count })
    };
    let facets =
        ranked.facets.into_iter().map(|(facet, values)| (WireWord::from(facet.word()), counts(values).collect()));
    SearchReply {
        total: ranked.total,
        items: items.collect(),
        next: ranked.next,
        did_you_mean: ranked.did_you_mean,
        facets: page.count.then(|| facets.collect()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuggestQuery {
    q: String,
    limit: Option<u32>,
}

pub(super) async fn suggest(
    RequestApp(app): RequestApp,
    QueryParameters(SuggestQuery { q, limit }): QueryParameters<SuggestQuery>,
) -> Result<Json<SuggestReply>> {
    const USUAL: u32 = 8;
    let suggestions = app.suggest(&q, super::limit(limit.or(Some(USUAL)))? as usize).await?;
    let job = |JobSummary { job, origin, group_count, .. }| SuggestedJobReply {
        id: job.id.0,
        page: job_path(&job.name),
        name: job.name,
        title: job.title,
        maintainer: job.maintainer,
        origin: origin.into(),
        group_count,
    };
    Ok(Json(SuggestReply {
        completions: suggestions.completions,
        jobs: suggestions.jobs.into_iter().map(job).collect(),
        did_you_mean: suggestions.did_you_mean,
    }))
}

fn job_view(summary: JobSummary) -> SearchItemReply {
    let JobSummary { job, image_id, reference, valid, origin, groups, group_count } = summary;
    SearchItemReply {
        kind: "job".into(),
        id: job.id.0,
        score: 0.0,
        highlights: None,
        details: None,
        image: reference,
        image_id: image_id.0,
        valid,
        origin: origin.into(),
        groups: (group_count > 1).then(|| groups.into_iter().map(|group| JobGroupReply::new(group, None)).collect()),
        group_count: Some(group_count),
        matched: None,
        name: job.name,
        title: job.title,
        description: job.description,
        job_version: job.latest_job_version,
        package_version: job.latest_package_version,
        maintainer: job.maintainer,
        organization: job.maint_org,
    }
}

fn image_view(image: CatalogueImage) -> SearchItemReply {
    SearchItemReply {
        kind: "image".into(),
        id: image.id.0,
        score: 0.0,
        highlights: None,
        details: None,
        image: image.pull_reference(),
        image_id: image.id.0,
        valid: image.facts.valid,
        origin: image.origin().into(),
        groups: None,
        group_count: None,
        matched: None,
        name: image.facts.job_name,
        title: image.facts.title,
        description: image.facts.description,
        job_version: image.facts.job_version,
        package_version: image.facts.package_version,
        maintainer: image.facts.maintainer,
        organization: image.facts.maint_org,
    }
}
