//! What readers who do not see all registries see of an index: documents of hidden registries do not exist for them.
//! Totals, facets and scores are those of an index without these documents, and so are the words that suggestions and
//! corrections are made of.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::postings::TermInfo;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{InvertedIndexReader, SegmentReader};

use super::columns::{IndexView, OrdinalDictionary, standing};
use super::doc_scores::for_each_doc;
use super::visible_docs::ViewRestriction;
use super::word_cache::WordLookups;
use crate::catalog::{CatalogueView, RegistryId};

/// Most views that are kept for one state of the index; each takes some bytes a document.
const MOST_KEPT: usize = 16;

/// The state of the index as a reader sees it.
pub(super) fn seen_by(view: &Arc<IndexView>, reader: &CatalogueView) -> Arc<IndexView> {
    if reader.is_whole() {
        return Arc::clone(view);
    }
    let kept = view.restricted.lock().iter().find(|(of, _)| of == reader).map(|(_, kept)| Arc::clone(kept));
    kept.unwrap_or_else(|| {
        let made = Arc::new(view.restricted_to(reader.hidden()));
        let mut kept = view.restricted.lock();
        if kept.len() == MOST_KEPT {
            kept.remove(0);
        }
        kept.push((reader.clone(), Arc::clone(&made)));
        made
    })
}

impl IndexView {
    fn restricted_to(&self, hidden: &BTreeSet<RegistryId>) -> Self {
        let known = self.known.read();
        let restriction = restriction_of(self, hidden, &known);
        let is_first =
            |_: &_, _, doc: u32| restriction.is_visible[doc as usize] && !restriction.is_secondary[doc as usize];
        let standing = standing(&self.searcher, &self.columns, &known, is_first);
        Self {
            searcher: self.searcher.clone(),
            columns: self.columns.clone(),
            bases: self.bases.clone(),
            size: self.size,
            standing,
            known: Arc::clone(&self.known),
            restriction: Some(restriction),
            restricted: Mutex::default(),
            free: Mutex::default(),
            lookups: WordLookups::default(),
        }
    }

    /// Whether the reader sees a document.
    pub(super) fn is_visible(&self, doc: u32) -> bool {
        self.restriction.as_ref().is_none_or(|restriction| restriction.is_visible[doc as usize])
    }

    /// Number of documents that the reader sees, including deleted ones.
    pub(super) fn visible_size(&self) -> u32 {
        self.restriction.as_ref().map_or(self.size, |restriction| restriction.size)
    }

    /// Number of documents with a word that the reader sees, in the segment that begins at `base`.
    pub(super) fn frequency(&self, index: &InvertedIndexReader, info: &TermInfo, base: u32) -> tantivy::Result<u32> {
        let Some(restriction) = &self.restriction else { return Ok(info.doc_freq) };
        let mut seen = 0;
        let list = index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
        for_each_doc(list, base, |doc| seen += u32::from(restriction.is_visible[doc as usize]));
        Ok(seen)
    }

    /// Number of documents with a word that the reader sees, in all segments.
    pub(super) fn word_frequency(&self, field: Field, word: &str) -> tantivy::Result<u32> {
        let mut seen = 0;
        for (segment, base) in self.segments() {
            let index = segment.inverted_index(field)?;
            if let Some(info) = index.terms().get(word.as_bytes())? {
                seen += self.frequency(&index, &info, base)?;
            }
        }
        Ok(seen)
    }

    /// Number of words in a field of the documents that the reader sees.
    pub(super) fn token_count(&self, field: Field) -> tantivy::Result<u64> {
        let Some(restriction) = &self.restriction else {
            let of = |segment: &SegmentReader| Ok(segment.inverted_index(field)?.total_num_tokens());
            return self.searcher.segment_readers().iter().map(of).sum();
        };
        if let Some(known) = restriction.tokens.lock().get(&field) {
            return Ok(*known);
        }
        let mut tokens = 0;
        for (segment, base) in self.segments() {
            let lengths = segment.get_fieldnorms_reader(field)?;
            let seen = (0..segment.max_doc()).filter(|doc| restriction.is_visible[(base + doc) as usize]);
            tokens += seen.map(|doc| u64::from(lengths.fieldnorm(doc))).sum::<u64>();
        }
        restriction.tokens.lock().insert(field, tokens);
        Ok(tokens)
    }
}

/// The documents that are not of hidden registries, and which of them represent their jobs.
fn restriction_of(view: &IndexView, hidden: &BTreeSet<RegistryId>, known: &OrdinalDictionary) -> ViewRestriction {
    let all = || view.columns.iter().flat_map(|columns| (0..columns.image.len()).map(move |at| (columns, at)));
    let is_visible: Vec<bool> =
        all().map(|(columns, at)| !hidden.contains(&RegistryId(columns.registry[at]))).collect();
    let is_verified = |set: u32| known.verified[set as usize];
    // The rule of `catalog::place_origins`: the group of the first verified origin, or else of the first one,
    // represents the job; of that group only verified origins, if it has any.
    let mut first: HashMap<u32, (bool, i64, i64)> = HashMap::new();
    for (segment, (columns, base)) in view.searcher.segment_readers().iter().zip(view.columns.iter().zip(&view.bases)) {
        for doc in segment.doc_ids_alive().filter(|doc| is_visible[(base + doc) as usize]) {
            let at = doc as usize;
            let place = (!is_verified(columns.set[at]), columns.origin[at], columns.group[at]);
            first.entry(columns.job[at]).and_modify(|first| *first = place.min(*first)).or_insert(place);
        }
    }
    let is_secondary = all()
        .map(|(columns, at)| {
            first.get(&columns.job[at]).is_none_or(|(is_unverified, _, group)| {
                columns.group[at] != *group || !is_unverified && !is_verified(columns.set[at])
            })
        })
        .collect();
    let size = is_visible.iter().map(|is_visible| u32::from(*is_visible)).sum();
    ViewRestriction { is_visible, is_secondary, size, tokens: Mutex::default() }
}
