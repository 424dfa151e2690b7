//! Caches look-ups of words for one state of the index: the same words are searched again and again, and while a query
//! is typed, all words but the last stay the same.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::schema::Field;

/// Maximum number of entries per cache of words. A query has at most 32 words, a word at most 24 similar ones: a few
/// megabytes.
const MAX_ANSWERS: usize = 2_000;
/// Maximum number of documents in all cached prefixes: 8 MB.
const MAX_PREFIX_DOCS: usize = 2_000_000;

/// Words in this order, next to each other.
pub(super) type WordSequence = Vec<String>;

/// A word of the index that stands for several neighbouring words of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexCompound {
    pub text: String,
    /// It may be unfinished, and matches as a prefix too.
    pub is_begun: bool,
    /// The fields that contain it, or a word with its stem.
    pub fields: Vec<Field>,
}

/// A word of the index that is similar to a typed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpellingCandidate {
    pub word: String,
    pub mistakes: usize,
    /// Number of documents with the word, counted once for each field.
    pub docs: u64,
}

/// The documents with a word that has a prefix.
pub(super) enum PrefixDocs {
    /// All of them, ascending by number in the view.
    All(Box<[u32]>),
    /// More than are cached; with the [`super::prefix::last_term`] of the prefix.
    TooMany { last: Option<Vec<u8>> },
}

impl PrefixDocs {
    /// Number of documents in memory.
    pub(super) fn cached(&self) -> usize {
        match self {
            Self::All(docs) => docs.len(),
            Self::TooMany { .. } => 0,
        }
    }
}

/// The caches for one state of the index.
pub(super) struct WordLookups {
    /// Other readings of a word.
    pub readings: WordCache<String, Vec<Vec<WordSequence>>>,
    /// By neighbours written together, and whether the last of them may be unfinished.
    pub joined: WordCache<(String, bool), IndexCompound>,
    /// Similarly spelled words, by word and maximum number of mistakes.
    pub near: WordCache<(String, u8), Vec<SpellingCandidate>>,
    /// Documents with a word that has a prefix, by field and prefix.
    pub prefixes: WordCache<(Field, String), PrefixDocs>,
}

impl Default for WordLookups {
    fn default() -> Self {
        Self {
            readings: WordCache::new(MAX_ANSWERS, |_| 1),
            joined: WordCache::new(MAX_ANSWERS, |_| 1),
            near: WordCache::new(MAX_ANSWERS, |_| 1),
            // An entry without documents takes as much memory as some hundred documents do.
            prefixes: WordCache::new(MAX_PREFIX_DOCS, |docs| 100 + docs.cached()),
        }
    }
}

/// A cache shared by all searches. It is emptied when it is full.
pub(super) struct WordCache<K, V> {
    answers: Mutex<CachedAnswers<K, V>>,
    /// Maximum sum of weights.
    capacity: usize,
    weigh: fn(&V) -> usize,
}

struct CachedAnswers<K, V> {
    by_key: HashMap<K, Arc<V>>,
    weight: usize,
}

impl<K: Eq + Hash, V> WordCache<K, V> {
    fn new(capacity: usize, weigh: fn(&V) -> usize) -> Self {
        Self { answers: Mutex::new(CachedAnswers { by_key: HashMap::new(), weight: 0 }), capacity, weigh }
    }

    /// The cached value, or that of `look_up`. Errors are not cached.
    pub(super) fn get_or(&self, key: K, look_up: impl FnOnce(&K) -> tantivy::Result<V>) -> tantivy::Result<Arc<V>> {
        if let Some(known) = self.answers.lock().by_key.get(&key) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(look_up(&key)?);
        let weight = (self.weigh)(&found);
        let mut answers = self.answers.lock();
        if answers.weight + weight > self.capacity {
            answers.by_key.clear();
            answers.weight = 0;
        }
        answers.weight += weight;
        answers.by_key.insert(key, Arc::clone(&found));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_looked_up_once_and_do_not_pile_up() {
        let cache = WordCache::new(MAX_ANSWERS, |_| 1);
        let mut looked_up = 0;
        for _ in 0..2 {
            let length = cache.get_or("water".to_owned(), |word| {
                looked_up += 1;
                Ok(word.len())
            });
            assert_eq!(*length.unwrap(), 5);
        }
        assert_eq!(looked_up, 1);
        let failure = || tantivy::TantivyError::InternalError("torn".to_owned());
        assert!(cache.get_or("ice".to_owned(), |_| Err(failure())).is_err());
        assert_eq!(*cache.get_or("ice".to_owned(), |word| Ok(word.len())).unwrap(), 3);
        for number in 0..MAX_ANSWERS + 1 {
            assert_eq!(*cache.get_or(number.to_string(), |_| Ok(number)).unwrap(), number);
        }
        assert!(cache.answers.lock().by_key.len() <= MAX_ANSWERS);
        let by_weight = WordCache::new(100, |text: &String| text.len());
        for length in [60, 30, 20] {
            by_weight.get_or(length, |length| Ok("a".repeat(*length))).unwrap();
        }
        let kept: Vec<usize> = by_weight.answers.lock().by_key.keys().copied().collect();
        assert_eq!(kept, [20], "60 and 30 fit, 20 more do not");
    }
}
