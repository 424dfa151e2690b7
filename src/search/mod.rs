//! Keyword search: the only tantivy. The index is derived from the database and may be deleted at any time.
//!
//! [`query`] reads what a person typed, [`schema`] says what is indexed and how, `ranking` what counts how much,
//! `collect` makes pages of results, `generation` keeps it all in a folder, and `index` says which generation serves.

mod collect;
mod generation;
mod index;
mod lifted;
mod prefix;
pub mod query;
mod ranking;
mod schema;

use std::fmt;

pub use generation::Generation;
pub use index::{Index, Survey, survey};

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
