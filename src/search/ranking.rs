//! What a query matches, and how much each match counts.
//!
//! A word counts in the best of the fields that hold it: the field's weight times one plus BM25. Repetitions do not
//! count: a version such as 0.0.0 is no better match for 0. A word that is only begun counts half the field's weight, so
//! it never outranks the finished word in the same field. Whole names come before everything that words can add up to.

use tantivy::Term;
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, Occur, PhraseQuery, Query as Matcher, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::lifted::LiftedQuery;
use super::prefix::PrefixQuery;
use super::query::{Alternative, MAX_WORDS, Query};
use super::schema::Fields;

/// The query is a job's whole name. More than [`OTHER_KEY`] and all words together.
const JOB_KEY: f32 = 40_000.0;
/// The query is a whole title or image name. More than all words together: a query has at most 32, each below
/// 8 × (1 + 2.2 × 15) as BM25 is at most 2.2 times the logarithm of the number of documents, and at most 16 phrases.
const OTHER_KEY: f32 = 20_000.0;
/// The words stand in the image's or the job's name just as they were typed.
const PHRASE: f32 = 100.0;
/// An unfinished word, compared with the word.
const UNFINISHED: f32 = 0.5;

impl Fields {
    /// Documents that have all words of any alternative.
    pub fn all_words(&self, query: &Query) -> Box<dyn Matcher> {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let words = self.words(alternative).map(|word| (Occur::Must, word));
            boolean(words.chain(self.phrase(alternative).map(|phrase| (Occur::Should, phrase))))
        });
        self.with_keys(query, any(alternatives))
    }

    /// Documents that have any of the words.
    pub fn any_word(&self, query: &Query) -> Box<dyn Matcher> {
        self.with_keys(query, any(query.alternatives.iter().flat_map(|alternative| self.words(alternative))))
    }

    /// Adds what a whole name or title counts.
    fn with_keys(&self, query: &Query, words: Box<dyn Matcher>) -> Box<dyn Matcher> {
        let keys = best([
            constant(self.term(self.job_key, &query.key), JOB_KEY),
            constant(self.term(self.other_keys, &query.key), OTHER_KEY),
        ]);
        boolean([(Occur::Must, words), (Occur::Should, keys)])
    }

    fn words<'a>(&'a self, alternative: &'a Alternative) -> impl Iterator<Item = Box<dyn Matcher>> + 'a {
        alternative.words().map(|word| self.word(word, alternative.unfinished() == Some(word)))
    }

    fn word(&self, word: &str, unfinished: bool) -> Box<dyn Matcher> {
        let weights = self.weights();
        let whole = weights.map(|(field, weight)| weighted(LiftedQuery(self.term(field, word)), weight));
        let begun = weights.map(|(field, weight)| weighted(PrefixQuery::new(field, word), weight * UNFINISHED));
        best(whole.into_iter().chain(begun.into_iter().filter(|_| unfinished)))
    }

    /// The fields that words are looked for in, with their weights.
    fn weights(&self) -> [(Field, f32); 6] {
        [
            (self.name, 8.0),
            (self.title, 8.0),
            (self.tags, 4.0),
            (self.people, 3.0),
            (self.interface, 2.0),
            (self.description, 1.0),
        ]
    }

    fn phrase(&self, alternative: &Alternative) -> Option<Box<dyn Matcher>> {
        let terms: Vec<_> = alternative.phrase.iter().map(|word| Term::from_field_text(self.name, word)).collect();
        (2..=MAX_WORDS).contains(&terms.len()).then(|| constant(boxed(PhraseQuery::new(terms)), PHRASE))
    }

    fn term(&self, field: Field, text: &str) -> Box<dyn Matcher> {
        boxed(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
    }
}

fn boxed(query: impl Matcher) -> Box<dyn Matcher> {
    Box::new(query)
}

fn weighted(query: impl Matcher, weight: f32) -> Box<dyn Matcher> {
    boxed(BoostQuery::new(boxed(query), weight))
}

fn constant(query: Box<dyn Matcher>, score: f32) -> Box<dyn Matcher> {
    boxed(ConstScoreQuery::new(query, score))
}

/// The best score of those that match.
fn best(queries: impl IntoIterator<Item = Box<dyn Matcher>>) -> Box<dyn Matcher> {
    boxed(DisjunctionMaxQuery::new(Vec::from_iter(queries)))
}

/// The sum of the scores of those that match.
fn any(queries: impl IntoIterator<Item = Box<dyn Matcher>>) -> Box<dyn Matcher> {
    boolean(queries.into_iter().map(|query| (Occur::Should, query)))
}

fn boolean(clauses: impl IntoIterator<Item = (Occur, Box<dyn Matcher>)>) -> Box<dyn Matcher> {
    boxed(BooleanQuery::new(Vec::from_iter(clauses)))
}
