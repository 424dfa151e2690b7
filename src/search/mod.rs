//! Keyword search, the only module with tantivy. The index is derived from the database and may be deleted at any time.
//!
//! Texts: `folding` normalises them, `tokenizer` tokenizes them, `keys` normalises whole ones, `schema` defines the fields
//! they are indexed in. Queries: [`query`] parses them; `synonyms`, `compounds` and `spelling` add other forms of their
//! words, cached by `word_cache`; `ranking` compiles them to score expressions. Searches: `execution` executes them,
//! `score` evaluates the expressions to `doc_scores`, `collect` makes pages of results, `facets` defines what is counted,
//! `highlight` shows why a result matches. Storage: `generation` is one index in a directory, `index_folder` reads that
//! directory, `columns` holds columns in memory, and `index` decides which generation serves.

mod collect;
mod columns;
mod complete;
mod compounds;
mod doc_scores;
mod execution;
mod facets;
mod folding;
mod generation;
mod highlight;
mod index;
mod index_folder;
mod keys;
mod prefix;
pub mod query;
mod ranking;
mod restriction;
mod schema;
mod score;
mod spelling;
mod synonyms;
mod tokenizer;
mod visible_docs;
mod word_cache;

use std::path::Path;
use std::{fmt, io};

pub use complete::complete;
pub use facets::{FacetCount, SearchFacet};
pub use folding::folded;
pub use generation::IndexGeneration;
pub use highlight::{MatchHighlighter, TextHighlight};
pub use index::{IndexSurvey, IndexedImage, SearchIndex, survey};
pub use synonyms::SynonymTable;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query is rejected; the text says why.
    #[error("{0}")]
    Query(String),
    /// The index cannot be opened, read or written; the text says what to check.
    #[error("search index: {0}")]
    Index(String),
    /// No generation of the index can serve searches yet.
    #[error("the search index is being built")]
    Building(IndexBuildStatus),
}

/// Progress of building the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexBuildStatus {
    /// Images that are indexed.
    pub done: u64,
    /// Images to index, counted when the build started; 0 before.
    pub all: u64,
    /// Estimated seconds until the build is complete; `None` while unknown.
    pub seconds: Option<u64>,
}

pub type Result<T> = std::result::Result<T, Error>;

/// A folder of the index cannot be used.
fn folder_error(path: &Path, error: &io::Error) -> Error {
    Error::Index(format!("cannot use {}: {error}: check that it is a folder this user may write", path.display()))
}

/// An error of tantivy.
fn index_error(error: tantivy::TantivyError) -> Error {
    Error::Index(error.to_string())
}

impl IndexBuildStatus {
    /// Seconds after which a client should retry.
    pub fn wait(&self) -> u64 {
        const LONGEST: u64 = 30;
        self.seconds.unwrap_or(1).clamp(1, LONGEST)
    }
}

/// `1000 of 5000 images`
impl fmt::Display for IndexBuildStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} images", self.done.min(self.all), self.all)
    }
}

/// What a search returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// Jobs, each with its best image. Hit ids are job ids.
    Job,
    /// Images. Hit ids are image ids.
    Image,
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchHit {
    pub id: i64,
    /// The image that matched best: the hit itself, or the best image of its job.
    pub image_id: i64,
    /// Whether its job is represented by other images. For a hit that is a job: none of those images matches.
    pub is_secondary: bool,
    /// Higher is better. Comparable within one search only. Equal documents have exactly equal scores.
    pub score: f32,
}

/// Sort order of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchOrder {
    /// Highest score first.
    #[default]
    Relevance,
    /// Name of the job, A to Z.
    Name,
    /// Most recently added or changed first.
    Newest,
    /// Highest versions first.
    Version,
}

/// Position of a result in a sort order: the cursor between two pages.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchCursor {
    pub value: SearchCursorValue,
    pub id: i64,
}

/// The value by which an order sorts; equal ones are sorted by id.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchCursorValue {
    Score(f32),
    Name(String),
    /// Milliseconds since 1970.
    Time(i64),
    Versions([u64; 2]),
}

/// A search request.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// `None` lists everything.
    pub text: Option<String>,
    pub kind: SearchKind,
    pub order: SearchOrder,
    /// Facet values to filter by: of each facet that is named, a result must have one of the values.
    pub filters: Vec<(SearchFacet, String)>,
    pub limit: usize,
    pub after: Option<SearchCursor>,
    /// Whether to count the facet values of the results.
    pub count: bool,
    /// Whether to return what is needed to highlight matches.
    pub mark: bool,
}

/// A page of results in the requested order; equal ones are sorted by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResponse {
    /// Number of results on all pages.
    pub total: u64,
    pub hits: Vec<SearchHit>,
    /// Position after which the next page starts; `None` on the last page.
    pub next: Option<SearchCursor>,
    /// In the order of [`SearchFacet::ALL`], the most frequent values first; empty unless requested.
    pub facets: Vec<(SearchFacet, Vec<FacetCount>)>,
    /// The corrected query, if a word of it is unknown.
    pub did_you_mean: Option<String>,
    /// Empty unless requested.
    pub marks: MatchHighlighter,
}
