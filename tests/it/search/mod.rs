//! Keyword search through the public API of the index.

mod durability;
mod matching;
mod paging;
mod quality;
mod ranking;
mod scripts;
mod visibility;

use silo::catalog::{CatalogueView, SearchDoc};
use silo::search::{self, SearchCursor, SearchIndex, SearchKind, SearchOrder, SearchRequest, SearchResponse};

/// An image of a job; the job's id is ten times the image's, its reference is `{name}-1.0.0-seed:1.0.0`.
fn doc(id: i64, name: &str) -> SearchDoc {
    SearchDoc {
        image_id: id,
        job_id: id * 10,
        job_name: name.to_owned(),
        name: format!("{name}-1.0.0-seed:1.0.0"),
        ..SearchDoc::default()
    }
}

fn titled(id: i64, name: &str, title: &str) -> SearchDoc {
    SearchDoc { title: title.to_owned(), ..doc(id, name) }
}

fn described(id: i64, name: &str, description: &str) -> SearchDoc {
    SearchDoc { description: description.to_owned(), ..doc(id, name) }
}

fn image(id: i64, job_id: i64, job_name: &str, name: &str) -> SearchDoc {
    SearchDoc { image_id: id, job_id, job_name: job_name.to_owned(), name: name.to_owned(), ..SearchDoc::default() }
}

/// Shorthand for most tests.
trait Search {
    /// A page of results, best first.
    fn search(
        &self,
        text: &str,
        kind: SearchKind,
        limit: usize,
        after: Option<SearchCursor>,
    ) -> search::Result<SearchResponse>;
}

impl Search for SearchIndex {
    fn search(
        &self,
        text: &str,
        kind: SearchKind,
        limit: usize,
        after: Option<SearchCursor>,
    ) -> search::Result<SearchResponse> {
        let (text, order) = (Some(text.to_owned()), SearchOrder::Relevance);
        let request = SearchRequest { text, kind, order, filters: Vec::new(), limit, after, count: false, mark: false };
        self.find(&request, &CatalogueView::whole())
    }
}

fn index(docs: &[SearchDoc]) -> SearchIndex {
    let index = SearchIndex::in_memory().expect("an index in memory opens");
    index.write(docs, &[]).expect("documents are written");
    index.commit(1).expect("a commit works");
    index
}

/// Ids of all matching images, best first.
fn images(index: &SearchIndex, query: &str) -> Vec<i64> {
    ids(index, query, SearchKind::Image)
}

fn ids(index: &SearchIndex, query: &str, kind: SearchKind) -> Vec<i64> {
    let hits = index.search(query, kind, 1_000, None).expect("the query is answered");
    assert_eq!(hits.total as usize, hits.hits.len(), "{query}: one page holds all");
    hits.hits.iter().map(|hit| hit.id).collect()
}
