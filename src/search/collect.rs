//! Making a page of results out of matching documents.

use std::cmp::Ordering;
use std::collections::HashMap;
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

/// The best score of each id that matches in one segment.
pub struct Found {
    ids: Arc<dyn ColumnValues<i64>>,
    best: HashMap<i64, Score>,
}

impl Collector for Page {
    type Fruit = Hits;
    type Child = Found;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<Found> {
        let field = match self.kind {
            Kind::Job => JOB_ID,
            Kind::Image => IMAGE_ID,
        };
        Ok(Found { ids: segment.fast_fields().column_first_or_default(field)?, best: HashMap::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<HashMap<i64, Score>>) -> tantivy::Result<Hits> {
        let mut segments = segments.into_iter();
        let mut best = segments.next().unwrap_or_default();
        for (id, score) in segments.flatten() {
            keep_best(&mut best, id, score);
        }
        Ok(self.page(best))
    }
}

impl Page {
    fn page(&self, best: HashMap<i64, Score>) -> Hits {
        let total = best.len() as u64;
        let mut hits: Vec<Hit> = best.into_iter().map(|(id, score)| Hit { id, score }).collect();
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
    type Fruit = HashMap<i64, Score>;

    fn collect(&mut self, doc: DocId, score: Score) {
        keep_best(&mut self.best, self.ids.get_val(doc), (score * STEPS).round() / STEPS);
    }

    fn harvest(self) -> Self::Fruit {
        self.best
    }
}

fn keep_best(best: &mut HashMap<i64, Score>, id: i64, score: Score) {
    best.entry(id).and_modify(|known| *known = known.max(score)).or_insert(score);
}

/// The order of results: best first, among equals the lower id first. Total, also for scores that a client made up.
fn order(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then(a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pages_are_the_whole_list_in_pieces(
            scores in prop::collection::hash_map(0i64..50, prop::sample::select(vec![0.5f32, 1.0, 2.0]), 0..50),
            limit in 1usize..8,
        ) {
            let page = |limit, after| Page { kind: Kind::Image, limit, after }.page(scores.clone());
            let all = page(scores.len(), None);
            prop_assert!(all.next.is_none() && all.hits.is_sorted_by(|a, b| order(a, b).is_lt()));
            let mut pieces = Vec::new();
            let mut after = None;
            loop {
                let piece = page(limit, after);
                prop_assert_eq!(piece.total, scores.len() as u64);
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
        let page = |limit, score| {
            Page { kind: Kind::Image, limit, after: Some(Hit { id: 0, score }) }
                .page(HashMap::from([(1, 1.0), (2, 2.0)]))
        };
        assert_eq!(page(9, f32::NAN).hits.len(), 2);
        assert_eq!(page(9, f32::NEG_INFINITY).hits, []);
        let nothing = page(0, f32::INFINITY);
        assert_eq!((nothing.total, nothing.hits, nothing.next), (2, vec![], None));
    }
}
