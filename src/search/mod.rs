//! Keyword search: the only tantivy. The index is derived from the database and may be deleted at any time.
//!
//! [`query`] reads what a person typed, [`schema`] says what is indexed and how, `ranking` what counts how much,
//! `collect` makes pages of results, and `index` keeps it all in a folder.

mod collect;
mod index;
mod lifted;
mod prefix;
pub mod query;
mod ranking;
mod schema;

pub use index::Index;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query cannot be answered as it stands; the text says why.
    #[error("{0}")]
    Query(String),
    /// The index cannot be opened, read or written; the text says what to look at.
    #[error("search index: {0}")]
    Index(String),
}

pub type Result<T> = std::result::Result<T, Error>;

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
    /// Comparable within one search only. Equal documents have exactly equal scores.
    pub score: f32,
}

/// One page of results, best first; among equals the lower id first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// How many there are in all.
    pub total: u64,
    pub hits: Vec<Hit>,
    /// Where the next page starts: the last hit of this one; `None` on the last.
    pub next: Option<Hit>,
}
