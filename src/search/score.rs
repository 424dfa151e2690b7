//! Evaluates score expressions for all matching documents. Scores are in an array indexed by document; each postings
//! list raises or adds to them. tantivy's scorers are made to find the best few of many documents; here every match
//! must be visited, for totals and facets. `cargo bench --bench evaluator` compares it with tantivy's queries and a
//! `Collector` that gives the same page, totals and facet counts, in one run: 2.7 to 86 times as fast at 10,000 images,
//! 1.6 to 44 times at 1,000,000 (`docs/benchmarks.md`).
//!
//! Of expressions that must all match, the cheapest is evaluated first, and the others only for its documents.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet as _, TERMINATED, Term};

use super::columns::IndexView;
use super::doc_scores::{CandidateDocs, DocScores, for_each_doc};
use super::word_cache::PrefixDocs;
use super::{Error, Result, index_error, prefix};

/// BM25 parameters, with their usual values.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// What documents must match, and their score for it. Scores are greater than 0.
#[derive(Clone, Debug)]
pub(super) enum ScoreExpr {
    Everything(f32),
    /// A word, or a whole text, in a field: weight × (1 + BM25 of one occurrence). BM25 of a very frequent word is
    /// close to 0; the added 1 keeps matches in a field with a high weight ahead.
    Word {
        field: Field,
        text: String,
        weight: f32,
    },
    /// As `Word`, with a constant score.
    Term {
        field: Field,
        text: String,
        score: f32,
    },
    /// Any word with this prefix.
    Prefix {
        field: Field,
        text: String,
        score: f32,
    },
    /// These words in a field, next to each other.
    Phrase {
        field: Field,
        words: Vec<String>,
        score: f32,
    },
    /// Any of these; the best score counts.
    Best(Vec<ScoreExpr>),
    /// Any of these; scores are summed.
    Any(Vec<ScoreExpr>),
    /// All of these; scores are summed.
    All(Vec<ScoreExpr>),
    /// The expression, with a constant added to its scores.
    Plus(Box<ScoreExpr>, f32),
    /// The first expression; the second only adds to its scores.
    With(Box<ScoreExpr>, Box<ScoreExpr>),
    /// The first expression, without documents that match any of the others.
    Without(Box<ScoreExpr>, Vec<ScoreExpr>),
}

/// The documents to evaluate; `None` for all. Only a hint: other documents may be scored too.
type DocRestriction<'a> = Option<CandidateDocs<'a>>;

/// A postings list longer than the candidates by this factor is searched by seeking to each; a shorter one is scanned.
const WORTH_SEEKING: usize = 8;

/// Evaluates expressions, until a deadline.
pub(super) struct ScoreEvaluator<'a> {
    view: &'a IndexView,
    until: Instant,
    /// Postings by field and text, so that each term is looked up once.
    lists: HashMap<(Field, String), TermPostings>,
}

/// The postings of a term in each segment; `None` if the segment does not have it.
type TermPostings = Rc<[Option<TermInfo>]>;

impl<'a> ScoreEvaluator<'a> {
    /// Evaluations fail after `until`.
    pub(super) fn new(view: &'a IndexView, until: Instant) -> Self {
        Self { view, until, lists: HashMap::new() }
    }

    pub(super) fn scores(&mut self, expr: &ScoreExpr) -> Result<DocScores> {
        self.within(None, expr)
    }

    fn within(&mut self, docs: DocRestriction<'_>, expr: &ScoreExpr) -> Result<DocScores> {
        match expr {
            ScoreExpr::All(list) => self.all(docs, list),
            ScoreExpr::Any(list) => {
                let mut sum = self.empty();
                for expr in list {
                    let scores = self.within(docs, expr)?;
                    scores.iter().for_each(|(doc, score)| sum.add(doc, score));
                    self.recycle(scores);
                }
                Ok(sum)
            }
            ScoreExpr::Plus(expr, more) => {
                let mut scores = self.within(docs, expr)?;
                for doc in &scores.docs {
                    scores.of[*doc as usize] += more;
                }
                Ok(scores)
            }
            ScoreExpr::With(expr, more) => {
                let mut scores = self.within(docs, expr)?;
                if !scores.docs.is_empty() {
                    let more = self.within(Some(scores.candidates()), more)?;
                    scores.add_from(&more);
                    self.recycle(more);
                }
                Ok(scores)
            }
            ScoreExpr::Without(expr, unwanted) => {
                let mut scores = self.within(docs, expr)?;
                for expr in unwanted {
                    let unwanted = self.within(Some(scores.candidates()), expr)?;
                    scores.retain(|at| unwanted.of[at] == 0.0);
                    self.recycle(unwanted);
                }
                Ok(scores)
            }
            _ => {
                let mut scores = self.empty();
                self.raise(docs, expr, &mut scores)?;
                Ok(scores)
            }
        }
    }

    fn all(&mut self, docs: DocRestriction<'_>, list: &[ScoreExpr]) -> Result<DocScores> {
        if let [only] = list {
            return self.within(docs, only);
        }
        let costs: Result<Vec<u64>> = list.iter().map(|expr| self.cost(expr)).collect();
        let mut list: Vec<(u64, &ScoreExpr)> = costs?.into_iter().zip(list).collect();
        list.sort_by_key(|(cost, _)| *cost);
        let Some(((_, first), others)) = list.split_first() else { return Ok(self.empty()) };
        let mut scores = self.within(docs, first)?;
        for (_, expr) in others {
            if scores.docs.is_empty() {
                break;
            }
            let more = self.within(Some(scores.candidates()), expr)?;
            scores.retain(|at| more.of[at] != 0.0);
            scores.add_from(&more);
            self.recycle(more);
        }
        Ok(scores)
    }

    /// Total length of the postings lists that an expression reads.
    fn cost(&mut self, expr: &ScoreExpr) -> Result<u64> {
        match expr {
            ScoreExpr::Word { field, text, .. } | ScoreExpr::Term { field, text, .. } => self.length(*field, text),
            ScoreExpr::Phrase { field, words, .. } => words.iter().map(|word| self.length(*field, word)).sum(),
            // A prefix has many short lists of unknown total length, which take longer than one list of that length.
            ScoreExpr::Everything(_) | ScoreExpr::Prefix { .. } => Ok(u64::from(self.view.size)),
            ScoreExpr::Best(list) | ScoreExpr::Any(list) => list.iter().map(|expr| self.cost(expr)).sum(),
            ScoreExpr::All(list) => {
                let costs: Result<Vec<u64>> = list.iter().map(|expr| self.cost(expr)).collect();
                Ok(costs?.into_iter().min().unwrap_or_default())
            }
            ScoreExpr::Plus(expr, _) | ScoreExpr::With(expr, _) | ScoreExpr::Without(expr, _) => self.cost(expr),
        }
    }

    /// Raises scores to at least those of an expression.
    fn raise(&mut self, docs: DocRestriction<'_>, expr: &ScoreExpr, scores: &mut DocScores) -> Result<()> {
        self.in_time()?;
        match expr {
            ScoreExpr::Best(list) => list.iter().try_for_each(|expr| self.raise(docs, expr, scores)),
            ScoreExpr::Everything(score) => {
                match docs {
                    Some(within) => within.docs.iter().for_each(|doc| scores.raise(*doc, *score)),
                    None => (0..self.view.size).for_each(|doc| scores.raise(doc, *score)),
                }
                Ok(())
            }
            ScoreExpr::Word { field, text, weight } => self.word(docs, *field, text, *weight, scores),
            ScoreExpr::Term { field, text, score } => self.term(docs, *field, text, *score, scores),
            ScoreExpr::Prefix { field, text, score } => self.prefix(docs, *field, text, *score, scores),
            ScoreExpr::Phrase { field, words, score } => self.phrase(docs, *field, words, *score, scores),
            ScoreExpr::All(_)
            | ScoreExpr::Any(_)
            | ScoreExpr::Plus(..)
            | ScoreExpr::With(..)
            | ScoreExpr::Without(..) => {
                let found = self.within(docs, expr)?;
                found.iter().for_each(|(doc, score)| scores.raise(doc, score));
                self.recycle(found);
                Ok(())
            }
        }
    }

    fn word(
        &mut self,
        docs: DocRestriction<'_>,
        field: Field,
        text: &str,
        weight: f32,
        scores: &mut DocScores,
    ) -> Result<()> {
        let found = self.lists(field, text)?;
        if found.iter().all(Option::is_none) {
            return Ok(());
        }
        let mut frequency = 0;
        for ((segment, base), info) in self.view.segments().zip(found.iter()) {
            if let Some(info) = info {
                let index = segment.inverted_index(field).map_err(index_error)?;
                frequency += self.view.frequency(&index, info, base).map_err(index_error)?;
            }
        }
        let tokens = self.view.token_count(field).map_err(index_error)?;
        let by_length = bm25_by_length(weight, frequency, tokens, self.view.visible_size());
        for ((segment, base), info) in self.view.segments().zip(found.iter()) {
            let Some(info) = info else { continue };
            let lengths = segment.get_fieldnorms_reader(field).map_err(index_error)?;
            for_each_posting(postings(segment, field, info)?, base, docs, |doc| {
                scores.raise(doc, by_length[usize::from(lengths.fieldnorm_id(doc - base))]);
            });
        }
        Ok(())
    }

    fn term(
        &mut self,
        docs: DocRestriction<'_>,
        field: Field,
        text: &str,
        score: f32,
        scores: &mut DocScores,
    ) -> Result<()> {
        for ((segment, base), info) in self.view.segments().zip(self.lists(field, text)?.iter()) {
            if let Some(info) = info {
                for_each_posting(postings(segment, field, info)?, base, docs, |doc| scores.raise(doc, score));
            }
        }
        Ok(())
    }

    fn prefix(
        &self,
        docs: DocRestriction<'_>,
        field: Field,
        text: &str,
        score: f32,
        scores: &mut DocScores,
    ) -> Result<()> {
        let key = (field, text.to_owned());
        let look_up = |key: &(Field, String)| prefix::docs(self.view, key.0, &key.1);
        let known = self.view.lookups.prefixes.get_or(key, look_up).map_err(index_error)?;
        let last = match known.as_ref() {
            PrefixDocs::All(found) => {
                let is_candidate = |doc: &&u32| docs.is_none_or(|within| within.of[**doc as usize] != 0.0);
                found.iter().filter(is_candidate).for_each(|doc| scores.raise(*doc, score));
                return Ok(());
            }
            PrefixDocs::TooMany { last } => last,
        };
        for (segment, base) in self.view.segments() {
            let index = segment.inverted_index(field).map_err(index_error)?;
            let mut terms = prefix::terms(&index, text, last.as_deref()).map_err(index_error)?;
            while terms.advance() {
                for_each_posting(postings(segment, field, terms.value())?, base, docs, |doc| scores.raise(doc, score));
            }
        }
        Ok(())
    }

    fn phrase(
        &mut self,
        docs: DocRestriction<'_>,
        field: Field,
        words: &[String],
        score: f32,
        scores: &mut DocScores,
    ) -> Result<()> {
        for word in words {
            if self.lists(field, word)?.iter().all(Option::is_none) {
                return Ok(());
            }
        }
        let terms = words.iter().map(|word| Term::from_field_text(field, word)).collect();
        let enabled = EnableScoring::disabled_from_searcher(&self.view.searcher);
        let weight = PhraseQuery::new(terms).weight(enabled).map_err(index_error)?;
        for (segment, base) in self.view.segments() {
            let mut found = weight.scorer(segment, 1.0).map_err(index_error)?;
            if let Some(within) = docs {
                for doc in docs_from(within.docs, base) {
                    self.in_time()?;
                    let wanted = doc - base;
                    if wanted >= found.doc() && found.seek(wanted) == wanted {
                        scores.raise(*doc, score);
                    }
                }
                continue;
            }
            while found.doc() != TERMINATED {
                self.in_time()?;
                scores.raise(base + found.doc(), score);
                found.advance();
            }
        }
        Ok(())
    }

    fn in_time(&self) -> Result<()> {
        let is_late = Instant::now() > self.until;
        let why = || Error::Query("this search takes too long: use fewer words, or longer ones".to_owned());
        if is_late { Err(why()) } else { Ok(()) }
    }

    /// Number of documents with a word in a field.
    fn length(&mut self, field: Field, text: &str) -> Result<u64> {
        Ok(self.lists(field, text)?.iter().flatten().map(|info| u64::from(info.doc_freq)).sum())
    }

    fn lists(&mut self, field: Field, text: &str) -> Result<TermPostings> {
        let key = (field, text.to_owned());
        if let Some(known) = self.lists.get(&key) {
            return Ok(Rc::clone(known));
        }
        let term = Term::from_field_text(field, text);
        let of = |segment: &tantivy::SegmentReader| Ok(segment.inverted_index(field)?.get_term_info(&term)?);
        let found: tantivy::Result<TermPostings> = self.view.searcher.segment_readers().iter().map(of).collect();
        let found = found.map_err(index_error)?;
        self.lists.insert(key, Rc::clone(&found));
        Ok(found)
    }

    fn empty(&self) -> DocScores {
        let free = self.view.free().pop();
        free.unwrap_or_else(|| DocScores { of: vec![0.0; self.view.size as usize], docs: Vec::new() })
    }

    /// Returns an array of scores for reuse, also by other searches.
    pub(super) fn recycle(&self, mut scores: DocScores) {
        /// As many as a few concurrent searches need; each takes some bytes for every document.
        const KEPT: usize = 8;
        scores.clear();
        let mut free = self.view.free();
        if free.len() < KEPT {
            free.push(scores);
        }
    }
}

fn postings(segment: &tantivy::SegmentReader, field: Field, info: &TermInfo) -> Result<BlockSegmentPostings> {
    let index = segment.inverted_index(field).map_err(index_error)?;
    let read = index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic);
    read.map_err(|why| index_error(why.into()))
}

/// The score of a word, by the encoded length of the field that contains it.
fn bm25_by_length(weight: f32, frequency: u32, tokens: u64, docs: u32) -> [f32; 256] {
    let (frequency, docs) = (frequency as f32, docs as f32);
    let rarity = (1.0 + (docs - frequency + 0.5) / (frequency + 0.5)).ln() * (1.0 + K1);
    let average = tokens as f32 / docs;
    std::array::from_fn(|id| {
        let length = FieldNormReader::id_to_fieldnorm(id as u8) as f32;
        weight * (1.0 + rarity / (1.0 + K1 * (1.0 - B + B * length / average)))
    })
}

/// The documents from the number `base` on.
fn docs_from(docs: &[u32], base: u32) -> &[u32] {
    &docs[docs.partition_point(|doc| *doc < base)..]
}

/// Calls `with` for the documents of a segment's postings list, by number in the view: for all, or at least for those
/// in `docs`.
fn for_each_posting(mut list: BlockSegmentPostings, base: u32, docs: DocRestriction<'_>, mut with: impl FnMut(u32)) {
    let length = list.doc_freq() as usize;
    match docs {
        Some(CandidateDocs { docs, .. }) if docs.len() * WORTH_SEEKING < length => {
            for doc in docs_from(docs, base) {
                let at = list.seek(doc - base);
                match list.doc(at) {
                    found if found == doc - base => with(*doc),
                    TERMINATED => break,
                    _ => {}
                }
            }
        }
        Some(CandidateDocs { of, .. }) => {
            for_each_doc(list, base, |doc| {
                if of[doc as usize] != 0.0 {
                    with(doc)
                }
            });
        }
        None => for_each_doc(list, base, with),
    }
}

#[cfg(test)]
mod tests;
