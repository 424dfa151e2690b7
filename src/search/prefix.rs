//! The words that begin with a text, as many as bounded work allows.

use tantivy::schema::Field;
use tantivy::termdict::TermStreamer;
use tantivy::{InvertedIndexReader, Searcher};

/// How many words of a field a beginning may stand for: the first in dictionary order. One letter stands for thousands;
/// whoever types on gets the rest.
const MAX_TERMS: usize = 256;

/// The words of a segment that begin with the text and are not after `last`.
pub fn terms<'a>(index: &'a InvertedIndexReader, text: &str, last: Option<&[u8]>) -> tantivy::Result<TermStreamer<'a>> {
    // No UTF-8 text has a byte 0xFF: this is after all words that begin so.
    let end = [text.as_bytes(), &[0xff]].concat();
    Ok(index.terms().range().ge(text).le(last.unwrap_or(&end)).into_stream()?)
}

/// Whether any word begins with the text.
pub fn is_begun(searcher: &Searcher, field: Field, text: &str) -> tantivy::Result<bool> {
    for reader in searcher.segment_readers() {
        if terms(&*reader.inverted_index(field)?, text, None)?.advance() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last word that is taken; `None` where they are few enough. One for all segments, because answers must not depend
/// on how documents happen to be spread over them.
pub fn last_term(searcher: &Searcher, field: Field, text: &str) -> tantivy::Result<Option<Vec<u8>>> {
    let mut found = Vec::new();
    for reader in searcher.segment_readers() {
        let index = reader.inverted_index(field)?;
        let mut terms = terms(&index, text, None)?;
        for _ in 0..MAX_TERMS {
            if !terms.advance() {
                break;
            }
            found.push(terms.key().to_owned());
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found.into_iter().nth(MAX_TERMS - 1))
}
