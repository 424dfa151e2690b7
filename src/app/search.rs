//! Search.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{App, Error, JobDetail, Result};
use crate::catalog::{Image, ImageId, JobId, JobSummary, SearchDoc};
use crate::search::{Hit, Hits, Kind};
use crate::seed::manifest;

/// Which part of a ranking is wanted.
#[derive(Clone, Debug)]
pub struct Page {
    pub limit: usize,
    /// Where the page before ended, as its [`Ranked::next`] said.
    pub cursor: Option<String>,
}

impl Page {
    /// The whole ranking, as the legacy addresses answer it.
    pub const ALL: Page = Page { limit: usize::MAX, cursor: None };
}

/// Results, best first.
#[derive(Debug)]
pub struct Ranked<T> {
    /// How many there are in all.
    pub total: u64,
    pub items: Vec<(T, f32)>,
    /// What to hand in for the next page; `None` on the last.
    pub next: Option<String>,
}

impl App {
    /// Jobs that match, each by its best image.
    pub async fn search_jobs(&self, query: &str, page: &Page) -> Result<Ranked<JobSummary>> {
        let hits = self.search(query, Kind::Job, page).await?;
        let ids: Vec<JobId> = hits.hits.iter().map(|hit| JobId(hit.id)).collect();
        let jobs = self.0.store.job_summary_list_by_ids(&ids).await?;
        Ok(ranked(&hits, jobs, |summary| summary.job.id.0))
    }

    /// The same jobs with all their versions and images.
    pub async fn search_job_details(&self, query: &str, page: &Page) -> Result<Ranked<JobDetail>> {
        let hits = self.search(query, Kind::Job, page).await?;
        let ids: Vec<JobId> = hits.hits.iter().map(|hit| JobId(hit.id)).collect();
        let jobs = self.job_list_by_ids(&ids).await?;
        Ok(ranked(&hits, jobs, |job| job.job.id.0))
    }

    /// Images that match.
    pub async fn search_images(&self, query: &str, page: &Page) -> Result<Ranked<Image>> {
        let hits = self.search(query, Kind::Image, page).await?;
        let ids: Vec<ImageId> = hits.hits.iter().map(|hit| ImageId(hit.id)).collect();
        let images = self.0.store.image_list_by_ids(&ids).await?;
        Ok(ranked(&hits, images, |image| image.id.0))
    }

    pub(super) async fn search(&self, query: &str, kind: Kind, page: &Page) -> Result<Hits> {
        let after = page.cursor.as_deref().map(read_cursor).transpose()?;
        let (index, query, limit) = (self.0.index.clone(), query.to_owned(), page.limit);
        Ok(tokio::task::spawn_blocking(move || index.search(&query, kind, limit, after)).await??)
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
        interfaces: essentials.interfaces,
        media_types: essentials.media_types,
    }
}

/// Puts scores to rows. Rows that vanished since the index was written are missing on both sides.
fn ranked<T>(hits: &Hits, rows: Vec<T>, id: impl Fn(&T) -> i64) -> Ranked<T> {
    let mut rows = rows.into_iter().peekable();
    let mut items = Vec::new();
    for hit in &hits.hits {
        if let Some(row) = rows.next_if(|row| id(row) == hit.id) {
            items.push((row, hit.score));
        }
    }
    Ranked { total: hits.total, items, next: hits.next.map(|hit| write_cursor(&hit)) }
}

/// The last hit of a page, exactly: scores compare by their bits.
fn write_cursor(hit: &Hit) -> String {
    URL_SAFE_NO_PAD.encode(format!("{:x}.{}", hit.score.to_bits(), hit.id))
}

fn read_cursor(text: &str) -> Result<Hit> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (score, id) = std::str::from_utf8(&bytes).ok()?.split_once('.')?;
        let score = f32::from_bits(u32::from_str_radix(score, 16).ok()?);
        Some(Hit { id: id.parse().ok()?, score }).filter(|hit| hit.score.is_finite())
    };
    read().ok_or_else(|| {
        Error::Invalid("This cursor is not one of ours: take it from 'next' of the page before".to_owned())
    })
}
