//! Scoring presence as well as relevance.

use tantivy::query::{EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SeekDangerResult, SegmentReader};

/// The documents of another query, each scoring one more than there. BM25 of a word that is everywhere comes close to
/// nothing; with the one added, a match in a weighty field stays ahead of one in a light field.
#[derive(Debug)]
pub struct LiftedQuery(pub Box<dyn Query>);

struct LiftedWeight(Box<dyn Weight>);

struct LiftedScorer {
    inner: Box<dyn Scorer>,
    lift: Score,
}

impl Clone for LiftedQuery {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl Query for LiftedQuery {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(LiftedWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for LiftedWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let inner = self.0.scorer(reader, boost)?;
        // Left as it is, so that the queries around can see that there is nothing.
        if inner.is::<EmptyScorer>() { Ok(inner) } else { Ok(Box::new(LiftedScorer { inner, lift: boost })) }
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }
}

impl DocSet for LiftedScorer {
    fn advance(&mut self) -> DocId {
        self.inner.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.inner.seek(target)
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        self.inner.seek_danger(target)
    }

    fn doc(&self) -> DocId {
        self.inner.doc()
    }

    fn size_hint(&self) -> u32 {
        self.inner.size_hint()
    }

    fn cost(&self) -> u64 {
        self.inner.cost()
    }
}

impl Scorer for LiftedScorer {
    fn score(&mut self) -> Score {
        self.inner.score() + self.lift
    }
}
