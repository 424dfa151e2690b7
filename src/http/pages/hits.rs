//! Results of a search, as a page lists them.

use super::PageFrame;
use super::filters::MarkedText;
use super::ports::{PortGroup, cut, needs, port_groups};
use crate::app::{FacetCount, MatchDetails, SearchFacet, SearchMatch, SearchPage, TextHighlight};
use crate::catalog::{CatalogueImage, JobSummary};

/// Longest texts of a result, in characters.
const LONGEST_TITLE: usize = 200;
const LONGEST_DESCRIPTION: usize = 320;

/// A page of results.
pub(super) struct FoundPage {
    pub total: u64,
    pub hits: Vec<SearchHitView>,
    pub next: Option<String>,
    pub facets: Vec<(SearchFacet, Vec<FacetCount>)>,
    pub did_you_mean: Option<String>,
}

/// One result.
pub(super) struct SearchHitView {
    pub url: String,
    pub title: MarkedText,
    pub version: String,
    pub name: MarkedText,
    pub organization: String,
    /// Such as `2 versions, 3 images`; empty for one.
    pub size: String,
    pub description: MarkedText,
    pub inputs: Vec<PortGroup>,
    pub outputs: Vec<PortGroup>,
    /// Such as `4 CPU, 12 GiB`.
    pub needs: String,
    pub is_valid: bool,
    pub is_verified: bool,
    /// Number of groups of other maintainers with a job of this name.
    pub other_groups: u64,
    /// The reference of an image; empty for jobs.
    pub reference: String,
}

pub(super) fn of_jobs(frame: &PageFrame, page: SearchPage<JobSummary>) -> FoundPage {
    found(page, |item, highlights| job(frame, item, highlights))
}

pub(super) fn of_images(frame: &PageFrame, page: SearchPage<CatalogueImage>) -> FoundPage {
    found(page, |item, highlights| image(frame, item, highlights))
}

fn found<T>(page: SearchPage<T>, view: impl Fn(T, &[TextHighlight]) -> SearchHitView) -> FoundPage {
    let hits = page
        .items
        .into_iter()
        .map(|SearchMatch { item, highlights, details, .. }| view(item, &highlights).with_details(details));
    FoundPage {
        total: page.total,
        hits: hits.collect(),
        next: page.next,
        facets: page.facets,
        did_you_mean: page.did_you_mean,
    }
}

fn job(frame: &PageFrame, summary: JobSummary, highlights: &[TextHighlight]) -> SearchHitView {
    let JobSummary { job, valid, origin, group_count, .. } = summary;
    let title = if job.title.trim().is_empty() { &job.name } else { &job.title };
    SearchHitView {
        url: frame.job_url(&job.name),
        title: marked(highlights, "title", title, LONGEST_TITLE),
        name: marked(highlights, "name", &job.name, LONGEST_TITLE),
        description: marked(highlights, "description", &job.description, LONGEST_DESCRIPTION),
        version: job.latest_job_version,
        organization: job.maint_org,
        size: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        needs: String::new(),
        is_valid: valid,
        is_verified: origin.is_verified,
        other_groups: group_count.saturating_sub(1),
        reference: String::new(),
    }
}

fn image(frame: &PageFrame, image: CatalogueImage, highlights: &[TextHighlight]) -> SearchHitView {
    let facts = &image.facts;
    let title = if facts.title.trim().is_empty() { &facts.job_name } else { &facts.title };
    SearchHitView {
        url: frame.image_url(image.id),
        title: marked(highlights, "title", title, LONGEST_TITLE),
        name: marked(highlights, "name", &facts.job_name, LONGEST_TITLE),
        description: marked(highlights, "description", &facts.description, LONGEST_DESCRIPTION),
        version: facts.job_version.clone(),
        organization: facts.maint_org.clone(),
        size: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        needs: String::new(),
        is_valid: facts.valid,
        is_verified: image.is_verified,
        other_groups: 0,
        reference: image.pull_reference(),
    }
}

impl SearchHitView {
    /// The same with what the job takes, gives and needs.
    fn with_details(mut self, details: Option<MatchDetails>) -> Self {
        let Some(MatchDetails { outline, size, .. }) = details else { return self };
        self.inputs = port_groups(&outline.inputs);
        self.outputs = port_groups(&outline.outputs);
        self.needs = needs(&outline.resources);
        if self.reference.is_empty() {
            self.size = size_text(size.versions, size.images);
        }
        self
    }
}

fn size_text(versions: u64, images: u64) -> String {
    match (versions, images) {
        (0..=1, 0..=1) => String::new(),
        (0..=1, images) => format!("{images} images"),
        (versions, images) if versions == images => format!("{versions} versions"),
        (versions, images) => format!("{versions} versions, {images} images"),
    }
}

/// The highlight of a field, else its text; the first characters of it.
fn marked(highlights: &[TextHighlight], field: &str, text: &str, most: usize) -> MarkedText {
    let found = highlights.iter().find(|highlight| highlight.field == field && highlight.text.chars().count() <= most);
    match found {
        Some(TextHighlight { text, ranges, .. }) => MarkedText { text: text.clone(), ranges: ranges.clone() },
        None => MarkedText::unmarked(&cut(text, most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_job_is_told_if_there_is_a_choice() {
        for (versions, images, expected) in
            [(1, 1, ""), (1, 3, "3 images"), (3, 3, "3 versions"), (2, 3, "2 versions, 3 images")]
        {
            assert_eq!(size_text(versions, images), expected);
        }
    }

    #[test]
    fn texts_are_marked_or_cut() {
        let highlight =
            TextHighlight { field: "title", text: "Sea ice".to_owned(), ranges: std::iter::once(4..7).collect() };
        assert_eq!(marked(std::slice::from_ref(&highlight), "title", "", 10).to_string(), "Sea <mark>ice</mark>");
        assert_eq!(marked(std::slice::from_ref(&highlight), "title", "Sea ice and more", 5).to_string(), "Sea i…");
        assert_eq!(marked(&[highlight], "name", "sea-ice", 10).to_string(), "sea-ice");
    }
}
