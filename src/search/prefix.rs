//! Expands a prefix to the words of the index that begin with it, with bounded work.

use tantivy::InvertedIndexReader;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::termdict::TermStreamer;

use super::columns::IndexView;
use super::doc_scores::for_each_doc;
use super::word_cache::PrefixDocs;

/// Maximum number of words of a field that a prefix expands to: the first ones in dictionary order. A single letter has
/// thousands; the others are found as more is typed.
const MAX_TERMS: usize = 256;

/// Maximum number of postings of a prefix whose documents are cached: reading more of them again takes little more than
/// copying them.
const MAX_CACHED: u64 = 20_000;

/// The words of a segment with this prefix, up to and including `last`.
pub(super) fn terms<'a>(
    index: &'a InvertedIndexReader,
    text: &str,
    last: Option<&[u8]>,
) -> tantivy::Result<TermStreamer<'a>> {
    // UTF-8 has no byte 0xFF, so this sorts after all words with the prefix.
    let end = [text.as_bytes(), &[0xff]].concat();
    Ok(index.terms().range().ge(text).le(last.unwrap_or(&end)).into_stream()?)
}

/// Whether any word that the reader sees has this prefix.
pub(super) fn is_begun(view: &IndexView, field: Field, text: &str) -> tantivy::Result<bool> {
    for (segment, base) in view.segments() {
        let index = segment.inverted_index(field)?;
        let mut terms = terms(&index, text, None)?;
        while terms.advance() {
            if view.frequency(&index, terms.value(), base)? > 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The last word that the prefix expands to; `None` if there are fewer than [`MAX_TERMS`]. The same for all segments,
/// because results must not depend on how documents are spread over them.
pub(super) fn last_term(view: &IndexView, field: Field, text: &str) -> tantivy::Result<Option<Vec<u8>>> {
    let mut found = Vec::new();
    for (segment, base) in view.segments() {
        let index = segment.inverted_index(field)?;
        let mut terms = terms(&index, text, None)?;
        let mut of_segment = 0;
        while of_segment < MAX_TERMS && terms.advance() {
            if view.frequency(&index, terms.value(), base)? > 0 {
                of_segment += 1;
                found.push(terms.key().to_owned());
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found.into_iter().nth(MAX_TERMS - 1))
}

/// Looks up the documents with a word that has this prefix.
pub(super) fn docs(view: &IndexView, field: Field, text: &str) -> tantivy::Result<PrefixDocs> {
    let last = last_term(view, field, text)?;
    let mut found = Vec::new();
    let mut postings = 0;
    for (segment, base) in view.segments() {
        let index = segment.inverted_index(field)?;
        let mut terms = terms(&index, text, last.as_deref())?;
        while terms.advance() {
            let info = terms.value();
            postings += u64::from(info.doc_freq);
            if postings > MAX_CACHED {
                return Ok(PrefixDocs::TooMany { last });
            }
            let list = index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
            for_each_doc(list, base, |doc| found.push(doc));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(PrefixDocs::All(found.into()))
}
