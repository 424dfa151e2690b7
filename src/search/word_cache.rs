//! Caches look-ups of words for one state of the index: the same words are searched again and again, and while a query
//! is typed, all words but the last stay the same.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::compounds::{IndexCompound, WordSequence};
use super::spelling::SpellingCandidate;

/// Maximum number of entries per cache. A query has at most 32 words, a word at most 24 similar ones: a few megabytes.
const MAX_ANSWERS: usize = 2_000;

/// The caches for one state of the index.
#[derive(Default)]
pub struct WordLookups {
    /// Other readings of a word.
    pub readings: WordCache<String, Vec<Vec<WordSequence>>>,
    /// By neighbours written together, and whether the last of them may be unfinished.
    pub joined: WordCache<(String, bool), IndexCompound>,
    /// Similarly spelled words, by word and maximum number of mistakes.
    pub near: WordCache<(String, u8), Vec<SpellingCandidate>>,
}

/// A cache shared by all searches.
pub struct WordCache<K, V> {
    answers: Mutex<HashMap<K, Arc<V>>>,
}

impl<K: Eq + Hash, V> WordCache<K, V> {
    /// The cached value, or that of `look_up`. Errors are not cached.
    pub fn get_or(&self, key: K, look_up: impl FnOnce(&K) -> tantivy::Result<V>) -> tantivy::Result<Arc<V>> {
        if let Some(known) = self.answers().get(&key) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(look_up(&key)?);
        let mut answers = self.answers();
        if answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        answers.insert(key, Arc::clone(&found));
        Ok(found)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<K, Arc<V>>> {
        self.answers.lock()
    }
}

impl<K, V> Default for WordCache<K, V> {
    fn default() -> Self {
        Self { answers: Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_looked_up_once_and_do_not_pile_up() {
        let cache = WordCache::default();
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
        assert!(cache.answers().len() <= MAX_ANSWERS);
    }
}
