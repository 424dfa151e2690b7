//! Turns matching documents into a page of results: filters, collapses images to jobs, counts facets, sorts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::columns::{IndexView, OrdinalDictionary};
use super::doc_scores::DocScores;
use super::facets::{FacetCount, SearchFacet};
use super::ranking::weighed;
use super::schema::facet_value;
use super::{SearchCursor, SearchCursorValue, SearchKind, SearchOrder};

/// Scores are rounded to multiples of 1/`STEPS`: the last digits of floating-point sums depend on the order of their
/// terms, but equal documents must have equal scores. A power of two, so that rounded scores are exact.
const STEPS: f32 = 128.0;

/// Maximum number of values that are listed per facet.
pub(super) const FACET_VALUES: usize = 50;

/// A matching document with its score.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoredDoc {
    score: f32,
    /// Document number in the [`IndexView`].
    doc: u32,
    job: u32,
}

/// Facet values to filter by: of each facet that is named, a result must have one of the values.
pub(super) type FacetFilters = [(SearchFacet, String)];

/// Which sets of facet values pass the filters.
pub(super) struct FacetSetFilter {
    /// By number of the set: a bit for each facet whose filter it fails. `None`: no filters.
    failed: Option<Vec<u16>>,
    /// Whether facets are to be counted.
    counts: bool,
}

impl FacetSetFilter {
    pub(super) fn new(filters: &FacetFilters, counts: bool, known: &OrdinalDictionary) -> Self {
        if filters.is_empty() {
            return Self { failed: None, counts };
        }
        let mut wanted: BTreeMap<SearchFacet, Vec<u32>> = BTreeMap::new();
        for (facet, value) in filters {
            wanted.entry(*facet).or_default().extend(known.number_of(*facet, &facet_value(value)));
        }
        let failed = |set: &[u32]| {
            let failing = wanted.iter().filter(|(_, values)| !values.iter().any(|value| set.contains(value)));
            failing.fold(0, |failed, (facet, _)| failed | 1 << *facet as u16)
        };
        Self { failed: Some(known.sets.iter().map(|set| failed(set)).collect()), counts }
    }

    fn failed(&self, set: impl FnOnce() -> u32) -> u16 {
        self.failed.as_ref().map_or(0, |failed| failed[set() as usize])
    }
}

/// The documents that match a query, filtered.
#[derive(Default)]
pub(super) struct GatheredDocs {
    /// Those that pass all filters.
    pub images: Vec<ScoredDoc>,
    /// Those that fail the filter of one facet only, with that facet: with another value chosen they would pass. Empty
    /// if facets are not counted.
    near: Vec<(SearchFacet, ScoredDoc)>,
    /// Number of matching documents before filters.
    pub matching: u64,
}

/// Rounds half up. Uses a cast, because `f32::round` is a function call on most targets and this runs for every match.
fn round_score(score: f32) -> f32 {
    (score * STEPS + 0.5) as u32 as f32 / STEPS
}

/// Filters the matching documents, and weighs their scores.
pub(super) fn gather(view: &IndexView, scores: &DocScores, filter: &FacetSetFilter) -> GatheredDocs {
    let mut found = GatheredDocs { images: Vec::with_capacity(scores.count()), ..GatheredDocs::default() };
    let alive: Vec<_> = view.searcher.segment_readers().iter().map(|segment| segment.alive_bitset()).collect();
    for (doc, score) in scores.iter() {
        let (segment, at) = view.place(doc);
        if alive[segment].is_some_and(|alive| alive.is_deleted(at as u32)) {
            continue;
        }
        if !view.is_visible(doc) {
            continue;
        }
        found.matching += 1;
        let columns = &view.columns[segment];
        let scored = || {
            let score = round_score(weighed(score, view.standing[doc as usize]));
            ScoredDoc { score, doc, job: columns.job[at] }
        };
        match filter.failed(|| columns.set[at]) {
            0 => found.images.push(scored()),
            failed if filter.counts && failed.is_power_of_two() => {
                found.near.push((SearchFacet::ALL[failed.trailing_zeros() as usize], scored()));
            }
            _ => {}
        }
    }
    found
}

/// Sorts, collapses, pages and counts candidates.
pub(super) struct ResultSorter<'a> {
    pub view: &'a IndexView,
    pub known: &'a OrdinalDictionary,
    pub kind: SearchKind,
    pub order: SearchOrder,
}

impl ResultSorter<'_> {
    pub(super) fn image(&self, hit: &ScoredDoc) -> i64 {
        let (columns, at) = self.view.columns_of(hit.doc);
        columns.image[at]
    }

    pub(super) fn id(&self, hit: &ScoredDoc) -> i64 {
        match self.kind {
            SearchKind::Job => self.known.job(hit.job).0,
            SearchKind::Image => self.image(hit),
        }
    }

    pub(super) fn score(&self, hit: &ScoredDoc) -> f32 {
        hit.score
    }

    fn versions(&self, hit: &ScoredDoc) -> [u64; 2] {
        let (columns, at) = self.view.columns_of(hit.doc);
        columns.versions[at]
    }

    fn changed_at(&self, hit: &ScoredDoc) -> i64 {
        let (columns, at) = self.view.columns_of(hit.doc);
        columns.changed_at[at]
    }

    fn set(&self, hit: &ScoredDoc) -> u32 {
        let (columns, at) = self.view.columns_of(hit.doc);
        columns.set[at]
    }

    fn name(&self, hit: &ScoredDoc) -> &str {
        self.known.job(hit.job).1
    }

    pub(super) fn place(&self, hit: &ScoredDoc) -> SearchCursor {
        let value = match self.order {
            SearchOrder::Relevance => SearchCursorValue::Score(hit.score),
            SearchOrder::Name => SearchCursorValue::Name(self.name(hit).to_owned()),
            SearchOrder::Newest => SearchCursorValue::Time(self.changed_at(hit)),
            SearchOrder::Version => SearchCursorValue::Versions(self.versions(hit)),
        };
        SearchCursor { value, id: self.id(hit) }
    }

    fn compare(&self, a: &ScoredDoc, b: &ScoredDoc) -> Ordering {
        let by = match self.order {
            SearchOrder::Relevance => b.score.total_cmp(&a.score),
            SearchOrder::Name => self.name(a).cmp(self.name(b)),
            SearchOrder::Newest => self.changed_at(b).cmp(&self.changed_at(a)),
            SearchOrder::Version => self.versions(b).cmp(&self.versions(a)),
        };
        by.then_with(|| self.id(a).cmp(&self.id(b)))
    }

    /// Whether a candidate comes after a cursor position. A total order, also for positions that a client made up.
    fn is_after(&self, hit: &ScoredDoc, place: &SearchCursor) -> bool {
        let by = match &place.value {
            SearchCursorValue::Score(score) => score.total_cmp(&hit.score),
            SearchCursorValue::Name(name) => self.name(hit).cmp(name.as_str()),
            SearchCursorValue::Time(time) => time.cmp(&self.changed_at(hit)),
            SearchCursorValue::Versions(versions) => versions.cmp(&self.versions(hit)),
        };
        by.then_with(|| self.id(hit).cmp(&place.id)).is_gt()
    }

    /// Whether the job is represented by other images.
    pub(super) fn is_secondary(&self, hit: &ScoredDoc) -> bool {
        self.view.is_secondary(hit.doc)
    }

    /// Whether `a` is preferred to `b` as the result for their job. Images that represent the job come first, so that
    /// the place where the job is found is never that of a copy.
    fn is_better_representative(&self, a: &ScoredDoc, b: &ScoredDoc) -> bool {
        let by = self.is_secondary(a).cmp(&self.is_secondary(b)).then_with(|| match self.order {
            SearchOrder::Relevance | SearchOrder::Name => b.score.total_cmp(&a.score),
            SearchOrder::Newest => self.changed_at(b).cmp(&self.changed_at(a)),
            SearchOrder::Version => Ordering::Equal,
        });
        by.then_with(|| self.versions(b).cmp(&self.versions(a))).then_with(|| self.image(a).cmp(&self.image(b))).is_lt()
    }

    /// The preferred candidate of each job.
    pub(super) fn collapse(&self, found: &[ScoredDoc]) -> Vec<ScoredDoc> {
        const NONE: u32 = u32::MAX;
        let mut places = vec![NONE; self.known.jobs.len()];
        let mut jobs: Vec<ScoredDoc> = Vec::new();
        for hit in found {
            let place = &mut places[hit.job as usize];
            if *place == NONE {
                *place = jobs.len() as u32;
                jobs.push(*hit);
            } else if self.is_better_representative(hit, &jobs[*place as usize]) {
                jobs[*place as usize] = *hit;
            }
        }
        jobs
    }

    /// Scores older images of a job below its newest, if that matches, and secondary images below those that represent
    /// it.
    pub(super) fn put_latest_first(&self, found: &mut [ScoredDoc]) {
        rank_below(found, |hit| self.view.standing[hit.doc as usize].is_latest);
        rank_below(found, |hit| !self.is_secondary(hit));
    }

    /// The first `limit` candidates after a cursor position, sorted; and whether more follow.
    pub(super) fn page(
        &self,
        mut hits: Vec<ScoredDoc>,
        after: Option<&SearchCursor>,
        limit: usize,
    ) -> (Vec<ScoredDoc>, bool) {
        if let Some(after) = after {
            hits.retain(|hit| self.is_after(hit, after));
        }
        let more = hits.len() > limit;
        if more {
            if limit > 0 {
                hits.select_nth_unstable_by(limit - 1, |a, b| self.compare(a, b));
            }
            hits.truncate(limit);
        }
        hits.sort_unstable_by(|a, b| self.compare(a, b));
        (hits, more)
    }

    /// Number of results with each facet value: images, or jobs of which a matching image has the value. The values of
    /// a facet are counted without the filter of that facet: a count says how many results the value alone would give.
    pub(super) fn counts(&self, found: &GatheredDocs) -> Vec<(SearchFacet, Vec<FacetCount>)> {
        let mut counts = self.counts_of(&found.images);
        for facet in SearchFacet::ALL {
            let mut near = found.near.iter().filter(|(of, _)| *of == facet).map(|(_, hit)| *hit).peekable();
            if near.peek().is_some() {
                let widened: Vec<ScoredDoc> = found.images.iter().copied().chain(near).collect();
                counts[facet as usize] = self.counts_of(&widened).swap_remove(facet as usize);
            }
        }
        counts
    }

    fn counts_of(&self, found: &[ScoredDoc]) -> Vec<(SearchFacet, Vec<FacetCount>)> {
        let mut sets = vec![0u64; self.known.sets.len()];
        let mut values = vec![0u64; self.known.values.len()];
        match self.kind {
            SearchKind::Image => found.iter().for_each(|hit| sets[self.set(hit) as usize] += 1),
            SearchKind::Job => self.count_jobs(found, &mut sets, &mut values),
        }
        for (set, count) in self.known.sets.iter().zip(sets).filter(|(_, count)| *count > 0) {
            set.iter().for_each(|value| values[*value as usize] += count);
        }
        let mut counts: Vec<(SearchFacet, Vec<FacetCount>)> =
            SearchFacet::ALL.map(|facet| (facet, Vec::new())).to_vec();
        for ((facet, value), count) in self.known.values.iter().zip(values).filter(|(_, count)| *count > 0) {
            counts[*facet as usize].1.push(FacetCount { value: value.to_string(), count });
        }
        for (_, values) in &mut counts {
            values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
            values.truncate(FACET_VALUES);
        }
        counts
    }

    /// Counts each job once per value. Jobs whose images all have the same set are counted for that set; for other jobs
    /// the values of their sets are merged.
    fn count_jobs(&self, found: &[ScoredDoc], sets: &mut [u64], values: &mut [u64]) {
        const NONE: u32 = u32::MAX;
        const MIXED: u32 = u32::MAX - 1;
        let mut of_job = vec![NONE; self.known.jobs.len()];
        for hit in found {
            let (set, known) = (self.set(hit), &mut of_job[hit.job as usize]);
            *known = if *known == NONE || *known == set { set } else { MIXED };
        }
        of_job.iter().filter(|set| **set < MIXED).for_each(|set| sets[*set as usize] += 1);
        let is_mixed = |hit: &&ScoredDoc| of_job[hit.job as usize] == MIXED;
        let mut mixed: Vec<(u32, u32)> = found.iter().filter(is_mixed).map(|hit| (hit.job, self.set(hit))).collect();
        mixed.sort_unstable();
        mixed.dedup();
        let mut seen_by = vec![NONE; self.known.values.len()];
        for (job, set) in mixed {
            for value in &self.known.sets[set as usize] {
                if seen_by[*value as usize] != job {
                    seen_by[*value as usize] = job;
                    values[*value as usize] += 1;
                }
            }
        }
    }
}

/// Lowers the scores of a job's other images below the best score of those that are `is_first`, if there are any.
fn rank_below(found: &mut [ScoredDoc], is_first: impl Fn(&ScoredDoc) -> bool) {
    const BELOW: f32 = 1.0 / STEPS;
    if found.iter().all(&is_first) {
        return;
    }
    let mut best: HashMap<u32, f32> = HashMap::new();
    for hit in found.iter().filter(|hit| is_first(hit)) {
        best.entry(hit.job).and_modify(|score| *score = score.max(hit.score)).or_insert(hit.score);
    }
    for hit in found.iter_mut().filter(|hit| !is_first(hit)) {
        if let Some(best) = best.get(&hit.job) {
            hit.score = hit.score.min(best - BELOW);
        }
    }
}
