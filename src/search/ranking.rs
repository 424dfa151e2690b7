//! Compiles a query to a score expression: what it matches, and how much each match scores.
//!
//! A word scores in the best of the fields that contain it: the field's weight × (1 + BM25). Term frequency is ignored:
//! a version such as 0.0.0 is no better match for 0. A prefix match scores half the field's weight, so it never
//! outranks the whole word in the same field; a word with the same stem scores a little less than the word, a similarly
//! spelled one much less. Exact names come before everything that words can add up to, then names that begin with the
//! query.

use tantivy::schema::Field;

use super::columns::RankStanding;
use super::compounds::CompoundWords;
use super::keys::joined_key;
use super::query::{MAX_WORDS, ParsedQuery, QueryAlternative, QueryClause, QueryField, SynonymGroup};
use super::schema::IndexFields;
use super::score::ScoreExpr;
use super::spelling::SpellingsByWord;
use super::synonyms::SynonymTable;
use super::tokenizer::{LONGEST_SEQUENCE, is_unspaced, pairs, stem};
use super::word_cache::WordSequence;

/// The query is exactly a job's name. More than [`OTHER_KEY`] and all words together.
const JOB_KEY: f32 = 60_000.0;
/// The query is a job's name except for accents and signs.
const NAME_KEY: f32 = 45_000.0;
/// As [`NAME_KEY`], if both are written as one word.
const JOINED_NAME: f32 = 35_000.0;
/// A job's name begins with the query.
const NAME_BEGINS: f32 = 10_000.0;
/// The query is exactly a title or image name. More than all words together: a query has at most 32, each below
/// 8 × (1 + 2.2 × 15) as BM25 is at most 2.2 times the logarithm of the number of documents, and at most 16 phrases.
const OTHER_KEY: f32 = 20_000.0;
/// The words occur in the image's or the job's name in the order typed, next to each other.
const PHRASE: f32 = 100.0;
/// Share of the field's weight for a prefix match.
const UNFINISHED: f32 = 0.5;
/// Share of the field's weight for a word with the same stem.
const STEM: f32 = 0.8;
/// Words next to each other, times the field's weight: as much as a frequent word.
const NEIGHBOURS: f32 = 2.0;
/// Weight of a field that the query names.
const NAMED: f32 = 8.0;
/// Share of the field's weight for a synonym or another way to write the word.
const OTHER_WAY: f32 = 0.9;
/// Share of the field's weight for a similarly spelled word; divided by the number of mistakes.
const TYPO: f32 = 0.25;
/// Maximum number of pairs of unspaced text that are searched individually.
const MAX_PAIRS: usize = 64;
/// Score of each word that is found, if not all are: more than any field can add.
const FOUND: f32 = 300.0;

/// Factors for an image that is not its job's newest, and for one whose manifest is invalid.
const OLDER: f32 = 0.9;
const INVALID: f32 = 0.5;
/// Factor for an image from a verified origin: it comes before images that match about as well.
const VERIFIED: f32 = 1.1;
/// The part of an exact name's score that the factors apply to, so that the image stays before all images without that
/// name.
const NAMED_SHARE: f32 = 5_000.0;

/// Adjusts a score by the standing of the image.
pub(super) fn weighed(score: f32, RankStanding { is_latest, is_valid, is_verified }: RankStanding) -> f32 {
    let latest = if is_latest { 1.0 } else { OLDER };
    let kept = latest * if is_valid { 1.0 } else { INVALID } * if is_verified { VERIFIED } else { 1.0 };
    if score >= OTHER_KEY { score - (1.0 - kept) * NAMED_SHARE } else { score * kept }
}

/// Compiles parsed queries to expressions.
pub(super) struct QueryCompiler<'a> {
    pub fields: &'a IndexFields,
    pub synonyms: &'a SynonymTable,
    /// Similarly spelled words that match as well, by word; empty for exact matching.
    pub spellings: &'a SpellingsByWord,
    pub compounds: &'a CompoundWords,
}

impl QueryCompiler<'_> {
    /// Documents with all words of an alternative, and nothing that is excluded.
    pub(super) fn all_words(&self, query: &ParsedQuery) -> ScoreExpr {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let words = ScoreExpr::All(self.groups(alternative).chain(self.clauses(alternative)).collect());
            match self.name_phrase(alternative) {
                Some(phrase) => ScoreExpr::With(Box::new(words), Box::new(phrase)),
                None => words,
            }
        });
        self.complete(query, alternatives.collect())
    }

    /// Documents with any of the words; more words score higher. Clauses for named fields and phrases are still
    /// required.
    pub(super) fn any_word(&self, query: &ParsedQuery) -> ScoreExpr {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let words = self.groups(alternative).chain(self.loose_pairs(alternative));
            let words: Vec<_> = words.map(|group| ScoreExpr::Plus(Box::new(group), FOUND)).collect();
            let words = (!words.is_empty()).then_some(ScoreExpr::Any(words));
            ScoreExpr::All(self.clauses(alternative).chain(words).collect())
        });
        self.complete(query, alternatives.collect())
    }

    /// Adds the scores of exact names and titles, and removes what is excluded.
    fn complete(&self, query: &ParsedQuery, alternatives: Vec<ScoreExpr>) -> ScoreExpr {
        let fields = self.fields;
        let term = |field, text: &str, score| ScoreExpr::Term { field, text: text.to_owned(), score };
        let keys = ScoreExpr::Best(vec![
            term(fields.job_key, &query.key, JOB_KEY),
            term(fields.name_key, &query.name_key, NAME_KEY),
            term(fields.name_key, &joined_key(&query.name_key), JOINED_NAME),
            term(fields.other_keys, &query.key, OTHER_KEY),
            ScoreExpr::Prefix { field: fields.name_key, text: query.name_key.clone(), score: NAME_BEGINS },
        ]);
        let words = if alternatives.is_empty() { ScoreExpr::Everything(1.0) } else { ScoreExpr::Any(alternatives) };
        let found = ScoreExpr::With(Box::new(words), Box::new(keys));
        if query.excluded.is_empty() {
            return found;
        }
        ScoreExpr::Without(Box::new(found), query.excluded.iter().map(|clause| self.clause(clause, false)).collect())
    }

    fn groups<'a>(&'a self, alternative: &'a QueryAlternative) -> impl Iterator<Item = ScoreExpr> + 'a {
        let last = alternative.unfinished();
        alternative.groups(self.synonyms).into_iter().map(move |group| self.group(&group, last))
    }

    fn group(&self, group: &SynonymGroup, last: Option<&str>) -> ScoreExpr {
        let everywhere = self.fields.weights();
        let others = everywhere.map(|(field, weight)| (field, weight * OTHER_WAY));
        let typed = group.words.iter().map(|word| self.word(&everywhere, word, last == Some(word), true));
        let others = group.others.iter().map(|way| {
            let words = way.iter().map(|word| self.word(&others, word, false, false));
            single_or(words.collect(), ScoreExpr::All)
        });
        single_or(std::iter::once(single_or(typed.collect(), ScoreExpr::All)).chain(others).collect(), ScoreExpr::Best)
    }

    /// The pairs of words written without blanks, each as an expression of its own.
    fn loose_pairs<'a>(&'a self, alternative: &'a QueryAlternative) -> impl Iterator<Item = ScoreExpr> + 'a {
        let longer = alternative.words().filter(|word| is_unspaced(word)).map(pairs).filter(|pairs| pairs.len() > 1);
        longer.flatten().take(MAX_PAIRS).map(|pair| self.sequence(&self.fields.weights(), &[pair]))
    }

    /// These words next to each other in one field.
    fn sequence(&self, fields: &[(Field, f32)], words: &[String]) -> ScoreExpr {
        let in_field = |&(field, weight): &(Field, f32)| match words {
            [word] => ScoreExpr::Word { field, text: word.clone(), weight },
            _ => ScoreExpr::Phrase { field, words: words.to_vec(), score: weight * NEIGHBOURS },
        };
        ScoreExpr::Best(fields.iter().map(in_field).collect())
    }

    /// All of these sequences, each in any field.
    fn reading(&self, fields: &[(Field, f32)], sequences: &[WordSequence]) -> ScoreExpr {
        single_or(sequences.iter().map(|words| self.sequence(fields, words)).collect(), ScoreExpr::All)
    }

    /// A word in any form: as it is, unfinished, misspelled, split in two, or joined with its neighbours.
    fn word(&self, fields: &[(Field, f32)], word: &str, unfinished: bool, is_typed: bool) -> ScoreExpr {
        let others = fields.iter().map(|(field, weight)| (*field, weight * OTHER_WAY)).collect::<Vec<_>>();
        let readings = self.compounds.readings(word);
        if is_unspaced(word) {
            let fallback = || vec![self.sequence(fields, &pairs(word))];
            let known: Vec<_> = readings.iter().map(|sequences| self.reading(fields, sequences)).collect();
            return single_or(if known.is_empty() { fallback() } else { known }, ScoreExpr::Best);
        }
        let mut ways = vec![self.spelled(fields, word, unfinished, is_typed)];
        ways.extend(readings.iter().map(|sequences| self.reading(&others, sequences)));
        if is_typed {
            ways.extend(self.compounds.joined(word).iter().map(|joined| {
                let fields: Vec<_> =
                    others.iter().copied().filter(|(field, _)| joined.fields.contains(field)).collect();
                self.spelled(&fields, &joined.text, joined.is_begun, false)
            }));
        }
        single_or(ways, ScoreExpr::Best)
    }

    fn spelled(&self, fields: &[(Field, f32)], word: &str, unfinished: bool, is_typed: bool) -> ScoreExpr {
        let mut ways = Vec::new();
        let stem = stem(word);
        let near = self.spellings.get(word).filter(|_| is_typed).map_or(&[][..], Vec::as_slice);
        for &(field, weight) in fields {
            ways.push(ScoreExpr::Word { field, text: word.to_owned(), weight });
            if let Some(stem) = &stem {
                ways.push(ScoreExpr::Word { field, text: stem.clone(), weight: weight * STEM });
            }
            if unfinished {
                ways.push(ScoreExpr::Prefix { field, text: word.to_owned(), score: weight * UNFINISHED });
            }
            for near in near {
                let share = TYPO / near.mistakes.max(1) as f32;
                ways.push(ScoreExpr::Term { field, text: near.word.clone(), score: weight * share });
            }
        }
        ScoreExpr::Best(ways)
    }

    fn clauses<'a>(&'a self, alternative: &'a QueryAlternative) -> impl Iterator<Item = ScoreExpr> + 'a {
        alternative.clauses.iter().map(|clause| self.clause(clause, true))
    }

    /// The words of a clause: as a phrase in one of its fields, or each word in any of them.
    fn clause(&self, clause: &QueryClause, may_be_unfinished: bool) -> ScoreExpr {
        if clause.scope == Some(QueryField::Version) {
            let (field, text) = (self.fields.version, clause.text.clone());
            let begun = ScoreExpr::Prefix { field, text: format!("{text}."), score: NAMED };
            return ScoreExpr::Best(vec![ScoreExpr::Term { field, text, score: NAMED }, begun]);
        }
        let fields = match clause.scope {
            Some(scope) => vec![(self.fields.scope(scope), NAMED)],
            None => self.fields.weights().to_vec(),
        };
        let words: Vec<String> = clause.words.iter().flat_map(|word| pairs(word)).take(LONGEST_SEQUENCE).collect();
        if clause.is_phrase && words.len() > 1 {
            let phrase = |(field, score)| ScoreExpr::Phrase { field, words: words.clone(), score };
            return ScoreExpr::Best(fields.into_iter().map(phrase).collect());
        }
        let last = clause.words.last().filter(|_| may_be_unfinished && !clause.is_phrase);
        let words = clause.words.iter().map(|word| {
            if !may_be_unfinished && is_unspaced(word) {
                // Excluded text is matched exactly.
                return self.sequence(&fields, &pairs(word));
            }
            let unfinished = clause.scope.is_some() && last == Some(word);
            self.word(&fields, word, unfinished, false)
        });
        ScoreExpr::All(words.collect())
    }

    fn name_phrase(&self, alternative: &QueryAlternative) -> Option<ScoreExpr> {
        let words: Vec<String> = alternative.phrase.iter().flat_map(|word| pairs(word)).collect();
        let is_phrase = (2..=MAX_WORDS).contains(&words.len());
        is_phrase.then_some(ScoreExpr::Phrase { field: self.fields.name, words, score: PHRASE })
    }
}

/// The only expression of a list, or the list combined by `together`.
fn single_or(mut list: Vec<ScoreExpr>, together: fn(Vec<ScoreExpr>) -> ScoreExpr) -> ScoreExpr {
    if list.len() == 1 { list.remove(0) } else { together(list) }
}

impl IndexFields {
    /// The fields in which free words are searched, with their weights.
    pub(super) fn weights(&self) -> [(Field, f32); 6] {
        [
            (self.name, 8.0),
            (self.title, 8.0),
            (self.tags, 4.0),
            (self.people, 3.0),
            (self.interface, 2.0),
            (self.description, 1.0),
        ]
    }

    /// The fields in which similarly spelled words are searched.
    pub(super) fn spelled(&self) -> [Field; 5] {
        [self.name, self.title, self.tags, self.people, self.description]
    }

    fn scope(&self, scope: QueryField) -> Field {
        match scope {
            QueryField::Name => self.name,
            QueryField::Title => self.title,
            QueryField::Tag => self.tags,
            QueryField::Maintainer => self.maintainer,
            QueryField::Org => self.org,
            QueryField::Registry => self.registry,
            QueryField::Input => self.inputs,
            QueryField::Output => self.outputs,
            QueryField::Media => self.media,
            QueryField::Version => self.version,
            QueryField::Platform => self.platform,
        }
    }
}
