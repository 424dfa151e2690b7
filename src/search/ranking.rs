//! What a query matches, and how much each match counts.
//!
//! A word counts in the best of the fields that hold it: the field's weight times one plus BM25. Repetitions do not
//! count: a version such as 0.0.0 is no better match for 0. A word that is only begun counts half the field's weight, so
//! it never outranks the finished word in the same field; a word of the same stem counts a little less than the word, one that is
//! spelled nearly so much less. Whole names come before everything that words can add up to, and then names that begin so.

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, Occur, PhraseQuery, Query as Matcher,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::lifted::LiftedQuery;
use super::prefix::PrefixQuery;
use super::query::{Alternative, Clause, Group, MAX_WORDS, Query, Scope};
use super::schema::Fields;
use super::spelling::Spellings;
use super::synonyms::Synonyms;
use super::words::stem;

/// The query is a job's whole name. More than [`OTHER_KEY`] and all words together.
const JOB_KEY: f32 = 60_000.0;
/// The query is a job's whole name but for its marks.
const NAME_KEY: f32 = 45_000.0;
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

/// What an image that is not its job's newest, or whose manifest is not valid, keeps of its score.
const OLDER: f32 = 0.9;
const INVALID: f32 = 0.5;
/// What it loses at most where a whole name counts: it stays before everything that is not named so.
const NAMED_LOSS: f32 = 5_000.0;

/// A score of an image that is not the first choice.
pub fn demoted(score: f32, is_latest: bool, is_valid: bool) -> f32 {
    let kept = if is_latest { 1.0 } else { OLDER } * if is_valid { 1.0 } else { INVALID };
    if score >= OTHER_KEY { score - (1.0 - kept) * NAMED_LOSS } else { score * kept }
}

/// Makes queries of the index out of queries of people.
pub struct Ranking<'a> {
    pub fields: &'a Fields,
    pub synonyms: &'a Synonyms,
    /// What words may be instead; empty where they are meant as they are.
    pub spellings: &'a Spellings,
}

impl Ranking<'_> {
    /// Documents that have all words of any alternative, and nothing that is excluded.
    pub fn all_words(&self, query: &Query) -> Box<dyn Matcher> {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let groups = self.groups(alternative);
            let phrase = self.name_phrase(alternative).map(|phrase| (Occur::Should, phrase));
            boolean(groups.chain(self.clauses(alternative)).map(|group| (Occur::Must, group)).chain(phrase))
        });
        self.complete(query, any(alternatives))
    }

    /// Documents that have any of the words: the more of them, the better. Named fields and phrases are a must.
    pub fn any_word(&self, query: &Query) -> Box<dyn Matcher> {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let counted = self.groups(alternative).map(|group| {
                let found = constant(group.box_clone(), FOUND);
                boolean([(Occur::Must, group), (Occur::Should, found)])
            });
            let words: Vec<_> = counted.collect();
            let words = (!words.is_empty()).then(|| (Occur::Must, any(words)));
            boolean(self.clauses(alternative).map(|clause| (Occur::Must, clause)).chain(words))
        });
        self.complete(query, any(alternatives))
    }

    /// Adds what a whole name or title counts, and takes away what is excluded.
    fn complete(&self, query: &Query, words: Box<dyn Matcher>) -> Box<dyn Matcher> {
        let fields = self.fields;
        let keys = best([
            constant(term(fields.job_key, &query.key), JOB_KEY),
            constant(term(fields.name_key, &query.name_key), NAME_KEY),
            constant(term(fields.other_keys, &query.key), OTHER_KEY),
            constant(boxed(PrefixQuery::new(fields.name_key, &query.name_key)), NAME_BEGINS),
        ]);
        let words = if query.alternatives.is_empty() { boxed(AllQuery) } else { words };
        let excluded = query.excluded.iter().map(|clause| (Occur::MustNot, self.clause(clause, false)));
        boolean([(Occur::Must, words), (Occur::Should, keys)].into_iter().chain(excluded))
    }

    fn groups<'a>(&'a self, alternative: &'a Alternative) -> impl Iterator<Item = Box<dyn Matcher>> + 'a {
        let last = alternative.unfinished();
        alternative.groups(self.synonyms).into_iter().map(move |group| self.group(&group, last))
    }

    fn group(&self, group: &Group, last: Option<&str>) -> Box<dyn Matcher> {
        let everywhere = self.fields.weights();
        let all = |words: &[String], is_typed: bool| -> Box<dyn Matcher> {
            boolean(words.iter().map(|word| {
                let unfinished = is_typed && last == Some(word.as_str());
                (Occur::Must, self.word(&everywhere, word, unfinished, is_typed))
            }))
        };
        let typed = all(&group.words, true);
        let others = group.others.iter().map(|way| boxed(BoostQuery::new(all(way, false), OTHER_WAY)));
        best(std::iter::once(typed).chain(others))
    }

    fn word(&self, fields: &[(Field, f32)], word: &str, unfinished: bool, is_typed: bool) -> Box<dyn Matcher> {
        let mut ways: Vec<Box<dyn Matcher>> = Vec::new();
        let stem = stem(word);
        let near = self.spellings.get(word).filter(|_| is_typed).map_or(&[][..], Vec::as_slice);
        for &(field, weight) in fields {
            ways.push(weighted(LiftedQuery(term(field, word)), weight));
            if let Some(stem) = &stem {
                ways.push(weighted(LiftedQuery(term(field, stem)), weight * STEM));
            }
            if unfinished {
                ways.push(weighted(PrefixQuery::new(field, word), weight * UNFINISHED));
            }
            for near in near {
                let share = TYPO / near.mistakes.max(1) as f32;
                ways.push(constant(term(field, &near.word), weight * share));
            }
        }
        best(ways)
    }

    fn clauses<'a>(&'a self, alternative: &'a Alternative) -> impl Iterator<Item = Box<dyn Matcher>> + 'a {
        alternative.clauses.iter().map(|clause| self.clause(clause, true))
    }

    /// The words of a clause, in one of its fields as a phrase, or each anywhere in them.
    fn clause(&self, clause: &Clause, may_be_unfinished: bool) -> Box<dyn Matcher> {
        if clause.scope == Some(Scope::Version) {
            let begun = format!("{}.", clause.text);
            return best([
                term(self.fields.version, &clause.text),
                boxed(PrefixQuery::new(self.fields.version, &begun)),
            ]);
        }
        let fields = match clause.scope {
            Some(scope) => vec![(self.fields.scope(scope), 8.0)],
            None => self.fields.weights().to_vec(),
        };
        if clause.is_phrase && clause.words.len() > 1 {
            return best(fields.iter().map(|(field, weight)| {
                let terms = clause.words.iter().map(|word| Term::from_field_text(*field, word)).collect();
                constant(boxed(PhraseQuery::new(terms)), *weight)
            }));
        }
        let last = clause.words.last().filter(|_| may_be_unfinished && !clause.is_phrase);
        boolean(clause.words.iter().map(|word| {
            let unfinished = clause.scope.is_some() && last == Some(word);
            (Occur::Must, self.word(&fields, word, unfinished, false))
        }))
    }

    fn name_phrase(&self, alternative: &Alternative) -> Option<Box<dyn Matcher>> {
        let name = self.fields.name;
        let terms: Vec<_> = alternative.phrase.iter().map(|word| Term::from_field_text(name, word)).collect();
        (2..=MAX_WORDS).contains(&terms.len()).then(|| constant(boxed(PhraseQuery::new(terms)), PHRASE))
    }
}

impl Fields {
    /// The fields that words are looked for in, with their weights.
    pub fn weights(&self) -> [(Field, f32); 6] {
        [
            (self.name, 8.0),
            (self.title, 8.0),
            (self.tags, 4.0),
            (self.people, 3.0),
            (self.interface, 2.0),
            (self.description, 1.0),
        ]
    }

    /// The fields in which misspelled words are looked for.
    pub fn spelled(&self) -> [Field; 5] {
        [self.name, self.title, self.tags, self.people, self.description]
    }

    fn scope(&self, scope: Scope) -> Field {
        match scope {
            Scope::Name => self.name,
            Scope::Title => self.title,
            Scope::Tag => self.tags,
            Scope::Maintainer => self.maintainer,
            Scope::Org => self.org,
            Scope::Registry => self.registry,
            Scope::Input => self.inputs,
            Scope::Output => self.outputs,
            Scope::Media => self.media,
            Scope::Version => self.version,
            Scope::Platform => self.platform,
        }
    }
}

fn term(field: Field, text: &str) -> Box<dyn Matcher> {
    boxed(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
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
