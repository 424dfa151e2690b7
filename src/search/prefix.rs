//! Matching the beginning of a word, with bounded work.

use tantivy::postings::BlockSegmentPostings;
use tantivy::query::{BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, Score, SegmentReader};

/// How many words of a field and segment a beginning may stand for: the first in dictionary order. One letter stands
/// for thousands; whoever types on gets the rest.
const MAX_TERMS: usize = 512;

/// Documents with a word that begins with a text. They all score the same.
#[derive(Clone, Debug)]
pub struct PrefixQuery {
    field: Field,
    prefix: String,
}

impl PrefixQuery {
    pub fn new(field: Field, prefix: &str) -> Self {
        Self { field, prefix: prefix.to_owned() }
    }
}

impl Query for PrefixQuery {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for PrefixQuery {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let index = reader.inverted_index(self.field)?;
        let mut terms = index.terms().range().ge(&self.prefix).into_stream()?;
        let mut docs = BitSet::with_max_value(reader.max_doc());
        for _ in 0..MAX_TERMS {
            if !terms.advance() || !terms.key().starts_with(self.prefix.as_bytes()) {
                break;
            }
            let postings = index.read_block_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
            insert_all(&mut docs, postings);
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
