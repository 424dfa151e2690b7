//! A reader who does not see all registries searches an index that never had the others.

use std::collections::HashMap;

use silo::catalog::{CatalogueReader, CatalogueView, ClosedRegistry, RegistryId, RegistryVisibility, SearchDoc};
use silo::search::{SearchIndex, SearchKind, SearchOrder, SearchRequest};

use super::{index, titled};

/// An image of registry 1 (open) or 2 (closed), of a job by its name.
fn docs() -> Vec<SearchDoc> {
    let rows = [
        (1, 1, "ndvi", "Vegetation index"),
        (2, 1, "cloud-mask", "Cloud mask of a scene"),
        (3, 1, "time-series", "Series of scenes"),
        (4, 2, "ndvi", "Vegetation of zebrafish ponds"),
        (5, 2, "zebrafish-tracker", "Tracks zebrafish and clouds of fish"),
        (6, 2, "timeseries", "Timeseries of ponds"),
        (7, 1, "flood-extent", "Extent of a flood"),
    ];
    let mut jobs: HashMap<&str, i64> = HashMap::new();
    rows.map(|(id, registry, name, title)| {
        let next = jobs.len() as i64 + 1;
        let job = *jobs.entry(name).or_insert(next);
        SearchDoc {
            job_id: job,
            registry_id: registry,
            origin_id: id,
            group_id: id,
            // In the whole catalogue, the closed registry represents the job.
            is_secondary: id == 1,
            tags: vec![format!("registry-{registry}"), "example".to_owned()],
            ..titled(id, name, title)
        }
    })
    .into()
}

fn all(index: &SearchIndex, query: Option<&str>, kind: SearchKind, view: &CatalogueView) -> String {
    let request = SearchRequest {
        text: query.map(str::to_owned),
        kind,
        order: SearchOrder::Relevance,
        filters: Vec::new(),
        limit: 100,
        after: None,
        count: true,
        mark: false,
    };
    format!("{:?}", index.find(&request, view).expect("the query is answered"))
}

#[test]
fn hidden_documents_change_nothing() {
    let docs = docs();
    let mut open: Vec<SearchDoc> = docs.iter().filter(|doc| doc.registry_id == 1).cloned().collect();
    open.iter_mut().for_each(|doc| doc.is_secondary = false);
    let (whole, never) = (index(&docs), index(&open));
    let closed = [ClosedRegistry { id: RegistryId(2), visibility: RegistryVisibility::Private }];
    let view = CatalogueView::of(CatalogueReader::Anonymous, &closed, &[]);
    let queries = [
        "ndvi",
        "zebrafish",
        "zebrafihs",
        "zebra fish",
        "zeb",
        "cloud",
        "clod",
        "clouds",
        "vegetation",
        "timeseries",
        "time series",
        "timeserie",
        "pond",
        "ponds flood",
        "fish",
        "tag:registry-2",
        "flod extend",
        "cloud -zebrafish",
    ];
    for kind in [SearchKind::Job, SearchKind::Image] {
        for query in queries.map(Some).into_iter().chain([None]) {
            let expected = all(&never, query, kind, &CatalogueView::whole());
            assert_eq!(all(&whole, query, kind, &view), expected, "{query:?}");
        }
    }
    let seen = all(&whole, Some("zebrafish"), SearchKind::Job, &CatalogueView::whole());
    assert!(seen.contains("total: 2"), "{seen}");
}
