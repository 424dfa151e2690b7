//! Matching the beginning of a word, with bounded work.

use tantivy::postings::BlockSegmentPostings;
use tantivy::query::{BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::termdict::TermStreamer;
use tantivy::{BitSet, DocId, InvertedIndexReader, Score, Searcher, SegmentReader};

/// How many words of a field a beginning may stand for: the first in dictionary order. One letter stands for thousands;
/// whoever types on gets the rest.
const MAX_TERMS: usize = 256;

/// Documents with a word that begins with a text. They all score the same.
#[derive(Clone, Debug)]
pub struct PrefixQuery {
    field: Field,
    prefix: String,
}

struct PrefixWeight {
    query: PrefixQuery,
    /// The last word that is taken. One for all segments, because answers must not depend on how documents happen to
    /// be spread over them. `None` where the words are few enough.
    last: Option<Vec<u8>>,
}

impl PrefixQuery {
    pub fn new(field: Field, prefix: &str) -> Self {
        Self { field, prefix: prefix.to_owned() }
    }

    /// The words of a segment that begin with the text and are not after `last`.
    fn terms<'a>(&self, index: &'a InvertedIndexReader, last: Option<&[u8]>) -> tantivy::Result<TermStreamer<'a>> {
        // No UTF-8 text has a byte 0xFF: this is after all words with the prefix.
        let end = [self.prefix.as_bytes(), &[0xff]].concat();
        let words = index.terms().range().ge(&self.prefix).le(last.unwrap_or(&end));
        Ok(words.into_stream()?)
    }

    fn last_term(&self, searcher: &Searcher) -> tantivy::Result<Option<Vec<u8>>> {
        let mut found = Vec::new();
        for reader in searcher.segment_readers() {
            let index = reader.inverted_index(self.field)?;
            let mut terms = self.terms(&index, None)?;
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
}

impl Query for PrefixQuery {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let last = scoring.searcher().map(|searcher| self.last_term(searcher)).transpose()?.flatten();
        Ok(Box::new(PrefixWeight { query: self.clone(), last }))
    }
}

impl Weight for PrefixWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let index = reader.inverted_index(self.query.field)?;
        let mut terms = self.query.terms(&index, self.last.as_deref())?;
        let mut docs = BitSet::with_max_value(reader.max_doc());
        while terms.advance() {
            insert_all(&mut docs, index.read_block_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?);
        }
        if docs.len() == 0 {
            return Ok(Box::new(EmptyScorer));
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(docs), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("a word begins with the text", 1.0))
    }
}

fn insert_all(docs: &mut BitSet, mut postings: BlockSegmentPostings) {
    while !postings.docs().is_empty() {
        for &doc in postings.docs() {
            docs.insert(doc);
        }
        postings.advance();
    }
}
