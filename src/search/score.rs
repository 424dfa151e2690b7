//! Going through everything that matches, list by list: each document has a place in an array, and each list of documents
//! with a word raises or adds to the scores there. The library's iterators of iterators are made for the best few of many;
//! here all matches have to be seen, for totals and facets.

use std::time::Instant;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet as _, TERMINATED, Term};

use super::columns::View;
use super::generation::index_error;
use super::prefix;
use super::{Error, Result};

/// Constants of BM25 as everybody has them.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// What documents must have, and what they score for it. Scores are above 0.
#[derive(Clone, Debug)]
pub enum Expr {
    Everything(f32),
    /// A word, or a whole text, of a field: the weight times one plus BM25, for one occurrence. BM25 of a word that is
    /// everywhere comes close to nothing; with the one added, a match in a weighty field stays ahead.
    Word {
        field: Field,
        text: String,
        weight: f32,
    },
    /// The same, but all score the same.
    Term {
        field: Field,
        text: String,
        score: f32,
    },
    /// A word that begins so.
    Begun {
        field: Field,
        text: String,
        score: f32,
    },
    /// These words of a field next to each other.
    Phrase {
        field: Field,
        words: Vec<String>,
        score: f32,
    },
    /// Any of these: the best score.
    Best(Vec<Expr>),
    /// Any of these: the sum of the scores.
    Any(Vec<Expr>),
    /// All of these: the sum of the scores.
    All(Vec<Expr>),
    /// What scores, scores so much more.
    Plus(Box<Expr>, f32),
    /// The first; the second only adds to its scores.
    With(Box<Expr>, Box<Expr>),
    /// The first without what any of the others has.
    Without(Box<Expr>, Vec<Expr>),
}

/// Scores of documents, by their numbers in the view.
pub struct Scores {
    /// 0 where nothing matches.
    of: Vec<f32>,
    /// Those that match, each once, in no order.
    docs: Vec<u32>,
}

/// Works expressions out.
pub struct Evaluation<'a> {
    view: &'a View,
    until: Instant,
    free: Vec<Scores>,
}

impl Scores {
    /// Numbers and scores of what matches.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.docs.iter().map(|doc| (*doc, self.of[*doc as usize]))
    }

    fn raise(&mut self, doc: u32, score: f32) {
        let known = &mut self.of[doc as usize];
        if *known == 0.0 {
            self.docs.push(doc);
        }
        *known = known.max(score);
    }

    fn add(&mut self, doc: u32, score: f32) {
        let known = &mut self.of[doc as usize];
        if *known == 0.0 {
            self.docs.push(doc);
        }
        *known += score;
    }

    /// Adds to what matches here already.
    fn add_from(&mut self, others: &Self) {
        for (doc, score) in others.iter() {
            let known = &mut self.of[doc as usize];
            if *known != 0.0 {
                *known += score;
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
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

    fn clear(&mut self) {
        for doc in self.docs.drain(..) {
            self.of[doc as usize] = 0.0;
        }
    }
}

impl<'a> Evaluation<'a> {
    /// Gives up at `until`.
    pub fn new(view: &'a View, until: Instant) -> Self {
        Self { view, until, free: Vec::new() }
    }

    pub fn scores(&mut self, expr: &Expr) -> Result<Scores> {
        match expr {
            Expr::All(list) => self.all(list),
            Expr::Any(list) => {
                let mut sum = self.empty();
                for expr in list {
                    let scores = self.scores(expr)?;
                    scores.iter().for_each(|(doc, score)| sum.add(doc, score));
                    self.give_back(scores);
                }
                Ok(sum)
            }
            Expr::Plus(expr, more) => {
                let mut scores = self.scores(expr)?;
                for doc in &scores.docs {
                    scores.of[*doc as usize] += more;
                }
                Ok(scores)
            }
            Expr::With(expr, more) => {
                let mut scores = self.scores(expr)?;
                if !scores.docs.is_empty() {
                    let more = self.scores(more)?;
                    scores.add_from(&more);
                    self.give_back(more);
                }
                Ok(scores)
            }
            Expr::Without(expr, unwanted) => {
                let mut scores = self.scores(expr)?;
                for expr in unwanted {
                    let unwanted = self.scores(expr)?;
                    scores.retain(|at| unwanted.of[at] == 0.0);
                    self.give_back(unwanted);
                }
                Ok(scores)
            }
            _ => {
                let mut scores = self.empty();
                self.raise(expr, &mut scores)?;
                Ok(scores)
            }
        }
    }

    fn all(&mut self, list: &[Expr]) -> Result<Scores> {
        let Some((first, others)) = list.split_first() else { return Ok(self.empty()) };
        let mut scores = self.scores(first)?;
        for expr in others {
            if scores.docs.is_empty() {
                break;
            }
            let more = self.scores(expr)?;
            scores.retain(|at| more.of[at] != 0.0);
            scores.add_from(&more);
            self.give_back(more);
        }
        Ok(scores)
    }

    /// Raises scores to those of an expression.
    fn raise(&mut self, expr: &Expr, scores: &mut Scores) -> Result<()> {
        if Instant::now() > self.until {
            return Err(Error::Query("this search takes too long: use fewer words, or longer ones".to_owned()));
        }
        match expr {
            Expr::Best(list) => list.iter().try_for_each(|expr| self.raise(expr, scores)),
            Expr::Everything(score) => {
                (0..self.view.size).for_each(|doc| scores.raise(doc, *score));
                Ok(())
            }
            Expr::Word { field, text, weight } => self.word(*field, text, *weight, scores),
            Expr::Term { field, text, score } => self.term(*field, text, *score, scores),
            Expr::Begun { field, text, score } => self.begun(*field, text, *score, scores),
            Expr::Phrase { field, words, score } => self.phrase(*field, words, *score, scores),
            Expr::All(_) | Expr::Any(_) | Expr::Plus(..) | Expr::With(..) | Expr::Without(..) => {
                let found = self.scores(expr)?;
                found.iter().for_each(|(doc, score)| scores.raise(doc, score));
                self.give_back(found);
                Ok(())
            }
        }
    }

    fn word(&self, field: Field, text: &str, weight: f32, scores: &mut Scores) -> Result<()> {
        let found = self.lists(field, text)?;
        let (mut frequency, mut tokens) = (0, 0);
        for (segment, info) in self.view.searcher.segment_readers().iter().zip(&found) {
            frequency += info.as_ref().map_or(0, |info| info.doc_freq);
            tokens += segment.inverted_index(field).map_err(index_error)?.total_num_tokens();
        }
        let by_length = relevance(weight, frequency, tokens, self.view.size);
        for ((segment, base), info) in self.view.segments().zip(&found) {
            let Some(info) = info else { continue };
            let lengths = segment.get_fieldnorms_reader(field).map_err(index_error)?;
            each(self.postings(segment, field, info)?, |doc| {
                scores.raise(base + doc, by_length[usize::from(lengths.fieldnorm_id(doc))]);
            });
        }
        Ok(())
    }

    fn term(&self, field: Field, text: &str, score: f32, scores: &mut Scores) -> Result<()> {
        for ((segment, base), info) in self.view.segments().zip(self.lists(field, text)?) {
            if let Some(info) = info {
                each(self.postings(segment, field, &info)?, |doc| scores.raise(base + doc, score));
            }
        }
        Ok(())
    }

    fn begun(&self, field: Field, text: &str, score: f32, scores: &mut Scores) -> Result<()> {
        let last = prefix::last_term(&self.view.searcher, field, text).map_err(index_error)?;
        for (segment, base) in self.view.segments() {
            let index = segment.inverted_index(field).map_err(index_error)?;
            let mut terms = prefix::terms(&index, text, last.as_deref()).map_err(index_error)?;
            while terms.advance() {
                each(self.postings(segment, field, terms.value())?, |doc| scores.raise(base + doc, score));
            }
        }
        Ok(())
    }

    fn phrase(&self, field: Field, words: &[String], score: f32, scores: &mut Scores) -> Result<()> {
        let terms = words.iter().map(|word| Term::from_field_text(field, word)).collect();
        let enabled = EnableScoring::disabled_from_searcher(&self.view.searcher);
        let weight = PhraseQuery::new(terms).weight(enabled).map_err(index_error)?;
        for (segment, base) in self.view.segments() {
            let mut found = weight.scorer(segment, 1.0).map_err(index_error)?;
            while found.doc() != TERMINATED {
                scores.raise(base + found.doc(), score);
                found.advance();
            }
        }
        Ok(())
    }

    /// Where the documents with a word are, in each segment.
    fn lists(&self, field: Field, text: &str) -> Result<Vec<Option<TermInfo>>> {
        let term = Term::from_field_text(field, text);
        let of = |segment: &tantivy::SegmentReader| Ok(segment.inverted_index(field)?.get_term_info(&term)?);
        let found: tantivy::Result<_> = self.view.searcher.segment_readers().iter().map(of).collect();
        found.map_err(index_error)
    }

    fn postings(
        &self,
        segment: &tantivy::SegmentReader,
        field: Field,
        info: &TermInfo,
    ) -> Result<BlockSegmentPostings> {
        let index = segment.inverted_index(field).map_err(index_error)?;
        let read = index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic);
        read.map_err(|why| index_error(why.into()))
    }

    fn empty(&mut self) -> Scores {
        self.free.pop().unwrap_or_else(|| Scores { of: vec![0.0; self.view.size as usize], docs: Vec::new() })
    }

    fn give_back(&mut self, mut scores: Scores) {
        scores.clear();
        self.free.push(scores);
    }
}

/// The score of a word by the length of the field it stands in.
fn relevance(weight: f32, frequency: u32, tokens: u64, docs: u32) -> [f32; 256] {
    let (frequency, docs) = (frequency as f32, docs as f32);
    let rarity = (1.0 + (docs - frequency + 0.5) / (frequency + 0.5)).ln() * (1.0 + K1);
    let average = tokens as f32 / docs;
    std::array::from_fn(|id| {
        let length = FieldNormReader::id_to_fieldnorm(id as u8) as f32;
        weight * (1.0 + rarity / (1.0 + K1 * (1.0 - B + B * length / average)))
    })
}

fn each(mut postings: BlockSegmentPostings, mut with: impl FnMut(u32)) {
    while !postings.docs().is_empty() {
        postings.docs().iter().for_each(|doc| with(*doc));
        postings.advance();
    }
}
