//! What a query matches, and how much each match counts.
//!
//! A word counts in the best of the fields that hold it: the field's weight times one plus BM25. Repetitions do not
//! count: a version such as 0.0.0 is no better match for 0. A word that is only begun counts half the field's weight, so
//! it never outranks the finished word in the same field; a word of the same stem counts a little less than the word, one that is
//! spelled nearly so much less. Whole names come before everything that words can add up to, and then names that begin so.

use tantivy::Term;
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur, PhraseQuery,
    Query as Matcher, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::lifted::LiftedQuery;
use super::prefix::PrefixQuery;
use super::query::{Alternative, Group, MAX_WORDS, Query};
use super::schema::Fields;
use super::words::stem;

/// The query is a job's whole name. More than [`OTHER_KEY`] and all words together.
const JOB_KEY: f32 = 40_000.0;
/// The query is a job's whole name but for its marks.
const NAME_KEY: f32 = 30_000.0;
/// A job's name begins with the query.
const NAME_BEGINS: f32 = 10_000.0;
/// The query is a whole title or image name. More than all words together: a query has at most 32, each below
/// 8 × (1 + 2.2 × 15) as BM25 is at most 2.2 times the logarithm of the number of documents, and at most 16 phrases.
const OTHER_KEY: f32 = 20_000.0;
/// The words stand in the image's or the job's name just as they were typed.
const PHRASE: f32 = 100.0;
/// An unfinished word, compared with the word.
const UNFINISHED: f32 = 0.5;
/// A word of the same stem.
const STEM: f32 = 0.8;
/// Another way to say it.
const OTHER_WAY: f32 = 0.9;
/// A word that is spelled nearly so.
const TYPO: f32 = 0.25;
/// Where not all words are found, one more of them counts more than any field can.
const FOUND: f32 = 300.0;

/// Whether words may be misspelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Exact,
    /// One mistake from four letters on, two from nine. Neighbours that changed places are one.
    Loose,
}

impl Fields {
    /// Documents that have all words of any alternative.
    pub fn all_words(&self, query: &Query, spelling: Spelling) -> Box<dyn Matcher> {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let groups = self.groups(alternative, spelling).map(|group| (Occur::Must, group));
            boolean(groups.chain(self.phrase(alternative).map(|phrase| (Occur::Should, phrase))))
        });
        self.with_keys(query, any(alternatives))
    }

    /// Documents that have any of the words: the more of them, the better.
    pub fn any_word(&self, query: &Query, spelling: Spelling) -> Box<dyn Matcher> {
        let groups = query.alternatives.iter().flat_map(|alternative| self.groups(alternative, spelling));
        let counted = groups.map(|group| {
            let found = constant(group.box_clone(), FOUND);
            boolean([(Occur::Must, group), (Occur::Should, found)])
        });
        self.with_keys(query, any(counted))
    }

    /// Adds what a whole name or title counts.
    fn with_keys(&self, query: &Query, words: Box<dyn Matcher>) -> Box<dyn Matcher> {
        let keys = best([
            constant(self.term(self.job_key, &query.key), JOB_KEY),
            constant(self.term(self.name_key, &query.name_key), NAME_KEY),
            constant(self.term(self.other_keys, &query.key), OTHER_KEY),
            constant(boxed(PrefixQuery::new(self.name_key, &query.name_key)), NAME_BEGINS),
        ]);
        boolean([(Occur::Must, words), (Occur::Should, keys)])
    }

    fn groups(&self, alternative: &Alternative, spelling: Spelling) -> impl Iterator<Item = Box<dyn Matcher>> {
        let last = alternative.unfinished();
        let groups = alternative.groups();
        groups.into_iter().map(move |group| self.group(&group, last, spelling))
    }

    fn group(&self, group: &Group, last: Option<&str>, spelling: Spelling) -> Box<dyn Matcher> {
        let is_last = |word: &str| last == Some(word);
        let all = |words: &[String], begun: bool| -> Box<dyn Matcher> {
            boolean(words.iter().map(|word| (Occur::Must, self.word(word, begun && is_last(word), spelling))))
        };
        let typed = all(&group.words, true);
        let others = group
            .others
            .iter()
            .map(|way| boolean(way.iter().map(|word| (Occur::Must, self.word(word, false, Spelling::Exact)))));
        best(std::iter::once(typed).chain(others.map(|way| boxed(BoostQuery::new(way, OTHER_WAY)))))
    }

    fn word(&self, word: &str, unfinished: bool, spelling: Spelling) -> Box<dyn Matcher> {
        let weights = self.weights();
        let mut ways: Vec<Box<dyn Matcher>> = Vec::new();
        let stem = stem(word);
        for (field, weight) in weights {
            ways.push(weighted(LiftedQuery(self.term(field, word)), weight));
            if let Some(stem) = &stem {
                ways.push(weighted(LiftedQuery(self.term(field, stem)), weight * STEM));
            }
            if unfinished {
                ways.push(weighted(PrefixQuery::new(field, word), weight * UNFINISHED));
            }
            if let (Spelling::Loose, Some(mistakes)) = (spelling, mistakes(word)) {
                let near = FuzzyTermQuery::new(Term::from_field_text(field, word), mistakes, true);
                ways.push(weighted(near, weight * TYPO));
            }
        }
        best(ways)
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

/// How many mistakes a word may have.
fn mistakes(word: &str) -> Option<u8> {
    match word.chars().count() {
        _ if word.chars().all(|c| c.is_ascii_digit()) => None,
        0..=3 => None,
        4..=8 => Some(1),
        _ => Some(2),
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
