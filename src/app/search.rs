//! Search.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{App, Error, JobDetail, Result};
use crate::catalog::{Image, ImageId, JobId, JobSummary, SearchDoc};
use crate::search::{Count, Facet, Found, Kind, Order, Place, PlaceValue, Request};
use crate::seed::manifest;

/// Which part of a ranking is wanted, and of what.
#[derive(Clone, Debug)]
pub struct Page {
    pub limit: usize,
    /// Where the page before ended, as its [`Ranked::next`] said.
    pub cursor: Option<String>,
    pub order: Order,
    /// Any of the values of a facet, for each facet that is named.
    pub filters: Vec<(Facet, String)>,
    /// Whether to count the values of facets.
    pub count: bool,
}

impl Page {
    /// The whole ranking, as the legacy addresses answer it.
    pub const ALL: Page =
        Page { limit: usize::MAX, cursor: None, order: Order::Relevance, filters: Vec::new(), count: false };
}

/// Results, best first.
#[derive(Debug)]
pub struct Ranked<T> {
    /// How many there are in all.
    pub total: u64,
    pub items: Vec<(T, f32)>,
    /// What to hand in for the next page; `None` on the last.
    pub next: Option<String>,
    /// Empty unless asked for.
    pub facets: Vec<(Facet, Vec<Count>)>,
    /// The query as it was probably meant, where a word of it is unknown.
    pub did_you_mean: Option<String>,
}

impl App {
    /// Jobs that match, each by its best image; all for `None`.
    pub async fn search_jobs(&self, query: Option<&str>, page: &Page) -> Result<Ranked<JobSummary>> {
        let hits = self.search(query, Kind::Job, page).await?;
        let ids: Vec<JobId> = hits.hits.iter().map(|hit| JobId(hit.id)).collect();
        let jobs = self.0.store.job_summary_list_by_ids(&ids).await?;
        Ok(ranked(hits, jobs, |summary| summary.job.id.0))
    }

    /// The same jobs with all their versions and images.
    pub async fn search_job_details(&self, query: &str, page: &Page) -> Result<Ranked<JobDetail>> {
        let hits = self.search(Some(query), Kind::Job, page).await?;
        let ids: Vec<JobId> = hits.hits.iter().map(|hit| JobId(hit.id)).collect();
        let jobs = self.job_list_by_ids(&ids).await?;
        Ok(ranked(hits, jobs, |job| job.job.id.0))
    }

    /// Images that match; all for `None`.
    pub async fn search_images(&self, query: Option<&str>, page: &Page) -> Result<Ranked<Image>> {
        let hits = self.search(query, Kind::Image, page).await?;
        let ids: Vec<ImageId> = hits.hits.iter().map(|hit| ImageId(hit.id)).collect();
        let images = self.0.store.image_list_by_ids(&ids).await?;
        Ok(ranked(hits, images, |image| image.id.0))
    }

    pub(super) async fn search(&self, query: Option<&str>, kind: Kind, page: &Page) -> Result<Found> {
        let request = Request {
            text: query.map(str::to_owned),
            kind,
            order: page.order,
            filters: page.filters.clone(),
            limit: page.limit,
            after: page.cursor.as_deref().map(|cursor| read_cursor(cursor, page.order)).transpose()?,
            count: page.count,
        };
        let index = self.0.index.clone();
        Ok(tokio::task::spawn_blocking(move || index.find(&request)).await??)
    }
}

pub(super) fn search_doc(image: &Image) -> SearchDoc {
    let essentials = manifest::essentials(&image.facts.manifest);
    SearchDoc {
        image_id: image.id.0,
        job_id: image.job_id.0,
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
        changed_at: image.changed_at.timestamp_millis(),
    }
}

/// Puts scores to rows. Rows that vanished since the index was written are missing on both sides.
fn ranked<T>(found: Found, rows: Vec<T>, id: impl Fn(&T) -> i64) -> Ranked<T> {
    let mut rows = rows.into_iter().peekable();
    let mut items = Vec::new();
    for hit in &found.hits {
        if let Some(row) = rows.next_if(|row| id(row) == hit.id) {
            items.push((row, hit.score));
        }
    }
    let Found { total, next, facets, did_you_mean, .. } = found;
    Ranked { total, items, next: next.map(|place| write_cursor(&place)), facets, did_you_mean }
}

/// The last hit of a page, exactly: scores compare by their bits.
fn write_cursor(place: &Place) -> String {
    let value = match &place.value {
        PlaceValue::Score(score) => format!("{:x}", score.to_bits()),
        PlaceValue::Time(time) => time.to_string(),
        PlaceValue::Versions([job, package]) => format!("{job:x}-{package:x}"),
        PlaceValue::Name(name) => name.clone(),
    };
    URL_SAFE_NO_PAD.encode(format!("{value}.{}", place.id))
}

fn read_cursor(text: &str, order: Order) -> Result<Place> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (value, id) = std::str::from_utf8(&bytes).ok()?.rsplit_once('.')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let value = match order {
            Order::Relevance => {
                let score = f32::from_bits(u32::from_str_radix(value, 16).ok()?);
                PlaceValue::Score(Some(score).filter(|score| score.is_finite())?)
            }
            Order::Newest => PlaceValue::Time(value.parse().ok()?),
            Order::Version => {
                let (job, package) = value.split_once('-')?;
                PlaceValue::Versions([hex(job)?, hex(package)?])
            }
            Order::Name => PlaceValue::Name(value.to_owned()),
        };
        Some(Place { value, id: id.parse().ok()? })
    };
    read().ok_or_else(|| {
        Error::Invalid(
            "This cursor is not one of ours: take it from 'next' of the page before, with the same 'sort'".to_owned(),
        )
    })
}
