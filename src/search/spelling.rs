//! Finds words of the index that are spelled similarly to a typed word.

use std::collections::HashMap;

use tantivy::Term;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Field;
use tantivy::termdict::TermStreamer;

use super::columns::IndexView;
use super::query::ParsedQuery;
use super::schema::IndexFields;
use super::tokenizer::{is_unspaced, without_signs};
use super::word_cache::SpellingCandidate;

/// Maximum number of similar words of one typed word.
const MAX_NEAR: usize = 24;
/// Maximum number of words of a query that are corrected.
const MAX_WORDS: usize = 8;
/// Maximum number of neighbours written together that are corrected.
const MAX_PAIRS: usize = 4;
/// Maximum number of similar words that are read for one typed word, in one field of one segment.
const MAX_LOOKED: usize = 2_000;

/// How many mistakes are tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypoTolerance {
    /// One mistake from five letters on, two from nine.
    Usual,
    /// One mistake also in words of three and four letters.
    ShortWords,
}

/// For each typed word the similar ones, best first; without the word itself.
pub(super) type SpellingsByWord = HashMap<String, Vec<SpellingCandidate>>;

/// Number of mistakes allowed in a word.
fn allowed(word: &str, tolerance: TypoTolerance) -> u8 {
    match word.chars().count() {
        _ if word.chars().any(|c| c.is_ascii_digit()) => 0,
        // Unspaced words are indexed as pairs of letters: a wrong letter only misses its pairs.
        _ if is_unspaced(word) => 0,
        _ if without_signs(word).is_some() => 0,
        3..=4 => u8::from(tolerance == TypoTolerance::ShortWords),
        0..=4 => 0,
        5..=8 => 1,
        _ => 2,
    }
}

/// Similarly spelled words for the free words of a query.
pub(super) fn near(
    view: &IndexView,
    fields: &IndexFields,
    query: &ParsedQuery,
    tolerance: TypoTolerance,
) -> tantivy::Result<SpellingsByWord> {
    let words = query.alternatives.iter().flat_map(|alternative| alternative.words());
    near_words(view, fields, words.take(MAX_WORDS).map(str::to_owned), tolerance)
}

/// Similarly spelled words for pairs of neighbours written as one word.
pub(super) fn near_joined(
    view: &IndexView,
    fields: &IndexFields,
    query: &ParsedQuery,
) -> tantivy::Result<SpellingsByWord> {
    let joined = query.alternatives.iter().flat_map(|alternative| alternative.joined());
    let pairs = joined.filter(|joined| joined.of.len() == 2).map(|joined| joined.text);
    near_words(view, fields, pairs.take(MAX_PAIRS), TypoTolerance::Usual)
}

fn near_words(
    view: &IndexView,
    fields: &IndexFields,
    words: impl Iterator<Item = String>,
    tolerance: TypoTolerance,
) -> tantivy::Result<SpellingsByWord> {
    let mut spellings = SpellingsByWord::new();
    for word in words {
        let mistakes = allowed(&word, tolerance);
        if mistakes > 0 && !spellings.contains_key(&word) {
            let found = view.lookups.near.get_or((word.clone(), mistakes), |(word, mistakes)| {
                near_word(view, &fields.spelled(), word, *mistakes)
            })?;
            spellings.insert(word, found.to_vec());
        }
    }
    spellings.retain(|_, near| !near.is_empty());
    Ok(spellings)
}

fn near_word(view: &IndexView, fields: &[Field], word: &str, mistakes: u8) -> tantivy::Result<Vec<SpellingCandidate>> {
    let mut docs: HashMap<String, u64> = HashMap::new();
    // One automaton for all fields: it depends on the text only, and building it takes longer than most of the
    // searches.
    let Some(any) = fields.first() else { return Ok(Vec::new()) };
    let dfa = FuzzyTermQuery::new(Term::from_field_text(*any, word), mistakes, true).automaton()?;
    for &field in fields {
        for (segment, base) in view.segments() {
            let index = segment.inverted_index(field)?;
            let mut terms: TermStreamer<'_, _> = index.terms().search(&dfa).into_stream()?;
            let mut looked = 0;
            while looked < MAX_LOOKED && terms.advance() {
                let frequency = view.frequency(&index, terms.value(), base)?;
                looked += usize::from(frequency > 0);
                if let Ok(term) = std::str::from_utf8(terms.key())
                    && term != word
                    && frequency > 0
                {
                    *docs.entry(term.to_owned()).or_default() += u64::from(frequency);
                }
            }
        }
    }
    let mut near: Vec<SpellingCandidate> = docs
        .into_iter()
        .map(|(term, docs)| SpellingCandidate { mistakes: distance(word, &term), word: term, docs })
        .collect();
    near.sort_unstable_by(|a, b| {
        a.mistakes.cmp(&b.mistakes).then_with(|| b.docs.cmp(&a.docs)).then_with(|| a.word.cmp(&b.word))
    });
    near.truncate(MAX_NEAR);
    Ok(near)
}

/// The free words, with each unknown one replaced by the most similar word, or omitted if there is none; `None` if no word is
/// replaced. The last word may be a prefix of a known word.
pub(super) fn did_you_mean(
    query: &ParsedQuery,
    spellings: &SpellingsByWord,
    is_known: impl Fn(&str) -> bool,
    is_begun: impl Fn(&str) -> bool,
) -> Option<String> {
    let [alternative] = query.alternatives.as_slice() else { return None };
    if !alternative.clauses.is_empty() || !query.excluded.is_empty() {
        return None;
    }
    let mut changed = false;
    let words: Vec<&str> = alternative
        .phrase
        .iter()
        .enumerate()
        .filter_map(|(at, word)| match spellings.get(word).and_then(|near| near.first()) {
            _ if is_known(word) => Some(word.as_str()),
            Some(near) => {
                changed = true;
                Some(near.word.as_str())
            }
            None => (at + 1 == alternative.phrase.len() && is_begun(word)).then_some(word.as_str()),
        })
        .collect();
    changed.then(|| words.join(" "))
}

/// Edit distance: number of letters added, omitted, changed, or swapped with their neighbour (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = [vec![0; b.len() + 1], vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        rows.rotate_left(1);
        let [two_before, before, row] = &mut rows;
        row[0] = i;
        for j in 1..=b.len() {
            let change = before[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(before[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_before[j - 2] + 1);
            }
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("snow", "snow", 0),
            ("snwo", "snow", 1),
            ("flod", "flood", 1),
            ("segmantation", "segmentation", 1),
            ("abcd", "badc", 2),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn short_words_and_numbers_are_taken_as_they_are() {
        use TypoTolerance::{ShortWords, Usual};
        for (word, usual, short) in [
            ("ab", 0, 0),
            ("海氷密接度", 0, 0),
            ("c++", 0, 0),
            ("flo", 0, 1),
            ("flod", 0, 1),
            ("flods", 1, 1),
            ("ninechars", 2, 2),
            ("1.10.0000", 0, 0),
        ] {
            assert_eq!((allowed(word, Usual), allowed(word, ShortWords)), (usual, short), "{word}");
        }
    }
}
