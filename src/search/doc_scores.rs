//! Scores of documents in an array, and the documents of a postings list.

use tantivy::postings::BlockSegmentPostings;

/// Scores of documents, by document number in the [`super::columns::IndexView`].
pub(super) struct DocScores {
    /// 0 for documents that do not match.
    pub of: Vec<f32>,
    /// The matching documents, without duplicates, unordered.
    pub docs: Vec<u32>,
}

/// The documents that match so far.
#[derive(Clone, Copy)]
pub(super) struct CandidateDocs<'a> {
    /// Ascending.
    pub docs: &'a [u32],
    /// Their scores by document number; 0 for all other documents.
    pub of: &'a [f32],
}

impl DocScores {
    /// Number of matching documents.
    pub(super) fn count(&self) -> usize {
        self.docs.len()
    }

    /// The matching documents with their scores.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.docs.iter().map(|doc| (*doc, self.of[*doc as usize]))
    }

    pub(super) fn raise(&mut self, doc: u32, score: f32) {
        let known = &mut self.of[doc as usize];
        if *known == 0.0 {
            self.docs.push(doc);
        }
        *known = known.max(score);
    }

    pub(super) fn add(&mut self, doc: u32, score: f32) {
        let known = &mut self.of[doc as usize];
        if *known == 0.0 {
            self.docs.push(doc);
        }
        *known += score;
    }

    /// Adds scores to documents that match here already.
    pub(super) fn add_from(&mut self, others: &Self) {
        for (doc, score) in others.iter() {
            let known = &mut self.of[doc as usize];
            if *known != 0.0 {
                *known += score;
            }
        }
    }

    pub(super) fn candidates(&mut self) -> CandidateDocs<'_> {
        // The documents are a few ascending runs, one for each list, which the stable sort merges.
        self.docs.sort();
        CandidateDocs { docs: &self.docs, of: &self.of }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let of = &mut self.of;
        self.docs.retain(|doc| {
            let at = *doc as usize;
            let is_kept = keep(at);
            if !is_kept {
                of[at] = 0.0;
            }
            is_kept
        });
    }

    pub(super) fn clear(&mut self) {
        for doc in self.docs.drain(..) {
            self.of[doc as usize] = 0.0;
        }
    }
}

/// Calls `with` for the documents of a segment's postings list, by number in the view.
pub(super) fn for_each_doc(mut list: BlockSegmentPostings, base: u32, mut with: impl FnMut(u32)) {
    while !list.docs().is_empty() {
        list.docs().iter().for_each(|doc| with(base + doc));
        list.advance();
    }
}
