//! Normalises whole texts and names, for exact matches. Pure.

use super::folding::normal;
use super::tokenizer;

/// Normalises a whole text for exact matches: NFKC, lower case, white space as single blanks.
pub(super) fn key(text: &str) -> String {
    normal(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Normalises a name for matches by words: its words, without accents and signs, separated by single blanks.
pub(super) fn name_key(text: &str) -> String {
    tokenizer::plain(text).join(" ")
}

/// A [`name_key`] written as one word.
pub(super) fn joined_key(name_key: &str) -> String {
    name_key.replace(' ', "")
}
