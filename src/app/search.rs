//! Searches of jobs and images, suggestions, and cursors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::{App, Error, JobDetail, Result};
use crate::catalog::{
    CatalogueImage, CatalogueJob, ImageId, ImageOrigin, JobId, JobSize, JobSummary, JobVersionId, ManifestFacts,
    OriginId, RegistryId, SearchDoc,
};
use crate::search::{
    self, FacetCount, IndexedImage, SearchCursor, SearchCursorValue, SearchFacet, SearchHit, SearchKind, SearchOrder,
    SearchRequest, SearchResponse, TextHighlight, complete,
};
use crate::seed::manifest;
use crate::seed::outline::JobOutline;
use crate::store;

/// Options of a search.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    pub limit: usize,
    /// Cursor of the page, from [`SearchPage::next`] of the page before.
    pub cursor: Option<String>,
    pub order: SearchOrder,
    /// Facet values to narrow by: for each facet that is named, any of its values.
    pub filters: Vec<(SearchFacet, String)>,
    /// Whether to count facet values.
    pub count: bool,
    /// Whether to return highlights.
    pub highlight: bool,
    /// Whether to return what each result takes, gives and needs.
    pub details: bool,
}

impl SearchOptions {
    /// The whole ranking, as the legacy routes return it.
    pub const ALL: SearchOptions = SearchOptions {
        limit: usize::MAX,
        cursor: None,
        order: SearchOrder::Relevance,
        filters: Vec::new(),
        count: false,
        highlight: false,
        details: false,
    };
}

/// A result: a job or an image.
#[derive(Debug)]
pub struct SearchMatch<T> {
    pub item: T,
    /// The higher the better; comparable within one search only.
    pub score: f32,
    /// Highlighted fields; empty unless requested.
    pub highlights: Vec<TextHighlight>,
    /// Only if requested.
    pub details: Option<MatchDetails>,
    /// For a job: the matching image, if none of the images that represent the job matches.
    pub matched: Option<CatalogueImage>,
}

/// What a result takes, gives and needs.
#[derive(Debug)]
pub struct MatchDetails {
    /// Of the image that represents the job, or of the image itself.
    pub outline: JobOutline,
    /// When the tag of that image appeared or last moved.
    pub changed_at: DateTime<Utc>,
    /// Of its job.
    pub size: JobSize,
}

/// A page of results, best first.
#[derive(Debug)]
pub struct SearchPage<T> {
    /// Results of all pages.
    pub total: u64,
    pub items: Vec<SearchMatch<T>>,
    /// Cursor of the next page; `None` on the last.
    pub next: Option<String>,
    /// Facet counts; empty unless requested.
    pub facets: Vec<(SearchFacet, Vec<FacetCount>)>,
    /// A corrected query, if a word of it is unknown.
    pub did_you_mean: Option<String>,
}

/// Suggestions for a query that is being typed.
#[derive(Debug)]
pub struct SearchSuggestions {
    /// Completions of the whole text, the most frequent first.
    pub completions: Vec<String>,
    /// Jobs that match the text so far.
    pub jobs: Vec<JobSummary>,
    /// As in [`SearchPage`].
    pub did_you_mean: Option<String>,
}

impl App {
    /// Jobs that match, each by its best image; all for `None`.
    pub async fn search_jobs(&self, query: Option<&str>, page: &SearchOptions) -> Result<SearchPage<JobSummary>> {
        let found = self.search(query, SearchKind::Job, page).await?;
        let jobs = match self.job_summaries(&ids(&found, JobId)).await {
            Err(Error::StoreAway(_)) => self.job_outlines(&found)?,
            jobs => jobs?,
        };
        let highlights = empty_if_store_away(self.match_highlights(&found).await)?;
        let secondary: Vec<(i64, ImageId)> =
            found.hits.iter().filter(|hit| hit.is_secondary).map(|hit| (hit.id, ImageId(hit.image_id))).collect();
        let mut ranked = ranked(found, jobs, highlights, |summary| summary.job.id.0);
        if !secondary.is_empty() {
            let ids: Vec<ImageId> = secondary.iter().map(|(_, image)| *image).collect();
            let images = empty_if_store_away(self.store().image_list_by_ids(&ids).await.map_err(Error::from))?;
            let mut by_job: HashMap<i64, CatalogueImage> =
                images.into_iter().map(|image| (image.job_id.0, image)).collect();
            ranked.items.iter_mut().for_each(|found| found.matched = by_job.remove(&found.item.job.id.0));
        }
        if page.details {
            self.add_details(&mut ranked.items, |summary| (summary.image_id, summary.job.id)).await?;
        }
        Ok(ranked)
    }

    /// The same jobs with all their versions and images.
    pub async fn search_job_details(&self, query: &str, page: &SearchOptions) -> Result<SearchPage<JobDetail>> {
        let found = self.search(Some(query), SearchKind::Job, page).await?;
        let jobs = self.job_list_by_ids(&ids(&found, JobId)).await?;
        Ok(ranked(found, jobs, HighlightsByImage::new(), |job| job.job.id.0))
    }

    /// Images that match; all for `None`.
    pub async fn search_images(&self, query: Option<&str>, page: &SearchOptions) -> Result<SearchPage<CatalogueImage>> {
        let found = self.search(query, SearchKind::Image, page).await?;
        let images = match self.store().image_list_by_ids(&ids(&found, ImageId)).await {
            Err(store::Error::Away(_)) => self.image_outlines(&found)?,
            images => images?,
        };
        let highlights = empty_if_store_away(self.match_highlights(&found).await)?;
        let mut ranked = ranked(found, images, highlights, |image| image.id.0);
        if page.details {
            self.add_details(&mut ranked.items, |image| (image.id, image.job_id)).await?;
        }
        Ok(ranked)
    }

    /// Adds the details of each result, by its image and job. While the database is unreachable, there are none.
    async fn add_details<T>(&self, items: &mut [SearchMatch<T>], ids: impl Fn(&T) -> (ImageId, JobId)) -> Result<()> {
        let (image_ids, job_ids): (Vec<ImageId>, Vec<JobId>) = items.iter().map(|found| ids(&found.item)).unzip();
        let images = self.store().image_list_by_ids(&image_ids).await.map_err(Error::from);
        let sizes = self.store().job_sizes(&job_ids).await.map_err(Error::from);
        let (images, sizes) = (empty_if_store_away(images)?, empty_if_store_away(sizes)?);
        let sizes: HashMap<JobId, JobSize> = sizes.into_iter().map(|size| (size.job_id, size)).collect();
        let details = |image: CatalogueImage| {
            let size = *sizes.get(&image.job_id)?;
            let outline = JobOutline::of(&image.facts.manifest);
            Some((image.id, MatchDetails { outline, changed_at: image.changed_at, size }))
        };
        let mut details: HashMap<ImageId, MatchDetails> = images.into_iter().filter_map(details).collect();
        items.iter_mut().for_each(|found| found.details = details.remove(&ids(&found.item).0));
        Ok(())
    }

    /// Suggestions for a query that is being typed: matching jobs, and completions of its last word.
    pub async fn suggest(&self, typed: &str, limit: usize) -> Result<SearchSuggestions> {
        /// Completions come from the words of so many jobs.
        const LOOKED: usize = 50;
        let SearchPage { items, did_you_mean, .. } =
            self.search_jobs(Some(typed), &SearchOptions { limit: limit.max(LOOKED), ..SearchOptions::ALL }).await?;
        let texts = items.iter().flat_map(|found| [found.item.job.name.as_str(), &found.item.job.title]);
        let completions = complete(typed, texts, limit);
        let jobs = items.into_iter().take(limit).map(|found| found.item).collect();
        Ok(SearchSuggestions { completions, jobs, did_you_mean })
    }

    pub(super) async fn search(
        &self,
        query: Option<&str>,
        kind: SearchKind,
        page: &SearchOptions,
    ) -> Result<SearchResponse> {
        let request = SearchRequest {
            text: query.map(str::to_owned),
            kind,
            order: page.order,
            filters: page.filters.clone(),
            limit: page.limit,
            after: page.cursor.as_deref().map(|cursor| read_cursor(cursor, page.order)).transpose()?,
            count: page.count,
            mark: page.highlight,
        };
        let (index, view) = (self.0.index.clone(), self.view().clone());
        let started = Instant::now();
        let found = if index.is_small() {
            index.find(&request, &view)
        } else {
            let _one_of_few = self.0.searches.acquire().await.expect("it is never closed");
            tokio::task::spawn_blocking(move || index.find(&request, &view)).await?
        };
        self.count_search(started.elapsed());
        match found {
            Err(search::Error::Index(why)) => {
                tracing::error!(why, "the search index cannot be read");
                self.index_check(true).await?;
                let is_broken = self.0.index.is_broken();
                Err(if is_broken { Error::Building(search::IndexBuildStatus::default()) } else { Error::Internal(why) })
            }
            found => Ok(found?),
        }
    }
}

/// While the database is unreachable, results are made from the fields in the index and from the rows that were shown
/// last.
impl App {
    fn job_outlines(&self, found: &SearchResponse) -> Result<Vec<JobSummary>> {
        let images: Vec<i64> = found.hits.iter().map(|hit| hit.image_id).collect();
        let mut outlines = self.0.index.outlines(&images)?;
        let mut kept = self.last_job_summaries(&ids(found, JobId));
        let summary = |hit: &SearchHit| {
            kept.remove(&JobId(hit.id)).or_else(|| Some(outline(hit, outlines.remove(&hit.image_id)?)))
        };
        Ok(found.hits.iter().filter_map(summary).collect())
    }

    fn image_outlines(&self, found: &SearchResponse) -> Result<Vec<CatalogueImage>> {
        let images: Vec<i64> = found.hits.iter().map(|hit| hit.image_id).collect();
        let mut outlines = self.0.index.outlines(&images)?;
        let image = |hit: &SearchHit| {
            let outline = outlines.remove(&hit.image_id)?;
            let origin = origin_outline(&outline);
            let IndexedImage {
                job_id, job_name, job_version, package_version, registry, org, maint_org, valid, ..
            } = outline;
            let facts =
                ManifestFacts { job_name, job_version, package_version, maint_org, valid, ..Default::default() };
            Some(CatalogueImage {
                id: ImageId(hit.image_id),
                registry_id: RegistryId(0),
                job_id: JobId(job_id),
                job_version_id: JobVersionId(0),
                origin_id: OriginId(0),
                group_id: OriginId(0),
                registry_name: String::new(),
                is_verified: origin.is_verified,
                represents: origin.represents,
                name: String::new(),
                digest: String::new(),
                platforms: Vec::new(),
                size: None,
                built_at: None,
                first_seen_at: DateTime::UNIX_EPOCH,
                changed_at: DateTime::UNIX_EPOCH,
                registry,
                org,
                facts,
            })
        };
        Ok(found.hits.iter().filter_map(image).collect())
    }
}

fn origin_outline(outline: &IndexedImage) -> ImageOrigin {
    ImageOrigin {
        registry_id: RegistryId(0),
        registry: String::new(),
        host: outline.registry.clone(),
        namespace: outline.org.clone(),
        is_verified: outline.is_verified,
        represents: !outline.is_secondary,
    }
}

fn outline(hit: &SearchHit, outline: IndexedImage) -> JobSummary {
    let origin = origin_outline(&outline);
    let job = CatalogueJob {
        id: JobId(hit.id),
        name: outline.job_name,
        latest_job_version: outline.job_version,
        latest_package_version: outline.package_version,
        maint_org: outline.maint_org,
        title: String::new(),
        maintainer: String::new(),
        email: String::new(),
        description: String::new(),
    };
    JobSummary {
        job,
        image_id: ImageId(hit.image_id),
        reference: String::new(),
        valid: outline.valid,
        origin,
        groups: Vec::new(),
        group_count: 0,
    }
}

/// The default value if the database is unreachable.
fn empty_if_store_away<T: Default>(outcome: Result<T>) -> Result<T> {
    if matches!(outcome, Err(Error::StoreAway(_))) { Ok(T::default()) } else { outcome }
}

/// Highlights by image.
type HighlightsByImage = HashMap<i64, Vec<TextHighlight>>;

impl App {
    /// Highlights of the images that matched.
    async fn match_highlights(&self, found: &SearchResponse) -> Result<HighlightsByImage> {
        if found.marks.is_empty() {
            return Ok(HighlightsByImage::new());
        }
        let ids: Vec<ImageId> = found.hits.iter().map(|hit| ImageId(hit.image_id)).collect();
        highlights(found, self.search_docs(&ids).await?).await
    }
}

async fn highlights(found: &SearchResponse, docs: Vec<Arc<SearchDoc>>) -> Result<HighlightsByImage> {
    let marks = found.marks.clone();
    // Texts may be long.
    let of = move || docs.iter().map(|doc| (doc.image_id, marks.of(doc))).collect();
    Ok(tokio::task::spawn_blocking(of).await?)
}

/// Joins hits with rows and highlights. Hits whose rows have vanished since the index was written are left out.
fn ranked<T>(
    found: SearchResponse,
    rows: Vec<T>,
    mut highlights: HighlightsByImage,
    id: impl Fn(&T) -> i64,
) -> SearchPage<T> {
    let mut rows = rows.into_iter().peekable();
    let mut items = Vec::new();
    for hit in &found.hits {
        if let Some(item) = rows.next_if(|row| id(row) == hit.id) {
            let highlights = highlights.remove(&hit.image_id).unwrap_or_default();
            items.push(SearchMatch { item, score: hit.score, highlights, details: None, matched: None });
        }
    }
    let SearchResponse { total, next, facets, did_you_mean, .. } = found;
    SearchPage { total, items, next: next.map(|place| write_cursor(&place)), facets, did_you_mean }
}

pub(super) fn search_doc(image: &CatalogueImage) -> SearchDoc {
    let essentials = manifest::essentials(&image.facts.manifest);
    SearchDoc {
        image_id: image.id.0,
        job_id: image.job_id.0,
        registry_id: image.registry_id.0,
        origin_id: image.origin_id.0,
        group_id: image.group_id.0,
        job_name: essentials.job_name,
        name: image.name.clone(),
        org: image.org.clone(),
        title: essentials.title,
        description: essentials.description,
        tags: essentials.tags,
        maintainer: format!("{} {}", essentials.maintainer, essentials.email),
        maint_org: essentials.maint_org,
        inputs: essentials.inputs.names,
        input_types: essentials.inputs.media_types,
        outputs: essentials.outputs.names,
        output_types: essentials.outputs.media_types,
        registry: image.registry.clone(),
        job_version: essentials.job_version,
        package_version: essentials.package_version,
        seed_version: essentials.seed_version,
        platforms: image.platforms.clone(),
        gpu: essentials.gpu,
        valid: image.facts.valid,
        is_verified: image.is_verified,
        is_secondary: !image.represents,
        changed_at: image.changed_at.timestamp_millis(),
    }
}

fn ids<T>(found: &SearchResponse, id: impl Fn(i64) -> T) -> Vec<T> {
    found.hits.iter().map(|hit| id(hit.id)).collect()
}

/// Encodes the position of the last hit of a page. Scores are encoded by their bits, so that they compare exactly.
fn write_cursor(place: &SearchCursor) -> String {
    let value = match &place.value {
        SearchCursorValue::Score(score) => format!("{:x}", score.to_bits()),
        SearchCursorValue::Time(time) => time.to_string(),
        SearchCursorValue::Versions([job, package]) => format!("{job:x}-{package:x}"),
        SearchCursorValue::Name(name) => name.clone(),
    };
    URL_SAFE_NO_PAD.encode(format!("{value}.{}", place.id))
}

fn read_cursor(text: &str, order: SearchOrder) -> Result<SearchCursor> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (value, id) = std::str::from_utf8(&bytes).ok()?.rsplit_once('.')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let value = match order {
            SearchOrder::Relevance => {
                let score = f32::from_bits(u32::from_str_radix(value, 16).ok()?);
                SearchCursorValue::Score(Some(score).filter(|score| score.is_finite())?)
            }
            SearchOrder::Newest => SearchCursorValue::Time(value.parse().ok()?),
            SearchOrder::Version => {
                let (job, package) = value.split_once('-')?;
                SearchCursorValue::Versions([hex(job)?, hex(package)?])
            }
            SearchOrder::Name => SearchCursorValue::Name(value.to_owned()),
        };
        Some(SearchCursor { value, id: id.parse().ok()? })
    };
    read().ok_or_else(|| {
        Error::Invalid(
            "The cursor is invalid: take it from 'next' of the previous page, with the same 'sort'".to_owned(),
        )
    })
}
