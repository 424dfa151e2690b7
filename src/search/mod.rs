//! Keyword search: the only tantivy. The index is derived from the database and may be deleted at any time.
//!
//! `letters` brings texts into one form, `words` cuts them; [`query`] reads what a person typed, `synonyms`, `compounds` and
//! `spelling` what else it may mean, and `word_cache` remembers that; `schema` says what is indexed and how, `ranking` what counts how much; `find` and `score` go through it, `collect` makes pages of results, `highlight`
//! shows why they match; `generation` keeps it all in a folder, whose `files` are read, and `index` says which generation serves.

mod collect;
mod columns;
mod complete;
mod compounds;
mod facets;
mod files;
mod find;
mod generation;
mod highlight;
mod index;
mod letters;
mod prefix;
pub mod query;
mod ranking;
mod schema;
mod score;
mod spelling;
mod synonyms;
mod word_cache;
mod words;

use std::fmt;

pub use complete::complete;
pub use facets::{Count, Facet};
pub use generation::Generation;
pub use highlight::{Highlight, Marks};
pub use index::{Index, Outline, Survey, survey};
pub use letters::folded;
pub use synonyms::Synonyms;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query cannot be answered as it stands; the text says why.
    #[error("{0}")]
    Query(String),
    /// The index cannot be opened, read or written; the text says what to look at.
    #[error("search index: {0}")]
    Index(String),
    /// There is nothing to search in yet.
    #[error("the search index is being built")]
    Building(Building),
}

/// How far the index is that will serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Building {
    /// Images that are in it.
    pub done: u64,
    /// Images that there were when it was begun; 0 before.
    pub all: u64,
    /// How long it will take, going by what it took; `None` while nobody knows.
    pub seconds: Option<u64>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Building {
    /// After how many seconds it is worth asking again.
    pub fn wait(&self) -> u64 {
        const LONGEST: u64 = 30;
        self.seconds.unwrap_or(1).clamp(1, LONGEST)
    }
}

/// `1000 of 5000 images`
impl fmt::Display for Building {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} images", self.done.min(self.all), self.all)
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Jobs: the best image of each stands for it. Hit ids are job ids.
    Job,
    /// Images. Hit ids are image ids.
    Image,
}

/// One result; the higher the score, the better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub id: i64,
    /// The image that matched best: the hit itself, or the one that stands for its job.
    pub image_id: i64,
    /// Whether other images represent its job, none of which matches if it stands for the job.
    pub is_secondary: bool,
    /// Comparable within one search only. Equal documents have exactly equal scores.
    pub score: f32,
}

/// What results are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The best first.
    #[default]
    Relevance,
    /// Name of the job, A to Z.
    Name,
    /// What came or changed last first.
    Newest,
    /// The highest versions first.
    Version,
}

/// Where a result stands in an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub value: PlaceValue,
    pub id: i64,
}

/// What an order compares before ids.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaceValue {
    Score(f32),
    Name(String),
    /// Milliseconds since 1970.
    Time(i64),
    Versions([u64; 2]),
}

/// What is asked of the index.
#[derive(Clone, Debug)]
pub struct Request {
    /// `None` lists everything.
    pub text: Option<String>,
    pub kind: Kind,
    pub order: Order,
    /// Any of the values of a facet, for each facet that is named.
    pub filters: Vec<(Facet, String)>,
    pub limit: usize,
    pub after: Option<Place>,
    /// Whether to count what values the results have.
    pub count: bool,
    /// Whether to say what shows why they match.
    pub mark: bool,
}

/// What it answers: a page of results in the order that was asked for, among equals the lower id first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// How many there are on all pages.
    pub total: u64,
    pub hits: Vec<Hit>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<Place>,
    /// In the order of [`Facet::ALL`], the most frequent values first; empty unless asked for.
    pub facets: Vec<(Facet, Vec<Count>)>,
    /// The query as it was probably meant, where a word of it is unknown.
    pub did_you_mean: Option<String>,
    /// Empty unless asked for.
    pub marks: Marks,
}
