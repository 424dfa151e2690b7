//! Making a page of results out of matching documents.

use std::cmp::Ordering;
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::ColumnValues;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use super::schema::{IMAGE_ID, JOB_ID};
use super::{Hit, Hits, Kind};

/// Scores are rounded to multiples of one over this: floating-point sums depend on the order of their terms in the last
/// digits, and equal documents must have equal scores. A power of two, so that rounded scores are exact.
const STEPS: f32 = 128.0;

/// Collects one page of distinct jobs or images, and counts all.
pub struct Page {
    pub kind: Kind,
    pub limit: usize,
    /// The last hit of the page before.
    pub after: Option<Hit>,
}

/// What matches in one segment.
pub struct Found {
    ids: Arc<dyn ColumnValues<i64>>,
    hits: Vec<Hit>,
}

impl Collector for Page {
    type Fruit = Hits;
    type Child = Found;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<Found> {
        let field = match self.kind {
            Kind::Job => JOB_ID,
            Kind::Image => IMAGE_ID,
        };
        Ok(Found { ids: segment.fast_fields().column_first_or_default(field)?, hits: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Vec<Hit>>) -> tantivy::Result<Hits> {
        Ok(self.page(segments.concat()))
    }
}

impl Page {
    fn page(&self, mut hits: Vec<Hit>) -> Hits {
        if self.kind == Kind::Job {
            hits.sort_unstable_by(|a, b| a.id.cmp(&b.id).then(order(a, b)));
            hits.dedup_by_key(|hit| hit.id);
        }
        let total = hits.len() as u64;
        if let Some(after) = self.after {
            hits.retain(|hit| order(hit, &after).is_gt());
        }
        let more = hits.len() > self.limit;
        if more {
            if self.limit > 0 {
                hits.select_nth_unstable_by(self.limit - 1, order);
            }
            hits.truncate(self.limit);
        }
        hits.sort_unstable_by(order);
        let next = if more { hits.last().copied() } else { None };
        Hits { total, hits, next }
    }
}

impl SegmentCollector for Found {
    type Fruit = Vec<Hit>;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.hits.push(Hit { id: self.ids.get_val(doc), score: (score * STEPS).round() / STEPS });
    }

    fn harvest(self) -> Self::Fruit {
        self.hits
    }
}

/// The order of results: best first, among equals the lower id first. Total, also for scores that a client made up.
fn order(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then(a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hits() -> impl Strategy<Value = Vec<Hit>> {
        let score = prop::sample::select(vec![0.5f32, 1.0, 2.0]);
        prop::collection::vec((0i64..50, score).prop_map(|(id, score)| Hit { id, score }), 0..80)
    }

    proptest! {
        #[test]
        fn pages_are_the_whole_list_in_pieces(hits in hits(), limit in 1usize..8) {
            let page = |limit, after| Page { kind: Kind::Job, limit, after }.page(hits.clone());
            let all = page(hits.len(), None);
            prop_assert!(all.next.is_none() && all.hits.is_sorted_by(|a, b| order(a, b).is_lt()));
            for hit in &hits {
                let found = all.hits.iter().find(|found| found.id == hit.id);
                prop_assert!(found.is_some_and(|found| found.score >= hit.score && hits.contains(found)));
            }
            let mut pieces = Vec::new();
            let mut after = None;
            loop {
                let piece = page(limit, after);
                prop_assert_eq!(piece.total, all.hits.len() as u64);
                pieces.extend(piece.hits);
                after = piece.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(pieces, all.hits);
        }
    }

    #[test]
    fn a_made_up_place_is_just_a_place() {
        let hits = [Hit { id: 1, score: 1.0 }, Hit { id: 2, score: 2.0 }];
        let page =
            |limit, score| Page { kind: Kind::Image, limit, after: Some(Hit { id: 0, score }) }.page(hits.to_vec());
        assert_eq!(page(9, f32::NAN).hits.len(), 2);
        assert_eq!(page(9, f32::NEG_INFINITY).hits, []);
        let nothing = page(0, f32::INFINITY);
        assert_eq!((nothing.total, nothing.hits, nothing.next), (2, vec![], None));
    }
}
