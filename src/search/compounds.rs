//! Finds compounds that the index spells differently from the query: a word may be two there (`timeseries`, `time
//! series`), neighbours may be one, and unspaced text several.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use tantivy::InvertedIndexReader;
use tantivy::schema::Field;

use super::columns::IndexView;
use super::query::ParsedQuery;
use super::schema::IndexFields;
use super::spelling::SpellingsByWord;
use super::word_cache::{IndexCompound, WordSequence};
use super::{prefix, tokenizer};

/// Shorter and longer words are not split; in letters.
const SHORTEST: usize = 4;
const LONGEST: usize = 40;
/// Minimum length of a part, in letters, unless it is a number or next to one.
const SHORTEST_PART: usize = 2;
/// Maximum number of ways to split a word.
const MAX_WAYS: usize = 2;
/// Minimum length of an unfinished compound, in letters.
const SHORTEST_BEGINNING: usize = 5;

/// Other ways in which the index spells the words of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct CompoundWords {
    readings: HashMap<String, Vec<Vec<WordSequence>>>,
    joined: HashMap<String, Vec<IndexCompound>>,
}

impl CompoundWords {
    /// Looks up the words of a query, and its neighbours written together.
    pub(super) fn of(view: &IndexView, fields: &IndexFields, query: &ParsedQuery) -> tantivy::Result<Self> {
        let dictionary =
            CompoundDictionary { view, fields: fields.weights().map(|(field, _)| field), opened: OnceCell::new() };
        let mut all = Self::default();
        let clauses = query.alternatives.iter().flat_map(|alternative| &alternative.clauses).chain(&query.excluded);
        let named = clauses.filter(|clause| !clause.is_phrase).flat_map(|clause| &clause.words);
        let free = query.alternatives.iter().flat_map(|alternative| &alternative.phrase);
        for word in free.chain(named) {
            if !all.readings.contains_key(word) {
                let found = view.lookups.readings.get_or(word.clone(), |word| dictionary.readings(word))?;
                all.readings.insert(word.clone(), found.to_vec());
            }
        }
        for alternative in &query.alternatives {
            for joined in alternative.joined() {
                let is_last = joined.of.end == alternative.phrase.len();
                let may_go_on = is_last && joined.text.chars().count() >= SHORTEST_BEGINNING;
                let key = (joined.text, may_go_on);
                let word = view.lookups.joined.get_or(key, |(text, may_go_on)| dictionary.joined(text, *may_go_on))?;
                if !word.fields.is_empty() {
                    all.join(&alternative.phrase[joined.of], &word);
                }
            }
        }
        Ok(all)
    }

    /// Adds the corrected spellings of neighbours written together.
    pub(super) fn add_spellings(&mut self, query: &ParsedQuery, spellings: &SpellingsByWord, fields: &IndexFields) {
        for alternative in &query.alternatives {
            for joined in alternative.joined() {
                for near in spellings.get(&joined.text).into_iter().flatten() {
                    let fields = fields.spelled().to_vec();
                    let word = IndexCompound { text: near.word.clone(), is_begun: false, fields };
                    self.join(&alternative.phrase[joined.of.clone()], &word);
                }
            }
        }
    }

    fn join(&mut self, words: &[String], joined: &IndexCompound) {
        for word in words {
            let known = self.joined.entry(word.clone()).or_default();
            if !known.contains(joined) {
                known.push(joined.clone());
            }
        }
    }

    /// Lets any single pair of letters of an unspaced word match.
    pub(super) fn allow_single_pairs(&mut self) {
        for (word, readings) in self.readings.iter_mut().filter(|(word, _)| tokenizer::is_unspaced(word)) {
            readings.extend(tokenizer::pairs(word).into_iter().map(|pair| vec![vec![pair]]));
        }
    }

    /// Other readings of a word; of a reading, all sequences must match.
    pub(super) fn readings(&self, word: &str) -> &[Vec<WordSequence>] {
        self.readings.get(word).map_or(&[], Vec::as_slice)
    }

    /// Words of the index that stand for this word together with its neighbours in the query.
    pub(super) fn joined(&self, word: &str) -> &[IndexCompound] {
        self.joined.get(word).map_or(&[], Vec::as_slice)
    }
}

/// Looks words up in the term dictionaries of the index, by field.
struct CompoundDictionary<'a> {
    view: &'a IndexView,
    fields: [Field; 6],
    /// Opened on first use: most look-ups are answered from the cache.
    opened: OnceCell<Vec<FieldSegments>>,
}

/// A field with its inverted index in each segment, and the number of the segment's first document.
type FieldSegments = (Field, Vec<(Arc<InvertedIndexReader>, u32)>);

impl CompoundDictionary<'_> {
    fn segments(&self) -> tantivy::Result<&[FieldSegments]> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let open = |field| {
            let segments = self.view.segments().map(|(segment, base)| Ok((segment.inverted_index(field)?, base)));
            Ok((field, segments.collect::<tantivy::Result<_>>()?))
        };
        let opened = self.fields.into_iter().map(open).collect::<tantivy::Result<_>>()?;
        Ok(self.opened.get_or_init(|| opened))
    }

    fn readings(&self, word: &str) -> tantivy::Result<Vec<Vec<WordSequence>>> {
        if tokenizer::is_unspaced(word) {
            return Ok(vec![self.known_pairs(word)?]);
        }
        if let Some(bare) = tokenizer::without_signs(word) {
            return Ok(if self.has(word)? { Vec::new() } else { vec![vec![vec![bare.to_owned()]]] });
        }
        let mut readings: Vec<Vec<WordSequence>> =
            self.parts(word)?.into_iter().map(|parts| vec![parts.into()]).collect();
        readings.extend(amount(word).map(|amount| vec![amount]));
        Ok(readings)
    }

    /// The pairs of letters of an unspaced word, in several sequences if the index does not have all of them: the word
    /// is then composed of words that no document has together.
    fn known_pairs(&self, word: &str) -> tantivy::Result<Vec<WordSequence>> {
        let pairs = tokenizer::pairs(word);
        let mut sequences = vec![WordSequence::new()];
        for pair in &pairs {
            if self.has(pair)? {
                sequences.last_mut().expect("there is always one").push(pair.clone());
            } else if sequences.last().is_some_and(|last| !last.is_empty()) {
                sequences.push(WordSequence::new());
            }
        }
        sequences.retain(|sequence| !sequence.is_empty());
        let letters = pairs.len() + 1;
        let covered: usize = sequences.iter().map(|sequence| sequence.len() + 1).sum();
        Ok(if pairs.len() == 1 || covered < letters { vec![pairs] } else { sequences })
    }

    /// The best ways to split a word so that one field has both parts.
    fn parts(&self, word: &str) -> tantivy::Result<Vec<[String; 2]>> {
        let letters: Vec<(usize, char)> = word.char_indices().collect();
        if letters.len() > LONGEST {
            return Ok(Vec::new());
        }
        let mut ways: Vec<(u32, [String; 2])> = Vec::new();
        for at in 1..letters.len() {
            let (left, right) = word.split_at(letters[at].0);
            let digits = [letters[at - 1].1, letters[at].1].map(|c| c.is_ascii_digit());
            let may_be = match digits {
                [false, false] => {
                    let shortest = at.min(letters.len() - at);
                    letters.len() >= SHORTEST
                        && shortest >= SHORTEST_PART
                        && ![left, right].iter().any(|part| super::query::is_filler(part))
                }
                [true, true] => false,
                _ => true,
            };
            if may_be {
                self.add_ways(left, right, &mut ways)?;
            }
        }
        ways.sort_unstable_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        ways.dedup_by(|(_, one), (_, other)| one == other);
        Ok(ways.into_iter().take(MAX_WAYS).map(|(_, parts)| parts).collect())
    }

    /// Adds the ways to split into `left` and `right`, with the maximum number of documents that may have both.
    fn add_ways(&self, left: &str, right: &str, ways: &mut Vec<(u32, [String; 2])>) -> tantivy::Result<()> {
        let mut rights = vec![right.to_owned()];
        if right.ends_with(char::is_alphabetic) {
            rights.push(right.strip_suffix('s').map_or_else(|| format!("{right}s"), str::to_owned));
        }
        for (_, segments) in self.segments()? {
            let lefts = self.docs(segments, left)?;
            if lefts == 0 {
                continue;
            }
            for right in &rights {
                let both = self.docs(segments, right)?.min(lefts);
                let parts = [left.to_owned(), right.clone()];
                match ways.iter_mut().find(|(_, known)| *known == parts) {
                    Some((most, _)) => *most = both.max(*most),
                    None if both > 0 => ways.push((both, parts)),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn has(&self, word: &str) -> tantivy::Result<bool> {
        for (_, segments) in self.segments()? {
            if self.docs(segments, word)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Number of documents with a word that the reader sees.
    fn docs(&self, segments: &[(Arc<InvertedIndexReader>, u32)], word: &str) -> tantivy::Result<u32> {
        let mut docs = 0;
        for (index, base) in segments {
            if let Some(info) = index.terms().get(word.as_bytes())? {
                docs += self.view.frequency(index, &info, *base)?;
            }
        }
        Ok(docs)
    }

    /// Looks up in which fields neighbours are written as one word.
    fn joined(&self, text: &str, may_go_on: bool) -> tantivy::Result<IndexCompound> {
        let stem = tokenizer::stem(text);
        let mut joined = IndexCompound { text: text.to_owned(), is_begun: false, fields: Vec::new() };
        for (field, segments) in self.segments()? {
            let is_begun = may_go_on && prefix::is_begun(self.view, *field, &joined.text)?;
            let is_stem = || stem.as_ref().map_or(Ok(0), |stem| self.docs(segments, stem));
            if is_begun || self.docs(segments, &joined.text)? > 0 || is_stem()? > 0 {
                joined.fields.push(*field);
                joined.is_begun |= is_begun;
            }
        }
        Ok(joined)
    }
}

/// Reads `pm25` as `pm 2.5`.
fn amount(word: &str) -> Option<WordSequence> {
    let (name, digits) = word.split_at_checked(word.len().checked_sub(2)?)?;
    let is_name = name.len() > 1 && name.chars().all(char::is_alphabetic);
    let is_amount = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.ends_with('0');
    (is_name && is_amount).then(|| vec![name.to_owned(), digits[..1].to_owned(), digits[1..].to_owned()])
}
