//! Paging: complete, in order, without duplicates.

use proptest::prelude::*;
use silo::search::{SearchIndex, SearchKind};

use super::{Search as _, image, index};

/// Follows the pages of a query; returns all ids, and the size of each page.
fn follow(index: &SearchIndex, query: &str, kind: SearchKind, limit: usize) -> (Vec<i64>, Vec<usize>) {
    let (mut ids, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = index.search(query, kind, limit, after).expect("the query is answered");
        ids.extend(page.hits.iter().map(|hit| hit.id));
        sizes.push(page.hits.len());
        assert!(page.next.as_ref().is_none_or(|next| Some(next.id) == page.hits.last().map(|hit| hit.id)));
        after = page.next;
        if after.is_none() {
            return (ids, sizes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn pages_make_the_whole_list(
        docs in prop::collection::vec((1i64..9, prop::sample::select(vec!["river", "river-map", "a-river", "lake"])), 1..40),
        limit in 1usize..10,
        query in prop::sample::select(vec!["river", "riv", "seed", "lake map", "river+lake"]),
    ) {
        let docs: Vec<_> = docs.into_iter().zip(1..).map(|((job, name), id)| image(id, job, name, &format!("{name}-seed:{id}"))).collect();
        let index = index(&docs);
        for kind in [SearchKind::Image, SearchKind::Job] {
            let whole = index.search(query, kind, 1_000, None).expect("the query is answered");
            let (ids, sizes) = follow(&index, query, kind, limit);
            prop_assert_eq!(&ids, &whole.hits.iter().map(|hit| hit.id).collect::<Vec<_>>());
            prop_assert_eq!(whole.total as usize, ids.len());
            prop_assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == limit), "{:?}", sizes);
            prop_assert!(ids.is_empty() || sizes.last() != Some(&0), "no empty last page");
        }
    }
}

#[test]
fn the_total_does_not_depend_on_the_page() {
    let docs: Vec<_> = (1..=25).map(|id| image(id, id, "job", "job-seed:1")).collect();
    let index = index(&docs);
    let first = index.search("job", SearchKind::Image, 10, None).expect("answered");
    let second = index.search("job", SearchKind::Image, 10, first.next).expect("answered");
    let third = index.search("job", SearchKind::Image, 10, second.next).expect("answered");
    assert_eq!([first.total, second.total, third.total], [25; 3]);
    assert_eq!((third.hits.len(), third.next), (5, None));
    assert_eq!(index.search("job", SearchKind::Image, 0, None).expect("answered").total, 25);
}

#[test]
fn the_fallback_to_any_word_pages_too() {
    let docs = [image(1, 1, "red", "red"), image(2, 2, "blue", "blue")];
    let index = index(&docs);
    assert_eq!(follow(&index, "red blue", SearchKind::Image, 1).0, [1, 2]);
}
